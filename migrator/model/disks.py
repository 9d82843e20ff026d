"""Disks of instances: what is recorded of each, and what becomes of each when its guest moves.

The record is the only place a disk's format comes from. What a storage pool says of a volume, and what
a volume's own first bytes say, is the guest's word: good for an alarm, never for a decision.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class DiskFormat(enum.StrEnum):
    """How a volume's bytes are to be read. Anything else is refused, never guessed."""

    RAW = "raw"
    QCOW2 = "qcow2"


class DiskState(enum.StrEnum):
    """Where a recorded volume is in its life."""

    PLANNED = "planned"
    """To be made, or being made."""
    PRESENT = "present"
    DELETING = "deleting"
    """A copy that was left at a source and is to be deleted there."""
    GONE = "gone"
    """No longer the guest's."""


class DiskMode(enum.StrEnum):
    """What becomes of one disk when its guest moves."""

    SHARED = "shared"
    """Both hosts see the same volume: attached there, nothing is copied."""
    COPY = "copy"
    """Copied into a volume made for it at the destination; the source's is deleted in the end."""
    RECREATE = "recreate"
    """Made anew at the destination, empty: nobody needs what was on it."""
    SKIP = "skip"
    """Nothing is copied: a drive without a medium, or what is only read, which is at the destination
    before its guest."""


@dataclass(frozen=True)
class DiskLayer:
    """One volume that a qcow2 disk stands on."""

    format: str
    """As the domain XML says; only those of :class:`DiskFormat` can be moved."""
    pool: str | None = None
    volume: str | None = None
    path: str | None = None
    """As the domain XML names it; only to be shown and compared, never opened."""
    sha256: str | None = None
    """What it holds (:func:`migrator.storage.content.content_digest`), once both ends of a move have
    read it whole; what disks stand on never changes."""
    length: int | None = None
    """Bytes of its volume, as long as the storage has it."""


@dataclass(frozen=True)
class DiskRecord:
    """The recorded truth about one disk of an instance; sizes in bytes."""

    instance_id: str
    target: str
    """``vda``, ``sda``...: the disk's name in the domain XML, unique in the instance."""
    device: str
    """``disk``, ``cdrom``, ``floppy`` or ``lun``."""
    bus: str
    source_type: str
    """libvirt's disk type; empty for a drive without a medium."""
    pool: str | None
    volume: str | None
    path: str | None
    format: DiskFormat
    """Of the topmost volume; never changes once recorded."""
    virtual_size: int | None
    """What the guest sees; None while nobody could say (a drive without a medium)."""
    chain: tuple[DiskLayer, ...] = ()
    """What it stands on, nearest first, whole; empty for raw and for a qcow2 that stands alone."""
    cache: str | None = None
    discard: str | None = None
    detect_zeroes: str | None = None
    read_only: bool = False
    shareable: bool = False
    serial: str | None = None
    state: DiskState = DiskState.PRESENT


class BaseHow(enum.StrEnum):
    """How a volume that a copied disk stands on gets to the destination."""

    SHARED = "shared"
    """Both hosts see it."""
    PRESENT = "present"
    """A volume of its name is there: used if it holds the same, else nothing moves."""
    BRING = "bring"
    """Streamed there first, and left there for whoever comes after."""


@dataclass(frozen=True)
class BaseMove:
    """One volume that a copied disk stands on."""

    source_pool: str
    source_volume: str
    pool: str
    """At the destination."""
    volume: str
    format: DiskFormat
    length: int
    """Bytes of the volume itself, whatever is in it."""
    how: BaseHow
    path: str | None = None
    """Where the destination's host has it."""


@dataclass(frozen=True)
class DiskMove:
    """One line of a migration's disk plan; sizes in bytes. Stored with the step that decided it."""

    target: str
    mode: DiskMode
    why: str
    """Why this mode, as a sentence's second half."""
    format: DiskFormat = DiskFormat.RAW
    source_pool: str | None = None
    source_volume: str | None = None
    pool: str | None = None
    """At the destination."""
    volume: str | None = None
    virtual_size: int = 0
    backing: tuple[DiskLayer, ...] = ()
    """What the destination's volume stands on, nearest first; empty when the copy stands alone."""
    needs: int = 0
    """Bytes to be kept free for it in the destination's pool."""
    read_only: bool = False
    bases: tuple[BaseMove, ...] = ()
    """The same as ``backing``, with where each comes from; of a disk that is only read, itself."""
    path: str | None = None
    """Where the destination's host will have the copy."""


@dataclass(frozen=True)
class DiskProgress:
    """How far the copy of one disk is; bytes."""

    target: str
    total: int
    remaining: int


@dataclass(frozen=True)
class VolumeInfo:
    """What a volume takes in its pool, in bytes; what it claims to be inside is not asked."""

    length: int
    """Bytes that can be read from it. A raw disk's virtual size; of a qcow2 the length of the file."""
    allocated: int
    """Bytes the pool spends on it."""


class PoolProof(enum.StrEnum):
    """How two hosts' pools can be proven to be the same storage."""

    CONTENT = "content"
    """Files: a token in a volume, and what one host just wrote is what the other reads."""
    KEYS = "keys"
    """Logical volumes: each carries a UUID, given when it was made, that every host sees."""
    NAMES = "names"
    """Images whose bytes libvirt does not read: one whose name nobody else can know is seen by the
    other host."""
    NONE = "none"
    """Nothing tells: such a pool is never taken for shared."""


@dataclass(frozen=True)
class PoolFacts:
    """A storage pool as its host's libvirt shows it; sizes in bytes."""

    name: str
    kind: str
    """libvirt's pool type: dir, fs, netfs, logical, rbd..."""
    uuid: str
    path: str | None
    """Where its volumes appear on the host; None where they have no path."""
    source: str | None
    """What it is made of, in one line: server and export, volume group, monitors and pool."""
    capacity: int
    allocation: int
    available: int
    formats: tuple[DiskFormat, ...] = ()
    """Formats a volume can be made with in it; empty where none can be made."""
    lacks: tuple[str, ...] = ()
    """What cannot be done with volumes in it, one sentence each; empty when all can."""
