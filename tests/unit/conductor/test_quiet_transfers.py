"""How often the hosts are asked about a transfer that nobody reports on."""

from __future__ import annotations

from itertools import accumulate, repeat

from migrator.conductor.steps.await_transfer import LONGEST_QUIET_S, QUIET_S, quiet_after


def test_a_transfer_that_stays_silent_is_looked_at_less_and_less_often() -> None:
    waits = [*accumulate(repeat(True, 6), quiet_after, initial=QUIET_S)]
    assert waits == [5.0, 10.0, 20.0, 40.0, 40.0, 40.0, 40.0]
    assert waits[-1] == LONGEST_QUIET_S


def test_one_that_is_reported_on_again_is_watched_as_before() -> None:
    assert quiet_after(LONGEST_QUIET_S, False) == QUIET_S
