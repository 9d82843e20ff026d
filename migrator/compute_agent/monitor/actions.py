"""What the monitor may do to a transfer. Each says by which rule it was chosen, and on what numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

Facts = Mapping[str, float]
"""The numbers a decision was made on; a name ends in its unit."""


@dataclass(frozen=True)
class Wait:
    """Do nothing."""

    name: ClassVar[str] = "wait"
    rule: str
    facts: Facts = field(default_factory=dict)


@dataclass(frozen=True)
class SetDowntime:
    """Let the guest be frozen for up to ``ms`` at the switch."""

    name: ClassVar[str] = "set_downtime"
    ms: int
    rule: str
    facts: Facts = field(default_factory=dict)
    beyond: bool = False
    """More than the profile's budget: the transfer is to end with whatever is left."""


@dataclass(frozen=True)
class SetSpeed:
    """Limit the bandwidth, of post-copy or of what comes before; 0 takes the limit away."""

    name: ClassVar[str] = "set_speed"
    mib_s: int
    postcopy: bool
    rule: str
    facts: Facts = field(default_factory=dict)


@dataclass(frozen=True)
class StartPostcopy:
    """Let the guest run at the destination now; the rest of its memory follows."""

    name: ClassVar[str] = "start_postcopy"
    rule: str
    facts: Facts = field(default_factory=dict)


@dataclass(frozen=True)
class Suspend:
    """Freeze the guest until the switch; whoever does it resumes the guest if that never comes."""

    name: ClassVar[str] = "suspend"
    rule: str
    facts: Facts = field(default_factory=dict)


@dataclass(frozen=True)
class Abort:
    """Have libvirt end the transfer; the guest stays."""

    name: ClassVar[str] = "abort"
    rule: str
    facts: Facts = field(default_factory=dict)


@dataclass(frozen=True)
class Restart:
    """End the transfer and start it again with these start flags added; the guest stays meanwhile."""

    name: ClassVar[str] = "restart"
    flags: tuple[str, ...]
    rule: str
    facts: Facts = field(default_factory=dict)


Action = Wait | SetDowntime | SetSpeed | StartPostcopy | Suspend | Abort | Restart
