"""Every process times every moment of a migration: what is done to whom, when, and how it may end."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tests.nested.lab import Document, Host, Lab, Moving

FROZEN_S = 25.0
"""Past a conductor's lease (10 s) and past libvirt's keepalive between hosts."""


@dataclass(frozen=True)
class Victim:
    """A process of the fleet, seen from the migration."""

    name: str
    target: str
    """tools/lab's word for it."""
    ours: bool
    """A process of migrator's, or of what it stands on: the guest's move needs none of them."""

    def words(self, lab: Lab, case: Moving, guest: str, sides: tuple[Host, Host]) -> list[str]:
        """What follows `tools/lab kill`."""
        side = sides[0] if self.name.startswith("source") else sides[1]
        if self.target == "qemu":
            return ["qemu", guest, "--on", side.name]
        if self.target in ("agent", "libvirtd"):
            return [self.target, side.name]
        return [self.target, *([leader(case)] if self.target == "conductor" else [])]


def leader(moving: Moving) -> str:
    """The conductor that leads it, by its history; the first while nobody does."""
    lines = [event["text"] for event in moving.events() if " by c" in event["text"]]
    return lines[-1].rpartition(" by ")[2][:2] if lines else "c1"


VICTIMS = (
    Victim("conductor", "conductor", True),
    Victim("api", "api", True),
    Victim("source agent", "agent", True),
    Victim("destination agent", "agent", True),
    Victim("broker", "broker", True),
    Victim("database", "database", True),
    Victim("source libvirtd", "libvirtd", False),
    Victim("destination libvirtd", "libvirtd", False),
    Victim("source qemu", "qemu", False),
    Victim("destination qemu", "qemu", False),
)
FREEZABLE = ("conductor", "source agent", "destination agent", "destination qemu")

EARLY = frozenset({"queued", "scheduling"})
MOMENTS: Mapping[str, Callable[[Document], bool]] = {
    "accepted": lambda view: True,
    "placed": lambda view: view["state"] not in EARLY,
    "running": lambda view: view["state"] not in EARLY | {"claimed", "preparing"},
    "copying": lambda view: bool(view["memory_total"]),
    "late": lambda view: (
        bool(view["memory_total"]) and view["memory_remaining"] < 0.6 * view["memory_total"]
    ),
    "switching": lambda view: bool(view["memory_total"]),
    "switched": lambda view: view["switched_at"] is not None,
}
"""In the order a migration reaches them."""
HURRIED = ("late", "switching", "switched")
"""Before these libvirt is told to send as fast as it can."""


@dataclass(frozen=True)
class Case:
    """One cell of the matrix."""

    verb: str
    """``kill``, or ``stop`` (and ``cont`` after :data:`FROZEN_S`)."""
    victim: Victim
    moment: str

    def __str__(self) -> str:
        return f"{self.verb} {self.victim.name} {self.moment}".replace(" ", "-")

    @property
    def must_complete(self) -> bool:
        """The transfer runs, and nothing that carries it was hurt."""
        return self.victim.ours and self.moment not in ("accepted", "placed", "running")

    @property
    def may_kill_the_guest(self) -> bool:
        return self.victim.target == "qemu" and self.verb == "kill"

    @property
    def exists(self) -> bool:
        """Something is there to be hurt: no QEMU at the destination before the transfer begins."""
        arrives = self.moment not in ("accepted", "placed", "running")
        return self.victim.name != "destination qemu" or arrives


CASES: Sequence[Case] = [
    case
    for verb, victim, moment in itertools.product(("kill", "stop"), VICTIMS, MOMENTS)
    if (case := Case(verb, victim, moment)).exists and (verb == "kill" or victim.name in FREEZABLE)
]

SAMPLE = (
    "kill-conductor-placed",
    "kill-source-agent-copying",
    "kill-destination-agent-switched",
    "kill-destination-qemu-copying",
)
"""What CI runs of it."""
