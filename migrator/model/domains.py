"""A domain as a host's libvirt shows it, and what libvirt counts while it moves."""

from __future__ import annotations

from dataclasses import dataclass

from migrator.model.disks import DiskProgress
from migrator.model.placement import Placement
from migrator.model.requests import RequestSpec
from migrator.model.words import ACTIVE_STATES, DomainState, Reason


@dataclass(frozen=True)
class AttemptMark:
    """What a domain's metadata says about the attempt that is moving it."""

    migration_id: str
    attempt: int
    autostart: bool
    """Whether the source started it with its host; cleared there for the transfer."""
    held: bool = False
    """libvirt let the guest run again from the attempt's switch, and the source's agent has paused it
    (or is about to) until the destination was looked at."""


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
    throttle: int = 0
    """Per cent of its time that the guest is kept from running, to slow it down."""
    disk_total: int = 0
    disk_processed: int = 0
    disk_remaining: int = 0
    disks: tuple[DiskProgress, ...] = ()
    """Of each copied disk, while disks are what is copied."""


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
    blackout_ms: int | None = None
    """From the source's pause to the guest's first instruction at the destination, as a conductor's own
    clock saw both; libvirt's figure leaves out what lies between the two hosts."""


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
    held: Placement | None = None
    """Which parts of the host it has; None while it does not run."""
    spec: RequestSpec | None = None
    """What it needs wherever it goes; None from an agent that does not tell it yet."""
