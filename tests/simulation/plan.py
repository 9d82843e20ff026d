"""What one run does: hosts, guests, migrations, weather and faults, all of it from the seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.simulation.network import Weather


@dataclass(frozen=True)
class Trigger:
    """When a fault strikes: at the ``nth`` point called ``label`` of a process in ``role``, or, without
    a label, ``after_s`` seconds after the first migration was asked for."""

    role: str = ""
    """``conductor``, or a host's name for its agent."""
    label: str = ""
    nth: int = 1
    after_s: float = 0.0

    def __str__(self) -> str:
        if self.label:
            return f"{self.role}:{self.label}#{self.nth}"
        return f"at {self.after_s:.3f} s"


@dataclass(frozen=True)
class Fault:
    """What happens then. ``seconds`` later it is mended, where it can be."""

    kind: str
    trigger: Trigger
    seconds: float = 5.0

    def __str__(self) -> str:
        return f"{self.kind} for {self.seconds:.1f} s {self.trigger}"


@dataclass(frozen=True)
class GuestPlan:
    """A guest of the run; all start on h1."""

    persistent: bool = True
    autostart: bool = False
    paused: bool = False
    disk: bool = True
    running: bool = True
    local: bool = False
    """Its disk lies in a pool that every host has for itself."""
    pin: int | None = None
    """The CPU its vCPU has to itself."""
    device: bool = False
    """It has a virtual function, and can do without while it moves."""


@dataclass(frozen=True)
class Plan:
    """One run, whole."""

    seed: int
    yields: float = 0.2
    hosts: int = 2
    conductors: int = 1
    copy_s: float = 5.0
    guests: tuple[GuestPlan, ...] = (GuestPlan(),)
    target: str | None = "h2"
    """None lets the conductor choose."""
    family: str = "live"
    """What kind of moves it is about; see ``families.py``."""
    kind: str = "live"
    profile: str | None = None
    confirm_s: float = 0.0
    """So long the source of a cold move keeps its guest."""
    weather: Weather = field(default_factory=Weather)
    skew: tuple[tuple[str, float], ...] = ()
    """Host -> seconds its agent's clock is off."""
    faults: tuple[Fault, ...] = ()
    once_more: bool = False
    """Afterwards the guest is moved again, undisturbed."""

    def __str__(self) -> str:
        faults = "; ".join(map(str, self.faults)) or "no faults"
        return (
            f"seed {self.seed} ({self.family}): {self.hosts} hosts, {self.conductors} conductors, "
            f"{len(self.guests)} guests to {self.target or 'anywhere'}, copying {self.copy_s:.1f} s; "
            f"{self.weather}; skew {dict(self.skew)}; {faults}"
        )


OURS = ("kill_conductor", "freeze_conductor", "kill_source_agent", "kill_destination_agent")
"""Processes of migrator's own, killed or frozen."""
FAULTS = (
    *OURS,
    "freeze_source_agent",
    "freeze_destination_agent",
    "kill_source_libvirtd",
    "kill_destination_libvirtd",
    "kill_source_qemu",
    "kill_destination_qemu",
    "freeze_destination_qemu",
    "cut_migration_link",
    "lose_replies",
    "cut_off_conductor",
    "cut_off_source_agent",
    "cut_off_destination_agent",
    "database_away",
    "cut_commit",
    "guest_powers_off",
    "guest_crashes",
    "guest_is_deleted",
    "user_pauses",
    "operator_aborts",
)


def random_plan(seed: int) -> Plan:
    """A run of live moves with random faults; the other families begin from it."""
    dice = random.Random(f"plan {seed}")
    conductors = dice.choice((1, 1, 2, 3))
    hosts = dice.choice((2, 2, 3))
    guests = tuple(_guest(dice) for _ in range(dice.choice((1, 1, 1, 2))))
    copy_s = dice.choice((0.5, 3.0, 15.0))
    return Plan(
        seed=seed,
        yields=dice.choice((0.0, 0.1, 0.4)),
        hosts=hosts,
        conductors=conductors,
        copy_s=copy_s,
        guests=guests,
        target="h2" if hosts == 2 or dice.random() < 0.5 else None,
        weather=_weather(dice),
        skew=_skew(dice),
        faults=tuple(random_fault(dice, copy_s) for _ in range(dice.choice((0, 1, 1, 2, 2, 3, 4)))),
        once_more=dice.random() < 0.1,
    )


def _skew(dice: random.Random) -> tuple[tuple[str, float], ...]:
    """Now and then an agent's clock is an hour off."""
    if dice.random() >= 0.15:
        return ()
    return ((dice.choice(("h1", "h2")), dice.choice((-3600.0, 3600.0))),)


def _guest(dice: random.Random) -> GuestPlan:
    persistent = dice.random() < 0.7
    return GuestPlan(
        persistent=persistent,
        autostart=persistent and dice.random() < 0.5,
        paused=dice.random() < 0.1,
        disk=dice.random() < 0.7,
    )


def _weather(dice: random.Random) -> Weather:
    bad = dice.random() < 0.3
    return Weather(
        duplicated=dice.choice((0.0, 0.05, 0.2)) if bad else 0.0,
        delayed=dice.choice((0.0, 0.02, 0.1)) if bad else 0.0,
        delay_s=dice.choice((1.0, 10.0, 60.0)),
        reply_lost=dice.choice((0.0, 0.02, 0.05)) if bad else 0.0,
        request_lost=dice.choice((0.0, 0.02)) if bad else 0.0,
        queues_outlive=dice.random() < 0.5,
    )


def random_fault(dice: random.Random, copy_s: float, kinds: Sequence[str] = FAULTS) -> Fault:
    seconds = dice.choice((0.2, 1.0, 5.0, 12.0, 40.0))
    if dice.random() < 0.5:
        trigger = Trigger(after_s=dice.uniform(0.0, copy_s + 4.0))
    else:
        role = dice.choice(("conductor", "conductor", "h1", "h2"))
        trigger = Trigger(role, ANY, nth=dice.randrange(1, 120))
    return Fault(dice.choice(kinds), trigger, seconds)


ANY = "*"
"""Every point of the role."""


def single_fault(seed: int, kind: str, trigger: Trigger) -> Plan:
    """A run of the enumerated matrix: one fault at one point."""
    dice = random.Random(f"single {seed}")
    return Plan(
        seed=seed,
        yields=dice.choice((0.0, 0.2)),
        conductors=dice.choice((1, 2)),
        copy_s=dice.choice((1.0, 8.0)),
        guests=(_guest(dice),),
        weather=Weather(queues_outlive=dice.random() < 0.5),
        faults=(Fault(kind, trigger, dice.choice((0.5, 6.0, 20.0))),),
    )
