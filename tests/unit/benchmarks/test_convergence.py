"""A small part of ``python -m benchmarks.convergence``: what it promises is kept on it."""

from __future__ import annotations

from benchmarks.convergence.policies import POLICIES
from benchmarks.convergence.report import COLUMNS, Column, behind_on, promises, share
from benchmarks.convergence.run import oracle, run
from benchmarks.convergence.scenarios import scenarios

NAMES = (
    "migrator strict",
    "migrator guaranteed",
    "KubeVirt stall detector",
    "KubeVirt stall, post-copy",
)


def test_the_rules_keep_what_is_promised_of_them_and_the_stall_detector_is_behind() -> None:
    cases = [(each, oracle(each)) for each in scenarios(seed=1, count=40)]
    columns = [Column(name) for name in NAMES]
    for scenario, best in cases:
        for column in columns:
            column.add(scenario, best, run(scenario, POLICIES[column.policy](scenario)))
    strict, guaranteed, stall, stall_postcopy = columns
    broken = [
        row.what for row in promises(strict, guaranteed, [stall, stall_postcopy]) if not row.kept
    ]
    assert broken == []
    assert len(behind_on(stall, strict)) == len(COLUMNS)
    assert strict.convergent > 20
    assert len(strict.decided) > 5


def test_over_several_seeds_the_figures_of_the_manual_hold() -> None:
    """Guests at the very edge of the budget are among these: who cannot see ahead loses a few."""
    guaranteed = Column("migrator guaranteed")
    for seed in (3, 7, 10):
        for scenario in scenarios(seed, count=40):
            best = oracle(scenario)
            guaranteed.add(scenario, best, run(scenario, POLICIES[guaranteed.policy](scenario)))
    assert guaranteed.converged >= 0.97 * guaranteed.convergent
    assert share(guaranteed.ratios, 0.9) <= 1.03
    assert share(guaranteed.decided, 0.95) <= 1.5
    assert share(guaranteed.sent, 0.9) <= 1.7
    assert guaranteed.downtime_ms <= 500


def test_a_stall_detector_whose_switch_never_comes_ends_by_its_timeout() -> None:
    """A steady guest that writes three times what the link carries: the raised downtime leaves as much
    unsent as it allows, and what was dirtied meanwhile comes on top."""
    scenario = scenarios(seed=11, count=17)[16]
    for name, how in ((NAMES[2], "abort"), (NAMES[3], "postcopy")):
        ending = run(scenario, POLICIES[name](scenario))
        assert ending.how == how
        assert ending.at < 200
