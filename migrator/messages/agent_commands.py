"""What agents are told to do. Every request is a :class:`Command`; see there for the fencing."""

from __future__ import annotations

import msgspec

from migrator.messages.base import (
    Message,
)
from migrator.messages.storage import PlannedVolume
from migrator.model import (
    PLAIN,
    DomainSummary,
    DomainView,
    Placement,
    Sending,
    StandingAsks,
    StateFile,
    Statistics,
    TransferPolicy,
)


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
    disk_address: str = ""
    """Where QEMU shall listen for disks; unused without volumes to be made."""
    create: list[PlannedVolume] = msgspec.field(default_factory=list)
    """Volumes to be made for disks that are copied. One of that name that is not this migration's is
    refused (``volume.exists``) and stays as it is."""
    placement: Placement | None = None
    """What was claimed; looked for once more among what is really there (``claim.stale``)."""
    pool_bytes: dict[str, int] = msgspec.field(default_factory=dict)
    """Pool -> bytes that must be free in it before the first of ``create`` is made (``claim.stale``)."""


class DestinationPrepared(Message, frozen=True):
    """Where QEMU will listen."""

    migrate_uri: str
    listen_address: str
    disks_uri: str | None = None
    """For the disks; None when none is copied."""


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
    sending: Sending = PLAIN
    """What goes with the flags parallel, zerocopy and compressed."""


class StartTransfer(Command, frozen=True):
    """Adopt the transfer of this attempt if libvirt already runs it, else start it."""

    plan: TransferPlan
    autostart: bool
    policy: TransferPolicy | None = None
    """What its monitor decides by; without one it does only what it is asked to."""
    asks: StandingAsks | None = None
    """What was asked before it began."""


class TransferStarted(Message, frozen=True):
    """libvirt has the job; ``adopted`` when it had it before this call."""

    adopted: bool


class Abort(Command, frozen=True):
    """Stop the transfer, and leave the source as before it: mark removed, autostart restored."""

    autostart: bool
    suspended: bool = False
    """migrator has paused the guest for this attempt: it is to run again."""
    paused: bool = False
    """A user has paused the guest while it moved: it is to stay so."""
    looked: bool = False
    """The destination was looked at and does not have the guest: one that is held may run."""


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
    created: list[PlannedVolume] = msgspec.field(default_factory=list)
    """Volumes this migration made: the guest's for good now."""
    pause: bool = False
    """Somebody paused it on its way and libvirt let it run on arrival: pause it here."""
    devices: list[str] = msgspec.field(default_factory=list)
    """libvirt's XML of devices of this host that it gets in place of those it was to let go of."""
    files: list[StateFile] = msgspec.field(default_factory=list)
    """What came with it besides its disks: the guest's for good now."""


class DestinationFinished(Message, frozen=True):
    """What runs there, and libvirt's statistics of the transfer."""

    view: DomainView
    statistics: Statistics | None = None
    seen: DomainSummary | None = None
    """What inventory says of it by now."""
    word: int = 0
    """The number of that look, among all the agent says about its guests: see :class:`HostReport`."""


class ReleaseSource(Command, frozen=True):
    """Wait for the old domain to be gone here, undefine what is left of it."""

    files: list[StateFile] = msgspec.field(default_factory=list)
    """What was left here besides its disks: goes with the definition."""


class SourceReleased(Message, frozen=True):
    """How the source looks now: absent, unless the guest came back by other hands."""

    view: DomainView
    statistics: Statistics | None = None
    word: int = 0
    """The number of that look, among all the agent says about its guests: see :class:`HostReport`."""


class UndoDestination(Command, frozen=True):
    """Remove what this attempt made here and nothing else: domain, definition, volumes."""

    created: list[PlannedVolume] = msgspec.field(default_factory=list)
    """Volumes that were to be made; those that were are deleted."""
    files: list[StateFile] = msgspec.field(default_factory=list)
    """The same of what was to come besides disks."""


class DestinationUndone(Message, frozen=True):
    """What was removed, in words."""

    removed: list[str]


class DeleteVolumes(Command, frozen=True):
    """Delete what a migration has copied away. A volume that is gone already is success; none is
    deleted while the instance has a domain on this host (``volume.in_use``)."""

    volumes: list[list[str]] = msgspec.field(default_factory=list)
    """[pool, volume] of each."""


class VolumesDeleted(Message, frozen=True):
    """What was deleted, in words."""

    removed: list[str]
