"""What migrator knows, as frozen values. Stores take and return these; nothing here does I/O.

Units: memory in bytes unless a name ends in ``_mib``; durations in ms where the name says so,
otherwise seconds; times are timezone-aware UTC.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from migrator.states import MigrationState


class Kind(enum.StrEnum):
    """How an instance moves. Evacuation is a reserved word and refused."""

    LIVE = "live"


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


class ClaimPurpose(enum.StrEnum):
    """Why resources are reserved on a host."""

    USE = "use"
    """An instance lives there."""
    INCOMING = "incoming"
    """A migration is bringing an instance there."""
    LEAVING = "leaving"
    """The instance has left; the source is not released yet."""


class TodoKind(enum.StrEnum):
    """Durable work on one host, retried until done."""

    FENCE_SOURCE = "fence_source"
    FINISH_DESTINATION = "finish_destination"
    RELEASE_SOURCE = "release_source"
    UNDO_DESTINATION = "undo_destination"


@dataclass(frozen=True)
class AttemptMark:
    """What a domain's metadata says about the attempt that is moving it."""

    migration_id: str
    attempt: int
    autostart: bool
    """Whether the source started it with its host; cleared there for the transfer."""


@dataclass(frozen=True)
class JobSample:
    """One reading of libvirt's job statistics of a running transfer; bytes, ms and bytes/s."""

    operation: str
    elapsed_ms: int = 0
    memory_total: int = 0
    memory_processed: int = 0
    memory_remaining: int = 0
    memory_bandwidth: int = 0
    memory_page_size: int = 0
    memory_dirty_pages_per_s: int = 0
    memory_iteration: int = 0
    memory_postcopy_requests: int = 0
    disk_total: int = 0
    disk_processed: int = 0
    disk_remaining: int = 0


@dataclass(frozen=True)
class Statistics:
    """libvirt's statistics of an ended transfer; None where it did not say. bytes and ms."""

    downtime_ms: int | None = None
    downtime_net_ms: int | None = None
    total_ms: int | None = None
    setup_ms: int | None = None
    memory_total: int | None = None
    memory_processed: int | None = None
    disk_total: int | None = None
    iterations: int | None = None


@dataclass(frozen=True)
class DomainView:
    """One domain as one host's libvirt showed it at one moment."""

    state: DomainState
    reason: Reason = Reason.UNKNOWN
    name: str = ""
    persistent: bool = False
    autostart: bool = False
    mark: AttemptMark | None = None
    job: JobSample | None = None

    @property
    def active(self) -> bool:
        """A QEMU process exists there."""
        return self.state in ACTIVE_STATES


@dataclass(frozen=True)
class DomainSummary:
    """What inventory says of one domain."""

    id: str
    name: str
    state: DomainState
    reason: Reason
    persistent: bool
    vcpus: int
    memory_mib: int
    incoming: bool = False
    """A migration is bringing it here: not this host's guest yet."""


@dataclass(frozen=True)
class HostFacts:
    """What a host is, from its libvirt only."""

    libvirt_version: int
    hypervisor_version: int
    """Both as libvirt writes them: major * 1,000,000 + minor * 1,000 + release."""
    arch: str
    cpus: int
    memory_mib: int
    pools: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    host_uuid: str = ""


@dataclass(frozen=True)
class HostAddresses:
    """How a host is reached; configured, never guessed."""

    libvirt_uri: str
    """For the host's own agent."""
    peer_uri: str
    """For the other hosts' libvirtds."""
    control_address: str
    migration_address: str
    disk_address: str


@dataclass(frozen=True)
class Host:
    """A machine with an agent, as the database knows it."""

    name: str
    state: HostState
    addresses: HostAddresses
    incarnation: str
    """Identity of the agent process that last reported; new at each of its starts."""
    agent_version: str
    alive: bool
    """The agent has reported lately and reaches its libvirt."""
    why_down: str
    seen_at: datetime | None
    facts: HostFacts | None
    inventory_generation: int
    claims_generation: int


@dataclass(frozen=True)
class Instance:
    """A VM migrator knows: id = domain UUID."""

    id: str
    name: str
    host: str | None
    """The owner: where it is active, or the only host that defines it."""
    status: InstanceStatus
    vcpus: int
    memory_mib: int
    persistent: bool
    candidates: tuple[str, ...] = ()
    """Hosts that define it, when that leaves its owner open."""
    migration_id: str | None = None
    """Its unfinished migration."""
    updated_at: datetime | None = None


@dataclass(frozen=True)
class Claim:
    """Resources reserved on a host for one instance."""

    id: int
    host: str
    instance_id: str
    instance_name: str
    purpose: ClaimPurpose
    vcpus: int
    memory_mib: int
    migration_id: str | None
    created_at: datetime


@dataclass(frozen=True)
class MigrationRequest:
    """What an operator asked for, after validation."""

    instance: str
    kind: Kind = Kind.LIVE
    mode: Mode = Mode.AUTO
    host: str | None = None
    force_reason: str | None = None
    bandwidth_mib_s: int | None = None
    priority: int = 0
    request_id: str | None = None
    """Chosen by the client; the same id gets the same answer."""


@dataclass(frozen=True)
class ActionRecord:
    """Something that was decided or asked about a running migration, for its record."""

    at: datetime
    action: str
    rule: str
    by: str
    result: str


@dataclass(frozen=True)
class Migration:
    """One instance moving; the row that says where it stands."""

    id: str
    instance_id: str
    instance_name: str
    kind: Kind
    mode: Mode
    state: MigrationState
    created_at: datetime
    request_id: str | None = None
    requested_host: str | None = None
    force_reason: str | None = None
    forced_policies: tuple[str, ...] = ()
    bandwidth_mib_s: int | None = None
    priority: int = 0
    source: str | None = None
    destination: str | None = None
    epoch: int = 0
    leader: str | None = None
    attempt: int = 0
    abort_by: str | None = None
    """Who asked for the abort; None while nobody has."""
    started_at: datetime | None = None
    switched_at: datetime | None = None
    finished_at: datetime | None = None
    method: Method | None = None
    statistics: Statistics = Statistics()
    actions: tuple[ActionRecord, ...] = ()
    attention: str | None = None
    """Why a person should look; None while nobody needs to."""
    error_code: str | None = None
    error: str | None = None


@dataclass(frozen=True)
class MigrationEvent:
    """One line of a migration's append-only history."""

    seq: int
    migration_id: str
    at: datetime
    kind: str
    """``state``, ``step``, ``action``, ``todo``, ``observed``, ``alarm``."""
    text: str
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Progress:
    """How far a migration is, kept in memory; None where nobody has said. bytes, bytes/s."""

    phase: Phase
    memory_total: int | None = None
    memory_remaining: int | None = None
    disk_total: int | None = None
    disk_remaining: int | None = None
    iteration: int | None = None
    dirty_rate: int | None = None
    bandwidth: int | None = None


@dataclass(frozen=True)
class Todo:
    """Durable work on one host."""

    id: int
    migration_id: str
    kind: TodoKind
    host: str
    payload: Mapping[str, Any]
    attempts: int
    next_try_at: datetime
    last_error: str | None
    created_at: datetime


@dataclass(frozen=True)
class Refusal:
    """One no, as a value: who says it, its code, and a sentence with what to do next."""

    filter: str
    code: str
    message: str
    facts: Mapping[str, Any] = field(default_factory=dict)


# Effects: what a move of a migration changes besides its own row, in the same transaction.


@dataclass(frozen=True)
class TakeClaim:
    """Reserve on a host; fails ``claim.conflict`` when its claims generation has moved on."""

    host: str
    claims_generation: int
    vcpus: int
    memory_mib: int


@dataclass(frozen=True)
class DropClaim:
    """Release what this migration reserved on a host; nothing when it is released already."""

    host: str


@dataclass(frozen=True)
class SwitchOwner:
    """The instance lives on ``destination`` now: owner moved, claims swapped (incoming -> use,
    use -> leaving)."""

    source: str
    destination: str


@dataclass(frozen=True)
class AddTodo:
    """Durable work that follows."""

    kind: TodoKind
    host: str
    payload: Mapping[str, Any] = field(default_factory=dict)


Effect = TakeClaim | DropClaim | SwitchOwner | AddTodo
