"""Profiles as operators see and make them."""

from __future__ import annotations

from migrator.messages.base import Message


class ProfileView(Message, frozen=True):
    """What `profile show -f json` prints. ms, s, MiB/s; null = no limit."""

    name: str
    built_in: bool
    max_downtime_ms: int
    allow_throttle: bool
    allow_postcopy: bool
    allow_pause: bool
    deadline_s: int | None
    deadline_per_gib: int | None
    on_deadline: str
    bandwidth_mib_s: int | None
    postcopy_bandwidth_mib_s: int | None


class ProfileList(Message, frozen=True):
    profiles: list[ProfileView]


class ProfileRef(Message, frozen=True):
    name: str


class PutProfile(Message, frozen=True):
    """Make one, or change one: None leaves a tolerance as it is (of a new one: as ``like`` has it); 0
    takes a limit away."""

    name: str
    like: str | None = None
    max_downtime_ms: int | None = None
    allow_throttle: bool | None = None
    allow_postcopy: bool | None = None
    allow_pause: bool | None = None
    deadline_s: int | None = None
    deadline_per_gib: int | None = None
    on_deadline: str | None = None
    bandwidth_mib_s: int | None = None
    postcopy_bandwidth_mib_s: int | None = None
    by: str = "operator"


class AssignProfile(Message, frozen=True):
    """Which profile an instance has; None: the default."""

    instance: str
    profile: str | None
    by: str = "operator"
