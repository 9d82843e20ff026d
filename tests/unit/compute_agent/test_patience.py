"""How long a guest that pre-copy does not catch yet is waited for."""

from __future__ import annotations

import dataclasses

import pytest

from migrator.compute_agent.monitor.asks import Asks
from migrator.compute_agent.monitor.decide import Known, Reading, decide
from migrator.compute_agent.monitor.judging import Case
from migrator.compute_agent.monitor.patience import LONG, patient, too_long
from migrator.compute_agent.monitor.predict import Pass
from migrator.model import GUARANTEED, STRICT, DirtyRate, Profile, TransferPolicy
from tests.unit.compute_agent.transfers import MEMORY, MIB, job, policy

LINK = 100 * MIB
FIRST_PASS_S = MEMORY / LINK


def after_a_pass(left: int, at: float = FIRST_PASS_S) -> Known:
    """The first pass has just ended and left so many bytes."""
    return Known(
        memory_at=0.0,
        began_at=0.0,
        moved_at=at,
        moved=(1, 0),
        first_pass_ended_at=FIRST_PASS_S,
        iteration=2,
        iteration_at=at,
        left=left,
        left_before=MEMORY,
        least=left,
        passes=(Pass(FIRST_PASS_S, left),),
        bandwidth=LINK,
        best_bandwidth=LINK,
        bandwidth_at_boundary=LINK,
        measured_at=at,
        downtime_ms=28,
        downtime_iteration=2,
    )


def case(known: Known, profile: Profile = GUARANTEED, dirty: DirtyRate | None = None) -> Case:
    reading = Reading(known.iteration_at, job(2, known.left / MIB, MEMORY / MIB), boundary=True)
    tolerated = policy(profile, dirty=dirty)
    assert reading.job is not None
    return Case(tolerated, reading, known, Asks(), reading.job)


def test_what_was_measured_before_tells_with_one_pass_how_a_guest_writes() -> None:
    known = after_a_pass(300 * MIB)
    assert case(known).guest is None
    guest = case(known, dirty=DirtyRate(1.0, 80 * MIB)).guest
    assert guest is not None
    assert guest.rate == pytest.approx(90 * MIB, rel=0.2)
    assert guest.working_set == pytest.approx(310 * MIB, rel=0.2)


def test_two_passes_are_believed_rather_than_what_was_measured_before() -> None:
    known = after_a_pass(300 * MIB)
    known = dataclasses.replace(known, passes=(*known.passes, Pass(3.0, 200 * MIB)))
    assert case(known, dirty=DirtyRate(1.0, 80 * MIB)).passes == known.passes
    slowed = dataclasses.replace(after_a_pass(300 * MIB), throttle=20)
    assert case(slowed, dirty=DirtyRate(1.0, 80 * MIB)).passes == slowed.passes


@pytest.mark.parametrize(
    ("dirtied_mib", "action"),
    [(20, "wait"), (170, "start_postcopy")],
)
def test_a_measured_guest_is_judged_after_one_pass(dirtied_mib: int, action: str) -> None:
    known = after_a_pass(370 * MIB)
    tolerated = TransferPolicy(GUARANTEED, postcopy=True, dirty=DirtyRate(1.0, dirtied_mib * MIB))
    reading = Reading(FIRST_PASS_S, job(2, 370, MEMORY / MIB), boundary=True)
    assert decide(tolerated, reading, known, Asks()).name == action


@pytest.mark.parametrize(
    ("left_mib", "profile", "waits"),
    [
        (300, STRICT, True),
        (480, STRICT, True),
        (500, STRICT, False),
        (300, GUARANTEED, True),
        (480, GUARANTEED, False),
    ],
)
def test_an_iteration_has_to_fit_into_what_may_be_spent(
    left_mib: int, profile: Profile, waits: bool
) -> None:
    """With post-copy in prospect its share is spent as well: what the iteration is expected to leave."""
    assert patient(case(after_a_pass(left_mib * MIB), profile)) is waits


def test_a_far_forecast_is_believed_only_of_a_guest_that_the_link_outruns() -> None:
    far = LONG * FIRST_PASS_S
    fast = case(after_a_pass(300 * MIB), dirty=DirtyRate(1.0, 120 * MIB))
    slow = case(after_a_pass(300 * MIB), dirty=DirtyRate(1.0, 60 * MIB))
    assert too_long(fast, far)
    assert not too_long(fast, 1.0)
    assert not too_long(slow, far)
