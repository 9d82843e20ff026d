"""Thousands of migrations with faults, each run a function of its seed; none may break a rule."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from tests.nested.faults.results import note
from tests.simulation.families import plan_of, undisturbed
from tests.simulation.matrix import cases
from tests.simulation.plan import Fault, Plan, Trigger, single_fault
from tests.simulation.run import Report, run

WHOLE = bool(os.environ.get("MIGRATOR_SIMULATE_ALL"))
"""`tools/test --faults full` sets it: ten times as many random runs, and the whole matrix."""
RANDOM_RUNS = 12_000 if WHOLE else 1_200
MATRIX_RUNS = 100_000 if WHOLE else 800
CHUNKS = 10
LEAST_COMPLETED = 0.95
"""Of the pre-copy migrations whose agent or conductor died."""
AGENT_OR_CONDUCTOR_DIED = ("kill_conductor", "kill_source_agent", "kill_destination_agent")


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """What the processes log about their faults is of interest when a run is replayed."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def played(word: str, plans: Sequence[tuple[int, Plan]]) -> list[Report]:
    """All of them. :raises AssertionError: with the story of the first that broke a rule."""
    reports = []
    for number, plan in plans:
        report = run(plan)
        replay = f"replay: python -m tests.simulation --{word} {number}"
        assert not report.violations, f"{replay}\n{report}"
        reports.append(report)
    return reports


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_random_faults_break_no_rule(chunk: int) -> None:
    seeds = range(chunk, RANDOM_RUNS, CHUNKS)
    reports = played("seed", [(seed, plan_of(seed)) for seed in seeds])
    ends = Counter(end for report in reports for end in report.ends)
    assert ends["completed"] > len(reports) / 2
    assert ends["failed"] > 0


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_a_fault_at_a_step_boundary_breaks_no_rule(chunk: int) -> None:
    numbered = list(enumerate(cases()[:MATRIX_RUNS]))[chunk::CHUNKS]
    reports = played("case", numbered)
    assert sum(bool(report.struck) for report in reports) > 0.6 * len(reports)


def test_nearly_every_migration_whose_agent_or_conductor_dies_completes() -> None:
    plans = [
        plan
        for plan in cases()
        if plan.family == "live" and plan.faults[0].kind in AGENT_OR_CONDUCTOR_DIED
    ]
    sample = plans if WHOLE else plans[:200]
    ends = Counter(end for plan in sample for end in run(plan).ends)
    share = ends["completed"] / (ends["completed"] + ends["failed"] + ends["cancelled"])
    print(f"{len(sample)} died: {dict(ends)}")
    told = {"simulated": "agent or conductor killed", "runs": len(sample), "ends": dict(ends)}
    note({**told, "share": share, "least": LEAST_COMPLETED})
    assert share >= LEAST_COMPLETED, ends


def test_a_seed_plays_the_same_way_every_time() -> None:
    for seed in (3, 12, 16, 19):
        first, second = run(plan_of(seed)), run(plan_of(seed))
        assert first.story == second.story
        assert (first.switches, first.virtual_s) == (second.switches, second.virtual_s)


def test_a_rule_that_is_broken_is_seen() -> None:
    """The witness itself: a guest that starts a second time is no matter of opinion."""
    plan = single_fault(1, "guest_is_started_twice", Trigger(after_s=2.0))
    assert any("at once" in each for each in run(plan).violations)


def struck(family: str, kind: str, trigger: Trigger) -> Report:
    """One move of that family, and one fault at one point of it."""
    plan = undisturbed(family)
    fault = Fault(kind, trigger)
    return run(replace(plan, conductors=2, faults=(*plan.faults, fault)))


def test_a_loss_that_is_seen_before_anybody_heard_of_the_split_ends_the_migration() -> None:
    before_a_word_of_it = Trigger("h1", "call domain_event", 1)
    report = struck("postcopy", "guest_crashes", before_a_word_of_it)
    assert (report.ends, report.violations) == (["lost"], []), report


def test_a_source_whose_loss_the_destination_never_notices_is_a_loss_after_a_while() -> None:
    report = struck("postcopy", "take_source_power", Trigger("h1", "call domain_event", 2))
    assert (report.ends, report.violations) == (["lost"], []), report


def test_a_guest_that_is_paused_before_its_cold_move_stops_it_stays_where_it_is() -> None:
    report = struck("cold", "user_pauses", Trigger("conductor", "answered prepare_destination"))
    assert (report.ends, report.violations) == (["failed"], []), report


def test_a_guest_that_is_paused_before_anything_of_it_is_sent_arrives_paused() -> None:
    report = struck("live", "user_pauses", Trigger("h1", "answered transfer_action"))
    assert (report.ends, report.violations) == (["completed"], []), report


def test_an_agent_that_was_dead_when_libvirt_let_its_guest_run_holds_it_once_it_is_back() -> None:
    """Before any conductor is there, which alone can look at the destination."""
    arrived = Trigger("h2", "call domain_event", 1)
    faults = (
        Fault("lose_replies", Trigger(after_s=0.0), 60.0),
        Fault("kill_source_agent", arrived, 35.0),
        Fault("cut_off_conductor", arrived, 90.0),
    )
    report = run(replace(undisturbed("live"), faults=faults))
    assert (report.ends, report.violations) == (["completed"], []), report
    assert any("as well" in each for each in report.story), report
