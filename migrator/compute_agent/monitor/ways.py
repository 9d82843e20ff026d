"""Ways to a transfer's end, and which of them are left. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from migrator.compute_agent.monitor.actions import Action, SetDowntime, StartPostcopy, Suspend
from migrator.compute_agent.monitor.asks import ForceMethod
from migrator.compute_agent.monitor.judging import Case
from migrator.compute_agent.monitor.known import key_of

CEILING_MS = 2_000_000
"""The longest freeze QEMU can be told to allow."""


def postcopy(case: Case) -> list[Action]:
    possible = case.policy is None or case.policy.postcopy
    return [StartPostcopy("")] if possible else []


def _downtime(case: Case) -> list[Action]:
    return [SetDowntime(CEILING_MS, "", beyond=True)]


def _pause(case: Case) -> list[Action]:
    return [Suspend(""), *_downtime(case)]


_WAYS: Mapping[ForceMethod, Callable[[Case], list[Action]]] = {
    ForceMethod.AUTO: lambda case: [*postcopy(case), *_pause(case)],
    ForceMethod.POSTCOPY: postcopy,
    ForceMethod.DOWNTIME: _downtime,
    ForceMethod.PAUSE: _pause,
}


def permitted(case: Case) -> list[Action]:
    """What the profile tolerates beyond pre-copy within the budget, the least disturbing first."""
    assert case.policy is not None
    profile = case.policy.profile
    first = postcopy(case) if profile.allow_postcopy else []
    return [*first, *(_pause(case) if profile.allow_pause else [])]


def asked_for(case: Case, method: ForceMethod) -> Sequence[Action]:
    """What an operator's word comes to, whatever the profile tolerates."""
    return _WAYS[method](case)


def untried(case: Case) -> Sequence[Action]:
    if case.asks.force is not None:
        return asked_for(case, case.asks.force)
    return permitted(case) if case.policy is not None else []


def end(case: Case, ways: Sequence[Action], rule: str) -> Action | None:
    """The first that was neither refused nor tried."""
    for way in ways:
        tried = case.known.step_at(way.name) is not None
        if tried or key_of(way) in case.known.refused:
            continue
        match way:
            case StartPostcopy():
                return StartPostcopy(rule, case.facts)
            case Suspend():
                return Suspend(rule, case.facts)
            case SetDowntime():
                return SetDowntime(way.ms, rule, case.facts, beyond=True)
    return None


def allowed(case: Case, action: Action) -> Action | None:
    """Unless libvirt has refused it, or it is so already."""
    so = isinstance(action, SetDowntime) and action.ms == case.known.downtime_ms
    return None if so or key_of(action) in case.known.refused else action
