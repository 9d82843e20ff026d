"""What a migration could do, why not, and what is expected of it."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Means(enum.StrEnum):
    """Ways to move a guest, and to help it along, by the names operators know."""

    PRECOPY = "precopy"
    POSTCOPY = "postcopy"
    PAUSE = "pause"
    THROTTLE = "throttle"
    PARALLEL = "parallel"
    """Several connections at once."""
    ZERO_COPY = "zero_copy"
    COMPRESSION = "compression"
    SYNCHRONOUS_WRITES = "synchronous_writes"
    """A copied disk's writes wait for the copy, so that it converges."""


@dataclass(frozen=True)
class MeansVerdict:
    """Whether the two hosts and the guest allow it. What the profile permits is another question."""

    means: Means
    possible: bool
    why: str = ""
    """Of a no, and of whether it is used; a half sentence."""
    used: bool | None = None
    """Whether the transfer starts with it; None where that is not for the plan to choose."""

    def __str__(self) -> str:
        if not self.possible:
            return f"{self.means}: no, {self.why}"
        if self.used is None:
            return f"{self.means}: yes"
        return f"{self.means}: {'used' if self.used else 'not used'}, {self.why}"


@dataclass(frozen=True)
class Span:
    """From the lucky to the unlucky case; the unit is in the field's name."""

    least: float
    most: float


@dataclass(frozen=True)
class DirtyRate:
    """What libvirt measured of a guest before it moves: ``dirtied`` bytes within ``seconds``."""

    seconds: float
    dirtied: int


MEASURED_S = 1
"""How long libvirt looks for a guest's dirty rate: enough for a forecast, short enough to wait for."""


class Packing(enum.StrEnum):
    """What a stream that is packed as well as most are would do for a pre-copy."""

    NOTHING = "nothing"
    """Or nobody has measured."""
    SOONER = "sooner"
    NEEDED = "needed"
    """It would not end otherwise."""


@dataclass(frozen=True)
class Forecast:
    """What is expected of a move; kept beside what it came to."""

    method: str
    """How its memory will probably get across: precopy, postcopy, pause; ``none`` when the profile
    permits nothing that would end it."""
    duration_s: Span | None
    """None while no bandwidth of the two hosts is known."""
    downtime_ms: Span | None
    bandwidth_mib_s: float | None
    dirty_mib_s: float | None
    based_on: str
    """In words: which measurements."""
    sure: bool = False
    """Pre-copy ends it within the budget in every case that the measurements leave open."""
    packing: Packing = Packing.NOTHING
