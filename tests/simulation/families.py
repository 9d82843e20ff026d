"""What runs are about: live moves, post-copy, cold moves, guests bound to parts of their hosts.

Each family makes of a plan of live moves one of its own, with the faults that can happen to it alone
beside those that happen to all.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from tests.simulation.plan import (
    FAULTS,
    Fault,
    GuestPlan,
    Plan,
    Trigger,
    random_fault,
    random_plan,
    single_fault,
)

LINE = ("live",) * 10 + ("postcopy",) * 4 + ("cold",) * 4 + ("parts",) * 2
"""The family of a seed, by its remainder."""
OWN: Mapping[str, Sequence[str]] = {
    "live": (),
    "postcopy": ("stall_link", "operator_rescues"),
    "cold": ("operator_confirms", "operator_reverts"),
    "parts": (),
}
"""What can happen to that family only."""


def plan_of(seed: int) -> Plan:
    """A run of the sweep."""
    dice = random.Random(f"family {seed}")
    family = LINE[seed % len(LINE)]
    plan = MAKERS[family](random_plan(seed), dice)
    if not OWN[family]:
        return plan
    more = [
        random_fault(dice, plan.copy_s + plan.confirm_s, OWN[family])
        for _ in range(dice.choice((0, 1, 2)))
    ]
    return replace(plan, faults=(*plan.faults, *more))


def single(family: str, seed: int, kind: str, trigger: Trigger) -> Plan:
    """A run of the matrix."""
    return MAKERS[family](single_fault(seed, kind, trigger), random.Random(f"family {seed}"))


def undisturbed(family: str) -> Plan:
    """One that goes well, for its boundaries."""
    return MAKERS[family](Plan(seed=0, yields=0.0), random.Random(0))


def _live(plan: Plan, dice: random.Random) -> Plan:
    return plan


def _postcopy(plan: Plan, dice: random.Random) -> Plan:
    """An operator forces it, early enough that much is still to be sent."""
    copy_s = max(plan.copy_s, 3.0)
    forced = Fault("operator_forces", Trigger(after_s=dice.uniform(0.5, 1.5)))
    return replace(
        plan,
        family="postcopy",
        profile="guaranteed",
        copy_s=copy_s,
        guests=tuple(replace(guest, paused=False) for guest in plan.guests),
        faults=(forced, *plan.faults),
    )


def _cold(plan: Plan, dice: random.Random) -> Plan:
    return replace(
        plan,
        family="cold",
        kind="cold",
        copy_s=min(plan.copy_s, 4.0),
        confirm_s=dice.choice((0.0, 0.0, 30.0)),
        guests=tuple(_cold_guest(dice) for _ in plan.guests),
    )


def _cold_guest(dice: random.Random) -> GuestPlan:
    return GuestPlan(
        autostart=dice.random() < 0.5,
        disk=dice.random() < 0.9,
        local=dice.random() < 0.8,
        running=dice.random() < 0.6,
    )


def _parts(plan: Plan, dice: random.Random) -> Plan:
    """Each guest has a CPU to itself, and maybe a device."""
    guests = tuple(
        GuestPlan(pin=cpu, device=dice.random() < 0.5, disk=dice.random() < 0.5)
        for cpu, _ in enumerate(plan.guests)
    )
    return replace(plan, family="parts", guests=guests)


MAKERS: Mapping[str, Callable[[Plan, random.Random], Plan]] = {
    "live": _live,
    "postcopy": _postcopy,
    "cold": _cold,
    "parts": _parts,
}
FAULTS_OF: Mapping[str, Sequence[str]] = {
    family: (*FAULTS, *(own if family == "postcopy" else ())) for family, own in OWN.items()
}
"""What the matrix does at each boundary."""
