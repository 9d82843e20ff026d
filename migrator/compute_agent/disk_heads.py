"""Look at the first bytes of a guest's disks, through its host's libvirt."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator

import msgspec

from migrator.compute_agent.ports import Hypervisor
from migrator.errors import Refused, Transient
from migrator.messages import DiskFacts
from migrator.model import DiskFormat
from migrator.storage.headers import HEAD_BYTES, judge_header

LOG = logging.getLogger(__name__)


def looked_at(hypervisor: Hypervisor, disks: Iterable[DiskFacts]) -> Iterator[DiskFacts]:
    """The same disks with what their headers look like, and with the size of those that nobody runs."""
    for disk in disks:
        if disk.pool is None or disk.volume is None or disk.read_only:
            yield disk
            continue
        yield _looked_at(hypervisor, disk, disk.pool, disk.volume)


def _looked_at(hypervisor: Hypervisor, disk: DiskFacts, pool: str, volume: str) -> DiskFacts:
    try:
        head = hypervisor.read_volume(pool, volume, 0, HEAD_BYTES)
    except Refused as refused:
        # No streams in that kind of pool, or no such volume any more: the disk plan says what follows.
        LOG.info("disk %s is not looked at: %s", disk.target, refused)
        return disk
    except Transient as failed:
        if disk.format == DiskFormat.QCOW2:
            raise
        LOG.warning("disk %s could not be looked at: %s", disk.target, failed)
        return disk
    seen = judge_header(head, disk.format, disk.chain, disk.encrypted)
    size = disk.virtual_size
    if size is None:
        size = seen.virtual_size if disk.format != DiskFormat.RAW else _length(hypervisor, disk)
    return msgspec.structs.replace(
        disk, header=seen.looks_like, tampered=seen.tampered, virtual_size=size
    )


def _length(hypervisor: Hypervisor, disk: DiskFacts) -> int | None:
    info = hypervisor.volume_info(disk.pool or "", disk.volume or "")
    return None if info is None else info.length
