"""When another attempt is worth it, and which."""

from __future__ import annotations

import dataclasses

import pytest

from migrator.compute_agent.monitor.actions import Abort, Action, Restart
from migrator.compute_agent.monitor.asks import ForceAsked, ForceMethod
from migrator.model import GUARANTEED, OFFLINE_OK, STRICT, Profile, TransferPolicy
from tests.unit.compute_agent.transfers import Watched, job

POSTCOPY, PACKED = ("postcopy",), ("compressed",)


def ended(policy: TransferPolicy, again: float, refuses: tuple[str, ...] = ()) -> Action:
    """What a guest comes to that has dirtied ``again`` MiB by the end of every pass over 100 MiB/s."""
    watched = Watched(policy, refuses)
    at, sent, left, number = 0.0, 0.0, 1000.0, 1
    for _ in range(12):
        watched.look(at, job(number, left, sent), boundary=True)
        took = left / 100
        for step in range(1, int(took * 2) + 1):
            rest = max(left - 50 * step, 1.0)
            watched.look(at + step / 2, job(number, rest, sent + left - rest))
        at, sent, left, number = at + took, sent + left, again, number + 1
        done = [each for each in watched.done if each.name not in refuses]
        final = [each for each in done if isinstance(each, Restart | Abort)]
        if final:
            return final[0]
        ways = [each for each in watched.done if each.name in ("suspend", "start_postcopy")]
        if ways:
            return ways[0]
    raise AssertionError(watched.done)


def policy(profile: Profile, *again: str) -> TransferPolicy:
    return TransferPolicy(profile, restart_with=again)


def test_a_guest_that_was_thought_calm_gets_post_copy_by_another_attempt() -> None:
    action = ended(policy(GUARANTEED, "postcopy"), 900.0)
    assert isinstance(action, Restart)
    assert (action.flags, action.rule) == (POSTCOPY, "not_converging")


def test_without_time_for_another_attempt_what_this_one_can_do_is_done() -> None:
    hurried = dataclasses.replace(GUARANTEED, deadline_s=22)
    assert ended(policy(hurried, "postcopy"), 900.0).name == "suspend"


def test_what_libvirt_refuses_is_not_asked_again() -> None:
    assert ended(policy(GUARANTEED, "postcopy"), 900.0, ("restart",)).name == "suspend"


def test_packing_is_tried_once_where_nothing_else_is_permitted_and_it_would_do() -> None:
    action = ended(policy(STRICT, "compressed"), 120.0)
    assert isinstance(action, Restart)
    assert action.flags == PACKED


@pytest.mark.parametrize(
    ("profile", "again", "name"),
    [(STRICT, 900.0, "abort"), (OFFLINE_OK, 120.0, "suspend")],
)
def test_packing_is_not_tried_where_it_would_not_do_or_where_more_is_permitted(
    profile: Profile, again: float, name: str
) -> None:
    assert ended(policy(profile, "compressed"), again).name == name


def test_force_complete_by_post_copy_starts_again_where_this_attempt_cannot() -> None:
    watched = Watched(policy(STRICT, "postcopy"))
    watched.look(0.0, job(1, 1000, 0))
    watched.look(10.0, job(2, 500, 1000), boundary=True)
    watched.asks = watched.asks.plus(ForceAsked(ForceMethod.POSTCOPY))
    watched.look(10.5, job(2, 450, 1050))
    assert watched.done[-1] == Restart(POSTCOPY, "force_asked", watched.done[-1].facts)
