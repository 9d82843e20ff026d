"""When another try to resume a post-copy may begin."""

from __future__ import annotations

from migrator.compute_agent.tracked import RESUMING_HANGS_S, Resumption
from migrator.errors import Transient


def test_one_under_way_is_waited_for_until_its_call_hangs() -> None:
    call = Resumption(begun_at=100.0)
    assert call.unsettled(100.0)
    assert call.unsettled(100.0 + RESUMING_HANGS_S - 1)
    assert not call.unsettled(100.0 + RESUMING_HANGS_S)


def test_one_that_has_failed_is_told_before_the_next_begins() -> None:
    call = Resumption(begun_at=0.0, over=True, error=Transient("guest.busy", "not yet"))
    assert call.unsettled(1000.0)
    call.told = True
    assert not call.unsettled(1000.0)
    assert not Resumption(begun_at=0.0, over=True).unsettled(1.0)
