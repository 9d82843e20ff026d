"""What operators ask the conductor, and the documents the HTTP API answers with."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from migrator.messages.base import (
    Message,
)
from migrator.model import (
    Refusal,
    RequestSpec,
    Wishes,
)


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
    disk_pools: dict[str, str] = msgspec.field(default_factory=dict)
    """target -> pool of the destination its copy shall go to."""
    flatten: bool = False
    """Let disks that stand on a base image arrive standing alone."""
    profile: str | None = None
    deadline_s: int | None = None
    on_deadline: str | None = None
    postcopy_bandwidth_mib_s: int | None = None


class DiskMoveView(Message, frozen=True):
    """What becomes of one disk; ``from`` and ``to`` are pool/volume, unknown = null."""

    target: str
    mode: str
    """``shared``, ``copy``, ``recreate`` or ``skip``."""
    source: str | None
    destination: str | None
    format: str | None
    virtual_size: int | None
    why: str
    remaining: int | None = None
    """Bytes still to be copied, while it is copied."""
    bases: list[str] = msgspec.field(default_factory=list)
    """What the copy will stand on, nearest first, and how each gets there."""


class DiskView(Message, frozen=True):
    """One recorded disk of an instance; bytes."""

    target: str
    device: str
    bus: str
    pool: str | None
    volume: str | None
    format: str
    virtual_size: int | None
    chain: list[str]
    """What it stands on, nearest first, each as pool/volume (format)."""
    cache: str | None
    read_only: bool
    shareable: bool
    serial: str | None
    state: str


class PoolView(Message, frozen=True):
    """One storage pool of one host; bytes, unknown = null."""

    name: str
    host: str
    kind: str
    class_tag: str | None
    """As configured in [storage] pool_classes."""
    uuid: str
    path: str | None
    source: str | None
    """What it is made of: server and export, volume group, monitors and pool."""
    capacity: int
    allocation: int
    available: int
    promised: int
    """What disks that come may take altogether, overcommitment included."""
    claimed: int
    """Of that, kept for migrations under way."""
    formats: list[str]
    """Formats volumes can be made with."""
    lacks: list[str]
    """What cannot be done with volumes in it, one sentence each."""


class PoolList(Message, frozen=True):
    pools: list[PoolView]


class PoolRef(Message, frozen=True):
    """The pools of one name, on whichever hosts have them."""

    name: str


class PoolOnHosts(Message, frozen=True):
    """What `pool show -f json` prints."""

    name: str
    class_tag: str | None
    hosts: list[PoolView]


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


class MigrationDisks(Message, frozen=True):
    """What becomes of each disk of a guest that moves; empty before a destination was chosen."""

    disks: list[DiskMoveView]


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


class ConfirmMigration(Message, frozen=True):
    """Let the source of a cold move go now."""

    id: str
    by: str = "operator"


class RevertMigration(Message, frozen=True):
    """Bring the guest of a cold move back to its source, as it was there."""

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
    disks: list[DiskMoveView] = msgspec.field(default_factory=list)


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
    tags: list[str] = msgspec.field(default_factory=list)
    zone: str | None = None
    cells: list[dict[str, Any]] | None = None
    """Of one that is shown: [{id, memory_mib, cpus, free_cpus, pages [{size_kib, total, free}]}]."""
    devices: list[dict[str, Any]] | None = None
    """[{address, vendor, product, kind, numa_node, network, instance}]"""
    alarms: list[str] = msgspec.field(default_factory=list)
    """What guests have that the host has not any more."""
    needs_attention: str | None = None
    """The alarms in one sentence."""
    foreign: list[str] = msgspec.field(default_factory=list)
    """Domains that have CPUs or devices of it and are not where their instance lives."""


class HostRef(Message, frozen=True):
    name: str


class SetHost(Message, frozen=True):
    name: str
    state: str
    by: str = "operator"


class LabelHost(Message, frozen=True):
    """What guests may ask of their host; None leaves it as it is."""

    name: str
    tags: list[str] | None = None
    """All it has from now on."""
    zone: str | None = None
    """Empty: none."""
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
    disks: list[DiskView] = msgspec.field(default_factory=list)
    """As recorded; only `instance show` tells."""
    spec: RequestSpec | None = None
    """What its domain says it needs."""
    wishes: Wishes = msgspec.field(default_factory=Wishes)
    """What its operator wants besides."""
    profile: str | None = None
    """Null: the default."""


class NamedInstance(Message, frozen=True):
    """One instance by name or UUID."""

    instance: str


class SetInstance(Message, frozen=True):
    """Settle where an ambiguous instance lives."""

    instance: str
    host: str
    by: str = "operator"


class WishInstance(Message, frozen=True):
    """What an operator wants for an instance, wherever it goes; None leaves it as it is."""

    instance: str
    affinity: list[str] | None = None
    anti_affinity: list[str] | None = None
    tags: list[str] | None = None
    forbidden_tags: list[str] | None = None
    zone: str | None = None
    """Empty, here and below: none."""
    threads: str | None = None
    pci_numa: str | None = None
    pci_live: str | None = None
    by: str = "operator"
    scratch: list[str] | None = None
    """Disks, by target, whose content nobody needs once the guest is off."""


class InstanceList(Message, frozen=True):
    instances: list[InstanceView]


class Health(Message, frozen=True):
    """Whether the conductor can do its work."""

    ok: bool
    version: str
    hosts_alive: int
    hosts: int
