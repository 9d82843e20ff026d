"""What ended migrations are counted as."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from migrator.conductor.tally import DOWNTIME_S, PHASE_S, Distribution, Tally
from migrator.model import Statistics
from migrator.states import MigrationState
from tests.unit.examples import NOON, a_migration


def test_a_value_counts_at_the_first_bound_that_holds_it() -> None:
    distribution = Distribution((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 9.0):
        distribution.add(value)
    assert (distribution.counts, distribution.sum) == ([2, 1, 1], 12.0)


def test_a_completed_migration_counts_in_every_phase() -> None:
    ended = a_migration(
        state=MigrationState.COMPLETED,
        created_at=NOON,
        started_at=NOON + timedelta(seconds=3),
        switched_at=NOON + timedelta(seconds=7),
        finished_at=NOON + timedelta(seconds=8),
        attempt=2,
        statistics=Statistics(downtime_ms=60),
        error_code=None,
    )
    tally = Tally()
    tally.add(ended)
    sums = {name: each.sum for name, each in tally.phases.items()}
    assert sums == {"queue": 3.0, "move": 4.0, "finish": 1.0, "whole": 8.0}
    assert (tally.ended, tally.failed, tally.attempts) == ({"completed": 1}, {}, 2)
    assert tally.downtime.counts[DOWNTIME_S.index(0.1)] == 1


def test_one_that_failed_counts_by_its_code_and_only_in_what_it_went_through() -> None:
    failed = a_migration(
        state=MigrationState.FAILED,
        started_at=NOON,
        switched_at=None,
        finished_at=NOON,
        error_code="transfer.failed",
        statistics=Statistics(),
    )
    tally = Tally()
    tally.add(failed)
    assert tally.failed == {"transfer.failed": 1}
    assert sum(tally.phases["move"].counts) == 0
    assert sum(tally.downtime.counts) == 0


def test_clocks_that_differ_make_no_negative_time() -> None:
    skewed = replace(a_migration(), created_at=NOON, started_at=NOON - timedelta(hours=1))
    tally = Tally()
    tally.add(replace(skewed, state=MigrationState.FAILED, finished_at=NOON))
    assert tally.phases["queue"].counts[PHASE_S.index(0.1)] == 1
