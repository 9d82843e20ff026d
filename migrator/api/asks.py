"""What a request may say. One struct per kind of request; path, query and body fill its fields.

Unknown fields are refused and not ignored: a misspelt ``host`` must not send a guest to a host that
nobody chose.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

MAX_NAME = 255
"""Characters; the longest name libvirt's file based storage can hold."""

NAME_PATTERN = r"^[^/\x00-\x1f\x7f-\x9f]+$(?!\n)"
TEXT_PATTERN = r"^[^\x00-\x1f\x7f-\x9f]*$(?!\n)"
"""No control characters. The look-ahead says to Python what ``$`` alone says to a JSON schema."""

MAX_LISTED = 1000

MAX_BANDWIDTH_MIB_S = 1_000_000
"""No network is faster; a number above it is a mistaken unit."""

MAX_DOWNTIME_MS = 2_000_000
"""QEMU's own limit."""

Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME, pattern=NAME_PATTERN)]
"""Of an instance, a host or a migration: anything but '/' and control characters, as in libvirt."""

Text = Annotated[str, Meta(min_length=1, max_length=1024, pattern=TEXT_PATTERN)]
RequestId = Annotated[str, Meta(min_length=1, max_length=128, pattern=TEXT_PATTERN)]


Label = Annotated[str, Meta(max_length=64, pattern=TEXT_PATTERN)]
Labels = Annotated[list[Label], Meta(max_length=32)]
ProfileName = Annotated[str, Meta(min_length=1, max_length=63, pattern=NAME_PATTERN)]
OnDeadline = Literal["abort", "force", "continue"]
MAX_SECONDS = 30 * 86400
Limit = Annotated[int, Meta(ge=0, le=MAX_BANDWIDTH_MIB_S)]
"""MiB/s; 0 takes it away."""
Deadline = Annotated[int, Meta(ge=0, le=MAX_SECONDS)]
"""Seconds; 0 takes it away."""


class Ask(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every request."""


class Nothing(Ask, frozen=True):
    """A request without fields."""


def _something_of(ask: Ask) -> None:
    """A change of nothing is a slip: a misread manual, a variable that was empty."""
    first, *others = ask.__struct_fields__
    if all(getattr(ask, name) is None for name in others):
        raise ValueError(f"nothing is to be changed of {getattr(ask, first)}: give a field")


class OneHost(Ask, frozen=True):
    name: Name


class ChangeHost(Ask, frozen=True):
    name: Name
    state: Literal["enabled", "disabled", "draining", "maintenance"] | None = None
    tags: Labels | None = None
    """All it has from now on."""
    zone: Label | None = None
    """Empty: none."""

    def __post_init__(self) -> None:
        _something_of(self)


class OnePool(Ask, frozen=True):
    name: Name


class OneInstance(Ask, frozen=True):
    id: Name


class ChangeInstance(Ask, frozen=True):
    id: Name
    host: Name | None = None
    profile: Annotated[str, Meta(max_length=63, pattern=TEXT_PATTERN)] | None = None
    """Empty: the default."""
    affinity: Labels | None = None
    anti_affinity: Labels | None = None
    tags: Labels | None = None
    forbidden_tags: Labels | None = None
    zone: Label | None = None
    """Empty, here and below: none."""
    threads: Literal["prefer", "require", "isolate", ""] | None = None
    pci_numa: Literal["required", "socket", "legacy", "preferred", ""] | None = None
    pci_live: Literal["refuse", "detach", ""] | None = None
    scratch: Labels | None = None
    """Disks, by target, whose content nobody needs once the guest is off."""

    def __post_init__(self) -> None:
        _something_of(self)


class OneMigration(Ask, frozen=True):
    id: Name


class ForceMigration(Ask, frozen=True):
    id: Name
    method: Literal["auto", "postcopy", "downtime", "pause"] = "auto"


class TuneMigration(Ask, frozen=True):
    """Limits for one migration; what is left out stays as it is. A bandwidth of 0 is no limit."""

    id: Name
    bandwidth_mib_s: Annotated[int, Meta(ge=0, le=MAX_BANDWIDTH_MIB_S)] | None = None
    postcopy_bandwidth_mib_s: Annotated[int, Meta(ge=0, le=MAX_BANDWIDTH_MIB_S)] | None = None
    max_downtime_ms: Annotated[int, Meta(ge=1, le=MAX_DOWNTIME_MS)] | None = None

    def __post_init__(self) -> None:
        if (self.bandwidth_mib_s, self.postcopy_bandwidth_mib_s, self.max_downtime_ms) == (
            None,
            None,
            None,
        ):
            raise ValueError("nothing is to be changed: give a bandwidth or max_downtime_ms")


class SomeMigrations(Ask, frozen=True):
    forced: bool = False
    needs_attention: bool = False
    active: bool = False
    instance: Name | None = None
    host: Name | None = None
    limit: Annotated[int, Meta(ge=1, le=MAX_LISTED)] = 100


class SomeEvents(Ask, frozen=True):
    id: Name
    after: Annotated[int, Meta(ge=0, le=2**53)] = 0
    limit: Annotated[int, Meta(ge=1, le=MAX_LISTED)] = 500


class VerifyAll(Ask, frozen=True):
    repair: bool = False


class NewMigration(Ask, frozen=True):
    """``request_id`` is the client's own: the same id gets the same answer, so a request whose answer
    was lost may be sent again."""

    instance: Name
    kind: Annotated[str, Meta(min_length=1, max_length=32, pattern=TEXT_PATTERN)] = "live"
    host: Name | None = None
    force: bool = False
    reason: Text | None = None
    bandwidth_mib_s: Annotated[int, Meta(ge=1, le=MAX_BANDWIDTH_MIB_S)] | None = None
    disk_pools: dict[Name, Name] = msgspec.field(default_factory=dict)
    flatten: bool = False
    profile: ProfileName | None = None
    deadline_s: Annotated[int, Meta(ge=1, le=MAX_SECONDS)] | None = None
    on_deadline: OnDeadline | None = None
    postcopy_bandwidth_mib_s: Annotated[int, Meta(ge=1, le=MAX_BANDWIDTH_MIB_S)] | None = None
    priority: Annotated[int, Meta(ge=-1000, le=1000)] = 0
    request_id: RequestId | None = None

    def __post_init__(self) -> None:
        if self.force and (self.host is None or self.reason is None):
            raise ValueError(
                "force needs a host and a reason: it skips policy there, and the reason is recorded"
            )
        if self.reason is not None and not self.force:
            raise ValueError("a reason is recorded with force only; leave it out or set force")


class OneProfile(Ask, frozen=True):
    name: ProfileName


class ChangeProfile(Ask, frozen=True):
    """What is not given stays as it is."""

    name: ProfileName
    max_downtime_ms: Annotated[int, Meta(ge=1, le=2_000_000)] | None = None
    allow_throttle: bool | None = None
    allow_postcopy: bool | None = None
    allow_pause: bool | None = None
    deadline_s: Deadline | None = None
    deadline_per_gib: Deadline | None = None
    on_deadline: OnDeadline | None = None
    bandwidth_mib_s: Limit | None = None
    postcopy_bandwidth_mib_s: Limit | None = None


class NewProfile(ChangeProfile, frozen=True):
    """What is not given is as in the profile named by ``like``; ``strict`` without one."""

    like: ProfileName | None = None
