"""The words facts are told in: enums, each value as libvirt or an operator names it."""

from __future__ import annotations

import enum


class Kind(enum.StrEnum):
    """How an instance moves. Evacuation is a reserved word and refused."""

    LIVE = "live"
    """While it runs."""
    COLD = "cold"
    """While it is off, stopped for it if need be: its volumes are streamed, its memory is not."""


class Mode(enum.StrEnum):
    """Who chose the destination: migrator, the operator with every check, or the operator by force."""

    AUTO = "auto"
    TARGET = "target"
    FORCE = "force"


class Phase(enum.StrEnum):
    """What an operator watching a migration sees it doing."""

    QUEUE = "queue"
    PREPARE = "prepare"
    DISK = "disk"
    MEMORY = "memory"
    SWITCHOVER = "switchover"
    POSTCOPY = "postcopy"
    FINISH = "finish"


class Method(enum.StrEnum):
    """How the guest's memory got across."""

    PRECOPY = "precopy"
    POSTCOPY = "postcopy"
    PAUSE = "pause"
    COLD = "cold"


class DomainState(enum.StrEnum):
    """libvirt's virDomainState, and ``absent`` for a host that answered that it has no such domain.

    A host that did not answer is never ``absent``: that is ``None`` wherever a view is optional.
    """

    NOSTATE = "nostate"
    RUNNING = "running"
    BLOCKED = "blocked"
    PAUSED = "paused"
    SHUTDOWN = "shutdown"
    SHUTOFF = "shutoff"
    CRASHED = "crashed"
    PMSUSPENDED = "pmsuspended"
    ABSENT = "absent"


ACTIVE_STATES = frozenset(
    {
        DomainState.RUNNING,
        DomainState.BLOCKED,
        DomainState.PAUSED,
        DomainState.SHUTDOWN,
        DomainState.PMSUSPENDED,
    }
)
"""A QEMU process exists."""


class Reason(enum.StrEnum):
    """libvirt's reason beside a domain's state, as far as a migration can depend on it."""

    UNKNOWN = "unknown"
    OTHER = "other"
    BOOTED = "booted"
    UNPAUSED = "unpaused"
    USER = "user"
    IOERROR = "ioerror"
    CRASHED = "crashed"
    SAVED = "saved"
    STARTING_UP = "starting_up"
    MIGRATION = "migration"
    MIGRATED = "migrated"
    MIGRATION_CANCELED = "migration_canceled"
    POSTCOPY = "postcopy"
    POSTCOPY_FAILED = "postcopy_failed"


class InstanceStatus(enum.StrEnum):
    """What migrator knows about an instance's whereabouts."""

    RUNNING = "running"
    PAUSED = "paused"
    SHUTOFF = "shutoff"
    AMBIGUOUS = "ambiguous"
    GONE = "gone"
    SPLIT_BRAIN = "split_brain"
    UNKNOWN = "unknown"


class HostState(enum.StrEnum):
    """What the operator allows a host to receive."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    """Nothing new comes; what is there stays."""
    DRAINING = "draining"
    """Nothing comes, and what is there goes."""
    MAINTENANCE = "maintenance"
    """Nothing comes; its operator works on it."""


class ClaimPurpose(enum.StrEnum):
    """Why resources are reserved on a host."""

    USE = "use"
    """An instance lives there."""
    INCOMING = "incoming"
    """A migration is bringing an instance there."""
    LEAVING = "leaving"
    """The instance has left; the source is not released yet."""
    FOREIGN = "foreign"
    """A domain of it is seen there that is not its guest, for all anybody knows; what that has of the
    host's CPUs and devices is nobody else's."""


class ExclusiveUse(enum.StrEnum):
    """Why a CPU or a device of a host is one claim's alone."""

    GIVEN = "given"
    """A vCPU runs on it, or the guest has the device."""
    EMULATOR = "emulator"
    """QEMU's own threads run on it."""
    BLOCKED = "blocked"
    """It shares a core with a CPU, or is a part of a device, that is given."""


class ClaimFault(enum.StrEnum):
    """How a claim and what is really on its host differ."""

    LEAKED = "leaked"
    """Claimed, and nothing uses it."""
    MISSING = "missing"
    """Used by a guest of this host, and not claimed."""
    MISMATCHED = "mismatched"
    """Claimed, but not as it is used."""
    FOREIGN = "foreign"
    """Used by a guest that does not live here as far as anybody knows."""
    UNCHECKED = "unchecked"
    """The host did not answer."""


class TodoKind(enum.StrEnum):
    """Durable work on one host, retried until done."""

    FENCE_SOURCE = "fence_source"
    FINISH_DESTINATION = "finish_destination"
    RELEASE_SOURCE = "release_source"
    CONFIRM = "confirm"
    """Let the source of a cold move go, once its time to be reverted is over."""
    REVERT = "revert"
    """Bring the guest of a cold move back to its source."""
    START_AGAIN = "start_again"
    """Start a guest at its source that obeys a stop which was called off."""
    UNDO_DESTINATION = "undo_destination"
    DELETE_VOLUMES = "delete_volumes"
    ATTACH_DEVICES = "attach_devices"
