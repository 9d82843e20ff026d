"""What the monitor does about a reading."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.compute_agent.monitor.actions import Abort, Action, Wait
from migrator.compute_agent.monitor.asks import AbortAsked, Asks
from migrator.compute_agent.monitor.decide import (
    ABORT_AGAIN_S,
    Known,
    Reading,
    decide,
    learn,
    phase_of,
)
from migrator.model import JobSample, Phase

JOB = JobSample("migration_out", memory_total=100, memory_remaining=50)
ASKED = Asks().plus(AbortAsked())


@pytest.mark.parametrize(
    ("reading", "known", "asks", "action"),
    [
        (Reading(10.0, JOB), Known(), Asks(), Wait("nothing_asked")),
        (Reading(10.0, None), Known(), ASKED, Wait("nothing_runs")),
        (Reading(10.0, JOB), Known(), ASKED, Abort("abort_asked")),
        (Reading(10.0, JOB), Known(abort_taken_at=9.5), ASKED, Wait("abort_under_way")),
        (Reading(20.0, JOB), Known(abort_taken_at=9.5), ASKED, Abort("abort_asked")),
    ],
)
def test_rules(reading: Reading, known: Known, asks: Asks, action: Action) -> None:
    assert decide(None, reading, known, asks) == action


def test_an_abort_that_libvirt_refused_is_not_remembered_as_under_way() -> None:
    assert learn(Known(), Abort("abort_asked"), 5.0, taken=False) == Known()
    assert learn(Known(), Abort("abort_asked"), 5.0, taken=True) == Known(5.0)
    assert learn(Known(), Wait("nothing_asked"), 5.0, taken=True) == Known()


@given(st.lists(st.tuples(st.floats(0.1, 3.0), st.booleans(), st.booleans()), max_size=60))
def test_an_abort_is_asked_for_again_and_again_but_never_in_a_hurry(
    looks: list[tuple[float, bool, bool]],
) -> None:
    at, known, taken_at = 0.0, Known(), None
    for step, runs, taken in looks:
        at += step
        action = decide(None, Reading(at, JOB if runs else None), known, ASKED)
        if isinstance(action, Abort):
            assert runs
            assert taken_at is None or at - taken_at >= ABORT_AGAIN_S
            taken_at = at if taken else taken_at
        elif runs:
            assert taken_at is not None
            assert at - taken_at < ABORT_AGAIN_S
        known = learn(known, action, at, taken)


@pytest.mark.parametrize(
    ("job", "phase"),
    [
        (JobSample("migration_out", disk_total=9, disk_remaining=4), Phase.DISK),
        (JobSample("migration_out", memory_total=9, disk_total=9), Phase.MEMORY),
        (JobSample("migration_out", memory_total=9, disk_total=9, disk_remaining=1), Phase.MEMORY),
        (JobSample("migration_out"), Phase.MEMORY),
    ],
)
def test_disks_are_copied_before_memory(job: JobSample, phase: Phase) -> None:
    assert phase_of(job) is phase
