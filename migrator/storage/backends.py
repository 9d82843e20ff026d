"""What each kind of storage pool can do, and the XML that makes a volume in it.

One object per kind behind one protocol. What a kind cannot do is a sentence beside it, never a crash: a
pool of a kind that is not listed here serves lookup only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from migrator.errors import Refused
from migrator.messages import PlannedVolume
from migrator.model import DiskFormat, PoolProof

RAW_ONLY = (DiskFormat.RAW,)
BOTH = (DiskFormat.RAW, DiskFormat.QCOW2)


class Backend(Protocol):
    """One kind of pool."""

    @property
    def formats(self) -> tuple[DiskFormat, ...]:
        """What volumes can be made with; empty where none can be made."""
        ...

    @property
    def streams(self) -> bool:
        """Whether a volume's bytes can be read and written through libvirt."""
        ...

    @property
    def proof(self) -> PoolProof:
        """How it is known to be the same storage on two hosts."""
        ...

    @property
    def lacks(self) -> tuple[str, ...]:
        """What cannot be done, one sentence each."""
        ...

    def source(self, pool: Element) -> str | None:
        """What the pool is made of, from its XML, in one line."""
        ...

    def volume_xml(self, wanted: PlannedVolume, backing_path: str | None) -> str:
        """What libvirt is given to make it. :raises Refused: ``pool.cannot``."""
        ...


@dataclass(frozen=True)
class FileBackend:
    """Volumes are sparse files in a directory: dir, fs, netfs."""

    formats: tuple[DiskFormat, ...] = BOTH
    streams: bool = True
    proof: PoolProof = PoolProof.CONTENT
    lacks: tuple[str, ...] = ()

    def source(self, pool: Element) -> str | None:
        host, directory = pool.find("source/host"), pool.find("source/dir")
        device = pool.find("source/device")
        if host is not None and directory is not None:
            return f"{host.get('name', '')}:{directory.get('path', '')}"
        return device.get("path") if device is not None else None

    def volume_xml(self, wanted: PlannedVolume, backing_path: str | None) -> str:
        volume, target = _volume(wanted, allocation=0)
        SubElement(SubElement(target, "permissions"), "mode").text = "0600"
        if wanted.format is DiskFormat.QCOW2:
            # libvirt's own default is the format of 2010, without zero clusters.
            SubElement(target, "compat").text = "1.1"
        if wanted.backing is not None:
            backing = SubElement(volume, "backingStore")
            SubElement(backing, "path").text = backing_path
            SubElement(backing, "format", type=wanted.backing.format)
        return ElementTree.tostring(volume, encoding="unicode")


@dataclass(frozen=True)
class LogicalBackend:
    """Volumes are logical volumes: raw, and as large on disk as the guest sees them."""

    formats: tuple[DiskFormat, ...] = RAW_ONLY
    streams: bool = True
    proof: PoolProof = PoolProof.KEYS
    lacks: tuple[str, ...] = (
        "a logical pool holds raw volumes only",
        "a logical pool keeps no volume sparse",
    )

    def source(self, pool: Element) -> str | None:
        return pool.findtext("source/name")

    def volume_xml(self, wanted: PlannedVolume, backing_path: str | None) -> str:
        _only_raw("logical", wanted)
        volume, _ = _volume(wanted, allocation=wanted.virtual_size)
        return ElementTree.tostring(volume, encoding="unicode")


@dataclass(frozen=True)
class RbdBackend:
    """Volumes are images in a Ceph pool. libvirt runs no disk of type volume from one, so disks in it
    are of type network, are attached where they are, and nothing is copied into or out of it."""

    formats: tuple[DiskFormat, ...] = ()
    streams: bool = False
    proof: PoolProof = PoolProof.NAMES
    lacks: tuple[str, ...] = (
        "libvirt runs no disk of type volume from an rbd pool, so no disk is copied into one",
        "libvirt has no byte streams for rbd volumes: headers are not looked at there, and such disks"
        " are not copied out of it either",
    )

    def source(self, pool: Element) -> str | None:
        monitors = sorted(
            ":".join(filter(None, (host.get("name"), host.get("port"))))
            for host in pool.iterfind("source/host")
        )
        return f"{','.join(monitors)}/{pool.findtext('source/name', '')}"

    def volume_xml(self, wanted: PlannedVolume, backing_path: str | None) -> str:
        raise _cannot(wanted, self.lacks[0])


@dataclass(frozen=True)
class LookupOnly:
    """A kind whose volumes are made by others: disk, iscsi, scsi, mpath, and what is new to us."""

    kind: str
    formats: tuple[DiskFormat, ...] = ()
    streams: bool = True
    proof: PoolProof = PoolProof.NONE

    @property
    def lacks(self) -> tuple[str, ...]:
        return (
            f"migrator makes no volumes in pools of kind {self.kind}",
            f"nothing tells whether two hosts' pools of kind {self.kind} are the same storage",
        )

    def source(self, pool: Element) -> str | None:
        return pool.findtext("source/name")

    def volume_xml(self, wanted: PlannedVolume, backing_path: str | None) -> str:
        raise _cannot(wanted, self.lacks[0])


BACKENDS: Mapping[str, Backend] = {
    "dir": FileBackend(),
    "fs": FileBackend(),
    "netfs": FileBackend(),
    "logical": LogicalBackend(),
    "rbd": RbdBackend(),
}
"""By libvirt's pool type."""


def backend_of(kind: str) -> Backend:
    """Of any kind, known or not."""
    return BACKENDS.get(kind) or LookupOnly(kind)


def _volume(wanted: PlannedVolume, allocation: int) -> tuple[Element, Element]:
    volume = Element("volume")
    SubElement(volume, "name").text = wanted.volume
    SubElement(volume, "capacity", unit="bytes").text = str(wanted.virtual_size)
    SubElement(volume, "allocation", unit="bytes").text = str(allocation)
    target = SubElement(volume, "target")
    SubElement(target, "format", type=wanted.format)
    return volume, target


def _only_raw(kind: str, wanted: PlannedVolume) -> None:
    if wanted.format is not DiskFormat.RAW or wanted.backing is not None:
        raise _cannot(wanted, f"a pool of kind {kind} holds raw volumes only")


def _cannot(wanted: PlannedVolume, why: str) -> Refused:
    return Refused(
        "pool.cannot",
        f"volume {wanted.volume!r} ({wanted.format}) cannot be made in pool {wanted.pool!r}: {why};"
        " choose another pool with --map-disk",
        pool=wanted.pool,
        volume=wanted.volume,
    )
