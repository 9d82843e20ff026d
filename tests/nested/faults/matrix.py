"""Every process times every moment of a migration: what is done to whom, when, and how it may end."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tests.nested.lab import Document, Host, Lab, Moving

FROZEN_S = 25.0
"""Past a conductor's lease (10 s) and past libvirt's keepalive between hosts."""
BACK = {"stop": "cont", "cut": "heal"}
"""What takes a fault back that lasts; what was killed is started again."""


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
        if self in PLANES:
            return [side.name, "--plane", self.target]
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
SERVERS = ("broker", "database")
"""Nobody's transfer passes through them: one that answers late is one that is away."""
PLANES = (
    Victim("source control plane", "control", False),
    Victim("destination control plane", "control", False),
    Victim("migration plane", "migration", False),
)
"""Networks of a host; the guest's memory takes the last one, and no host says a word of the others."""
SPLIT = "split"
"""The moment in which the guest runs at the destination with memory still at the source; a migration
comes to it only when it is told to."""
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
    SPLIT: lambda view: view["state"] == "postcopy",
}
"""In the order a migration reaches them, those of pre-copy first."""
HURRIED = ("late", "switching", "switched")
"""Before these libvirt is told to send as fast as it can."""


@dataclass(frozen=True)
class Case:
    """One cell of the matrix."""

    verb: str
    """``kill``; or ``stop`` or ``cut``, taken back after :data:`FROZEN_S`."""
    victim: Victim
    moment: str

    def __str__(self) -> str:
        return f"{self.verb} {self.victim.name} {self.moment}".replace(" ", "-")

    @property
    def must_complete(self) -> bool:
        """The transfer runs, and nothing that carries it was hurt; in post-copy only a dead QEMU
        takes any of it away."""
        if self.moment == SPLIT:
            return not self.may_kill_the_guest
        return self.victim.ours and self.moment not in ("accepted", "placed", "running")

    @property
    def ends(self) -> frozenset[str]:
        """States it may end in."""
        if self.must_complete:
            return frozenset({"completed"})
        if self.moment == SPLIT:
            return frozenset({"completed", "lost"})
        return frozenset({"completed", "failed", "rejected", "cancelled"})

    @property
    def may_kill_the_guest(self) -> bool:
        return self.victim.target == "qemu" and self.verb == "kill"

    @property
    def exists(self) -> bool:
        """Something is there to be hurt: no QEMU at the destination before the transfer begins."""
        arrives = self.moment not in ("accepted", "placed", "running")
        return self.victim.name != "destination qemu" or arrives


HURT_BY: Mapping[str, Sequence[Victim]] = {
    "kill": VICTIMS,
    "stop": [victim for victim in VICTIMS if victim.target not in SERVERS],
    "cut": PLANES,
}
CASES: Sequence[Case] = [
    case
    for verb, victims in HURT_BY.items()
    for victim, moment in itertools.product(victims, MOMENTS)
    if (case := Case(verb, victim, moment)).exists
]

SAMPLE = (
    "kill-conductor-placed",
    "kill-source-agent-copying",
    "kill-destination-agent-switched",
    "kill-destination-qemu-copying",
)
"""What CI runs of it."""
