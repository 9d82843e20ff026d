"""What agents are asked without changing anything, and what they answer."""

from __future__ import annotations

import msgspec

from migrator.messages.base import (
    Message,
)
from migrator.model import (
    DirtyRate,
    DiskLayer,
    DomainView,
    GuestCpu,
    PoolFacts,
    PoolProof,
    Refusal,
    RequestSpec,
    StateFile,
    Statistics,
)


class RecordedChain(Message, frozen=True):
    """What a disk is recorded to stand on, for as long as it is that volume."""

    pool: str
    volume: str
    chain: list[DiskLayer]


class InstanceRef(Message, frozen=True):
    """Asks about one instance."""

    instance_id: str
    kind: str = "live"
    """How it is to move; what may not move live may well move cold. Read where a source is described."""
    recorded: list[RecordedChain] = msgspec.field(default_factory=list)
    """What its disks were seen to stand on while it ran: a definition may not say."""


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
    bus: str = ""
    serial: str | None = None
    discard: str | None = None
    detect_zeroes: str | None = None
    encrypted: bool = False
    """A layer of it has an ``<encryption>``."""
    chain: list[DiskLayer] = msgspec.field(default_factory=list)
    """What it stands on, nearest first, from the domain XML."""
    chain_stated: bool = True
    """The XML says what it stands on, be it nothing."""
    virtual_size: int | None = None
    """Bytes the guest sees: QEMU's word while it runs, otherwise by the recorded format's own rule (a
    raw volume's length, a qcow2's header). None for a drive without a medium, and where no pool has
    it."""
    allocated: int | None = None
    """Bytes its pool spends on it; None where no pool has it."""
    written: int | None = None
    """Bytes the guest has written to it since its QEMU was started; None while it does not run."""
    length: int | None = None
    """Bytes of its volume, of a disk that is only read; None where no pool has it."""
    header: str | None = None
    """Another format than its own that its first bytes look like; an alarm and nothing more."""
    tampered: str | None = None
    """How a qcow2's header differs from what the domain XML says of it, as a sentence's second half."""


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
    spec: RequestSpec | None = None
    """What it needs wherever it goes; None from an agent that does not tell it yet."""
    read_at_s: float = 0.0
    """When, by the agent's own steady clock; compare with :class:`SourceChecked` only."""
    saved_xml: str | None = None
    """The XML in its saved memory image; None for a guest without one."""
    state_files: list[StateFile] = msgspec.field(default_factory=list)
    """Where what belongs to it besides its disks would be; not all of it need exist."""
    cpu: GuestCpu | None = None
    """``cpu_xml`` written out; None where that cannot be done, and from an older agent."""


class PoolIdentity(Message, frozen=True):
    """Proof of which storage a pool really is, in the way its kind allows."""

    name: str
    kind: str
    path: str | None
    token: str
    nonce: str
    writer: str = ""
    """Host UUID of the agent that wrote the nonce; names the volume it is in."""
    proof: PoolProof = PoolProof.CONTENT
    keys: dict[str, str] = msgspec.field(default_factory=dict)
    """Volume -> UUID its storage gave it, of the volumes asked about; where that is the proof."""


class DirtyRateMeasured(Message, frozen=True):
    """How fast a guest writes; None where that cannot be told, or not now."""

    rate: DirtyRate | None = None


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
    look_for: list[list[str]] = msgspec.field(default_factory=list)
    """[pool, volume] of what would be in the way of a copy; says so in ``present``."""


class DestinationChecked(Message, frozen=True):
    """Every no at once, never only the first; and what the source must prove."""

    refusals: list[Refusal]
    pools: list[PoolIdentity] = msgspec.field(default_factory=list)
    libvirt_version: int = 0
    hypervisor_version: int = 0
    present: list[list[str]] = msgspec.field(default_factory=list)
    """Those of ``look_for`` that are there."""
    pool_facts: list[PoolFacts] = msgspec.field(default_factory=list)
    """Of every active pool, where the guest has disks."""


class CheckSource(Message, frozen=True):
    """Asks the source whether the guest may leave; changes nothing."""

    instance_id: str
    peer_uri: str
    pools: list[PoolIdentity] = msgspec.field(default_factory=list)
    encryption: str = "required"
    measure_writes: bool = False
    """Say how much the guest has written, also where every pool is shared."""
    kind: str = "live"


class SourceChecked(Message, frozen=True):
    """Refusals, and which of the pools asked about are the same storage here."""

    refusals: list[Refusal]
    shared_pools: list[str] = msgspec.field(default_factory=list)
    not_shared: list[Refusal] = msgspec.field(default_factory=list)
    written: dict[str, int] = msgspec.field(default_factory=dict)
    """target -> bytes the guest has written to each disk by now."""
    read_at_s: float = 0.0


class TransferView(Message, frozen=True):
    """What this agent process knows of a transfer that leaves its host."""

    migration_id: str
    attempt: int
    ended: bool
    ok: bool | None = None
    error: str | None = None
    abort_requested: bool = False
    """libvirt was told to end it, and has not done so yet."""
    paused_by_user: bool = False
    """Somebody paused the guest while it moved. libvirt forgets that: it runs once it has arrived."""
    restart_with: list[str] = msgspec.field(default_factory=list)
    """It was ended to be started again with these flags."""
    stalled: bool = False
    """It is in post-copy, and no page has arrived for a while."""


class Inspected(Message, frozen=True):
    """One side of the outcome table, read now."""

    view: DomainView
    transfer: TransferView | None = None
    statistics: Statistics | None = None
