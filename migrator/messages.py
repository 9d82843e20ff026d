"""What crosses a wire: RPC requests and replies, the HTTP API's documents.

Rules: one request and one reply per method; fields are only ever added, always with a default; an
unknown field is ignored, an unknown version refused. ``tests/unit/test_messages.py`` pins a
fingerprint of every type, so that a change that is not additive cannot pass unnoticed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from migrator.model import (
    DomainSummary,
    DomainView,
    HostAddresses,
    HostFacts,
    JobSample,
    Refusal,
    Statistics,
)

RPC_VERSION = "1.0"
CONDUCTOR_TOPIC = "migrator.conductor"
AGENT_TOPIC = "migrator.agent"


@dataclass(frozen=True)
class Method:
    """One RPC method: its name, what it takes and what it answers."""

    name: str
    request: type[msgspec.Struct]
    reply: type[msgspec.Struct]


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False):
    """Base of everything that crosses a wire."""


class Empty(Message, frozen=True):
    """Nothing to say."""


# ---------------------------------------------------------------- agent: reading


class InstanceRef(Message, frozen=True):
    """Asks about one instance."""

    instance_id: str


class DiskFacts(Message, frozen=True):
    """One disk of a running domain, and the volume it is, when it is one."""

    target: str
    device: str
    """``disk``, ``cdrom``, ``floppy`` or ``lun``."""
    source_type: str
    """libvirt's disk type: file, block, volume, network... ; empty for a drive without a medium."""
    pool: str | None = None
    volume: str | None = None
    path: str | None = None
    format: str = "raw"
    """From the domain XML; none given means raw, as libvirt reads it. Never probed."""
    cache: str | None = None
    read_only: bool = False
    shareable: bool = False


class SourceFacts(Message, frozen=True):
    """Everything the other steps need to know of the source, read once."""

    instance_id: str
    name: str
    view: DomainView
    live_xml: str
    inactive_xml: str | None
    """None for a transient domain."""
    vcpus: int
    memory_mib: int
    arch: str
    machine: str
    virt_type: str
    emulator: str
    cpu_xml: str | None
    """The CPU as running (libvirt's expanded ``<cpu>``), None when the domain has none."""
    disks: list[DiskFacts]
    networks: list[str]
    host_devices: list[str]
    """What cannot migrate live, one sentence each."""
    libvirt_version: int
    hypervisor_version: int


class PoolIdentity(Message, frozen=True):
    """Proof of which storage a pool really is: a token kept in it and a nonce just written."""

    name: str
    kind: str
    path: str | None
    token: str
    nonce: str
    writer: str = ""
    """Host UUID of the agent that wrote the nonce; names the volume it is in."""


class CheckDestination(Message, frozen=True):
    """Asks a host whether it could run the guest; changes nothing."""

    instance_id: str
    name: str
    arch: str
    machine: str
    virt_type: str
    cpu_xml: str | None
    vcpus: int
    memory_mib: int
    pools: list[str]
    volumes: list[list[str]]
    """[pool, volume] of each disk that must be reachable there."""
    networks: list[str]
    source_libvirt_version: int
    source_hypervisor_version: int
    encryption: str = "required"


class DestinationChecked(Message, frozen=True):
    """Every no at once, never only the first; and what the source must prove."""

    refusals: list[Refusal]
    pools: list[PoolIdentity] = msgspec.field(default_factory=list)
    libvirt_version: int = 0
    hypervisor_version: int = 0


class CheckSource(Message, frozen=True):
    """Asks the source whether the guest may leave; changes nothing."""

    instance_id: str
    peer_uri: str
    pools: list[PoolIdentity] = msgspec.field(default_factory=list)
    encryption: str = "required"


class SourceChecked(Message, frozen=True):
    """Refusals, and which of the pools asked about are the same storage here."""

    refusals: list[Refusal]
    shared_pools: list[str] = msgspec.field(default_factory=list)
    not_shared: list[Refusal] = msgspec.field(default_factory=list)


class TransferView(Message, frozen=True):
    """What this agent process knows of a transfer that leaves its host."""

    migration_id: str
    attempt: int
    ended: bool
    ok: bool | None = None
    error: str | None = None
    abort_requested: bool = False


class Inspected(Message, frozen=True):
    """One side of the outcome table, read now."""

    view: DomainView
    transfer: TransferView | None = None
    statistics: Statistics | None = None


# ---------------------------------------------------------------- agent: commands


class Command(Message, frozen=True):
    """Fields every state-changing command carries.

    An agent refuses another incarnation than its own and a lower epoch than it has seen for the
    migration (``command.stale``), refuses one past its deadline, and answers a repeat of (migration,
    attempt, epoch, step, op) with its first result.
    """

    incarnation: str
    migration_id: str
    attempt: int
    epoch: int
    step: str
    deadline_s: float
    """Seconds from receipt in which the work must have ended."""
    instance_id: str


class PrepareDestination(Command, frozen=True):
    """Make the host ready to receive: refresh pools, look the volumes up, check nothing is there."""

    name: str
    migration_address: str
    vcpus: int
    memory_mib: int
    pools: list[str] = msgspec.field(default_factory=list)
    volumes: list[list[str]] = msgspec.field(default_factory=list)
    networks: list[str] = msgspec.field(default_factory=list)


class DestinationPrepared(Message, frozen=True):
    """Where QEMU will listen."""

    migrate_uri: str
    listen_address: str


class TransferPlan(Message, frozen=True):
    """How to move: libvirt's migration parameters, and flags by their libvirt names in lower case."""

    peer_uri: str
    migrate_uri: str
    listen_address: str
    destination_xml: str
    persistent_xml: str | None
    flags: list[str]
    bandwidth_mib_s: int | None = None
    disks_uri: str | None = None
    migrate_disks: list[str] = msgspec.field(default_factory=list)
    tls_destination: str | None = None


class StartTransfer(Command, frozen=True):
    """Adopt the transfer of this attempt if libvirt already runs it, else start it."""

    plan: TransferPlan
    autostart: bool


class TransferStarted(Message, frozen=True):
    """libvirt has the job; ``adopted`` when it had it before this call."""

    adopted: bool


class Abort(Command, frozen=True):
    """Stop the transfer, and leave the source as before it: mark removed, autostart restored."""

    autostart: bool


class Aborted(Message, frozen=True):
    """``aborted``: no transfer runs and the guest is the source's; ``too_late``: it has switched."""

    result: str
    view: DomainView | None = None


class FenceSource(Command, frozen=True):
    """The destination runs the guest: destroy what is left of it here, never anything else."""

    sure: bool = False
    """The destination has just been seen to have it: also destroy what does not look left behind."""


class SourceFenced(Message, frozen=True):
    """``gone``, ``destroyed``, ``destroyed_running`` (two were running: raise the alarm), or
    ``may_have_returned``: nothing was done, look at the destination and ask again with ``sure``."""

    result: str


class FinishDestination(Command, frozen=True):
    """Settle the guest where it is now: persistence, autostart, the attempt's mark removed."""

    persistent: bool
    autostart: bool
    expect_paused: bool = False


class DestinationFinished(Message, frozen=True):
    """What runs there, and libvirt's statistics of the transfer."""

    view: DomainView
    statistics: Statistics | None = None


class ReleaseSource(Command, frozen=True):
    """Wait for the old domain to be gone here, undefine what is left of it."""


class SourceReleased(Message, frozen=True):
    """How the source looks now: absent, unless the guest came back by other hands."""

    view: DomainView
    statistics: Statistics | None = None


class UndoDestination(Command, frozen=True):
    """Remove what this attempt made here and nothing else: domain, definition, volumes."""


class DestinationUndone(Message, frozen=True):
    """What was removed, in words."""

    removed: list[str]


AGENT_METHODS: tuple[Method, ...] = (
    Method("describe_source", InstanceRef, SourceFacts),
    Method("check_destination", CheckDestination, DestinationChecked),
    Method("check_source", CheckSource, SourceChecked),
    Method("prepare_destination", PrepareDestination, DestinationPrepared),
    Method("start_transfer", StartTransfer, TransferStarted),
    Method("abort", Abort, Aborted),
    Method("inspect", InstanceRef, Inspected),
    Method("fence_source", FenceSource, SourceFenced),
    Method("finish_destination", FinishDestination, DestinationFinished),
    Method("release_source", ReleaseSource, SourceReleased),
    Method("undo_destination", UndoDestination, DestinationUndone),
)


# ---------------------------------------------------------------- conductor: from agents


class HostReport(Message, frozen=True):
    """An agent's heartbeat. ``facts`` and ``domains`` travel when they changed or were asked for."""

    host: str
    incarnation: str
    agent_version: str
    rpc_version: str
    generation: int
    """Of the inventory; grows by one with each change."""
    addresses: HostAddresses
    libvirt_error: str | None = None
    """Why the host's libvirt cannot be reached now."""
    facts: HostFacts | None = None
    domains: list[DomainSummary] | None = None


class HostReported(Message, frozen=True):
    """Whether the conductor wants the whole inventory with the next report."""

    resend: bool = False


class DomainEvent(Message, frozen=True):
    """A lifecycle event of one domain, with what the domain looks like right after it."""

    host: str
    incarnation: str
    instance_id: str
    event: str
    """libvirt's event name: started, suspended, resumed, stopped, defined, undefined..."""
    detail: str
    view: DomainView
    summary: DomainSummary | None = None
    """None once the domain is gone."""


class TransferProgress(Message, frozen=True):
    """A reading of a running transfer; losing one loses nothing."""

    host: str
    migration_id: str
    attempt: int
    sequence: int
    sample: JobSample


class TransferEnded(Message, frozen=True):
    """libvirt's migrate call has returned on the source."""

    host: str
    migration_id: str
    attempt: int
    ok: bool
    error: str | None = None
    statistics: Statistics | None = None


class Relay(Message, frozen=True):
    """For whichever conductor leads the migration: an event of its guest, its transfer's end, or, with
    neither, "look again"."""

    migration_id: str
    event: DomainEvent | None = None
    ended: TransferEnded | None = None


# ---------------------------------------------------------------- conductor: from operators


class Migrate(Message, frozen=True):
    """Asks for a migration; see the operator's manual for each field."""

    instance: str
    kind: str = "live"
    host: str | None = None
    force: bool = False
    reason: str | None = None
    bandwidth_mib_s: int | None = None
    priority: int = 0
    request_id: str | None = None
    by: str = "operator"


class QueuePlace(Message, frozen=True):
    """Where a queued migration stands and which limit holds it."""

    position: int
    limit: str | None


class ActionView(Message, frozen=True):
    """One decision or request about a migration."""

    at: datetime
    action: str
    rule: str
    by: str
    result: str


class MigrationView(Message, frozen=True):
    """What `migration show -f json` prints: exactly these keys, unknown = null."""

    id: str
    instance: str
    kind: str
    mode: str
    state: str
    needs_attention: str | None
    source: str | None
    destination: str | None
    profile: str | None
    created_at: datetime
    switched_at: datetime | None
    finished_at: datetime | None
    phase: str | None
    memory_total: int | None
    memory_remaining: int | None
    disk_total: int | None
    disk_remaining: int | None
    iteration: int | None
    dirty_rate: int | None
    bandwidth: int | None
    downtime_ms: int | None
    total_ms: int | None
    method: str | None
    actions: list[ActionView]
    queue: QueuePlace | None
    error_code: str | None
    error: str | None


class MigrationRef(Message, frozen=True):
    """One migration by its id, or by an unambiguous beginning of it (at least four characters)."""

    id: str


class ListMigrations(Message, frozen=True):
    """Which migrations; newest first."""

    forced: bool = False
    needs_attention: bool = False
    active: bool = False
    instance: str | None = None
    host: str | None = None
    limit: int = 100


class MigrationList(Message, frozen=True):
    migrations: list[MigrationView]


class AbortMigration(Message, frozen=True):
    id: str
    by: str = "operator"


class AbortAnswer(Message, frozen=True):
    """``accepted`` or ``already``; a refusal is an error."""

    result: str
    migration: MigrationView


class ListEvents(Message, frozen=True):
    id: str
    after: int = 0
    limit: int = 500


class EventView(Message, frozen=True):
    seq: int
    at: datetime
    kind: str
    text: str
    facts: dict[str, Any]


class EventList(Message, frozen=True):
    """A migration's history after ``after``, and its present view for whoever watches."""

    events: list[EventView]
    migration: MigrationView


class HostVerdict(Message, frozen=True):
    """One host's answer in a dry run."""

    host: str
    fits: bool
    score: float | None
    refusals: list[Refusal]
    pins: dict[str, Any] | None = None
    devices: list[Any] | None = None


class DryRun(Message, frozen=True):
    instance: str
    chosen: str | None
    hosts: list[HostVerdict]
    methods: list[str]
    forecast: dict[str, Any] | None


class HostView(Message, frozen=True):
    """What `host show -f json` prints."""

    name: str
    state: str
    alive: bool
    why_down: str | None
    seen_at: datetime | None
    agent_version: str | None
    libvirt_version: str | None
    hypervisor_version: str | None
    arch: str | None
    cpus: int | None
    memory_mib: int | None
    claimed_vcpus: int
    claimed_memory_mib: int
    instances: int
    libvirt_uri: str
    peer_uri: str
    control_address: str
    migration_address: str
    disk_address: str
    pools: list[str]
    networks: list[str]


class HostRef(Message, frozen=True):
    name: str


class SetHost(Message, frozen=True):
    name: str
    state: str
    by: str = "operator"


class HostList(Message, frozen=True):
    hosts: list[HostView]


class InstanceView(Message, frozen=True):
    """What `instance show -f json` prints."""

    id: str
    name: str
    host: str | None
    status: str
    vcpus: int
    memory_mib: int
    persistent: bool
    candidates: list[str]
    migration: str | None
    updated_at: datetime | None


class NamedInstance(Message, frozen=True):
    """One instance by name or UUID."""

    instance: str


class SetInstance(Message, frozen=True):
    """Settle where an ambiguous instance lives."""

    instance: str
    host: str
    by: str = "operator"


class InstanceList(Message, frozen=True):
    instances: list[InstanceView]


class ClaimView(Message, frozen=True):
    host: str
    instance: str
    purpose: str
    vcpus: int
    memory_mib: int
    migration: str | None
    created_at: datetime


class ClaimList(Message, frozen=True):
    claims: list[ClaimView]


class Health(Message, frozen=True):
    """Whether the conductor can do its work."""

    ok: bool
    version: str
    hosts_alive: int
    hosts: int


CONDUCTOR_METHODS: tuple[Method, ...] = (
    Method("report_host", HostReport, HostReported),
    Method("domain_event", DomainEvent, Empty),
    Method("transfer_progress", TransferProgress, Empty),
    Method("transfer_ended", TransferEnded, Empty),
    Method("relay", Relay, Empty),
    Method("migrate", Migrate, MigrationView),
    Method("dry_run", Migrate, DryRun),
    Method("show", MigrationRef, MigrationView),
    Method("list", ListMigrations, MigrationList),
    Method("events", ListEvents, EventList),
    Method("abort", AbortMigration, AbortAnswer),
    Method("list_hosts", Empty, HostList),
    Method("show_host", HostRef, HostView),
    Method("set_host", SetHost, HostView),
    Method("list_instances", Empty, InstanceList),
    Method("show_instance", NamedInstance, InstanceView),
    Method("set_instance", SetInstance, InstanceView),
    Method("list_claims", Empty, ClaimList),
    Method("health", Empty, Health),
)
