"""Reading off two iterations how a guest writes, and where that leads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.compute_agent.monitor.predict import (
    Copying,
    Guest,
    Pass,
    early_look,
    fit,
    outlook,
)

MEMORY = 10_000
LINK = 100.0


def passes(guest: Guest, count: int) -> list[Pass]:
    """What a guest shows over a link that carries 100 bytes/s."""
    shown, remaining = [], float(MEMORY)
    for _ in range(count):
        took = remaining / LINK
        remaining = guest.dirties(took)
        shown.append(Pass(took, round(remaining)))
    return shown


@given(st.floats(0.05, 0.5), st.floats(0.3, 3.0))
def test_two_iterations_tell_how_a_guest_writes(share: float, ratio: float) -> None:
    guest = Guest(share * MEMORY, ratio * LINK)
    found = fit(passes(guest, 2), MEMORY)
    assert found is not None
    third = guest.dirties(passes(guest, 2)[-1].dirtied / LINK)
    assert found.dirties(passes(guest, 2)[-1].dirtied / LINK) == pytest.approx(third, rel=0.1)


def test_one_iteration_tells_nothing() -> None:
    assert fit([Pass(100.0, 500)], MEMORY) is None
    assert fit([Pass(100.0, 500), Pass(5.0, 0)], MEMORY) is None


def test_a_guest_that_writes_less_than_the_link_carries_is_caught() -> None:
    ahead = outlook(Guest(5000, 0.8 * LINK), 5000, Copying(LINK), target=50)
    assert ahead.reaches
    assert ahead.floor <= 50


def test_one_that_writes_more_is_caught_only_if_its_working_set_is_small_enough() -> None:
    writes = 2 * LINK
    assert not outlook(Guest(5000, writes), 5000, Copying(LINK), target=50).reaches
    assert outlook(Guest(40, writes), 5000, Copying(LINK), target=50).reaches


def test_a_ratio_below_one_is_no_promise() -> None:
    """The second iteration leaves 70 % of the first, and it still leads nowhere."""
    guest = Guest(5000, 1.2 * LINK)
    ahead = outlook(guest, guest.dirties(50), Copying(LINK), target=50)
    assert not ahead.reaches
    assert ahead.floor > 1000


@given(st.floats(50, 5000), st.floats(10, 300), st.floats(10, 5000), st.floats(10, 500))
def test_an_early_look_finds_as_little_as_was_aimed_at(
    working_set: float, rate: float, remaining: float, target: float
) -> None:
    guest = Guest(working_set, rate)
    unsent = early_look(guest, remaining, LINK, target)
    assert 0 <= unsent <= min(remaining, target)
    if unsent > 0:
        assert unsent + guest.dirties((remaining - unsent) / LINK) <= target * 1.001
