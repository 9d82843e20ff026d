"""Look at the first bytes of a guest's disks, through its host's libvirt."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import msgspec

from migrator.compute_agent.ports import Hypervisor
from migrator.errors import Refused, Transient
from migrator.messages import DiskFacts
from migrator.model import DiskFormat, DiskLayer
from migrator.storage.headers import HEAD_BYTES, judge_header

LOG = logging.getLogger(__name__)


def looked_at(hypervisor: Hypervisor, disks: Iterable[DiskFacts]) -> Iterator[DiskFacts]:
    """The same disks with what their headers look like, and with the size of those that nobody runs."""
    for disk in disks:
        if disk.pool is None or disk.volume is None:
            yield disk
            continue
        if not disk.read_only:
            yield _looked_at(hypervisor, disk, disk.pool, disk.volume)
            continue
        measured = _with_length(hypervisor, disk)
        if disk.format == DiskFormat.QCOW2:
            measured = _looked_at(hypervisor, measured, disk.pool, disk.volume)
        yield measured


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
    chain = [_measured(hypervisor, layer) for layer in disk.chain]
    tampered = seen.tampered or next(_layers_tampered(hypervisor, chain), None)
    size = disk.virtual_size
    if size is None:
        size = seen.virtual_size if disk.format != DiskFormat.RAW else _length(hypervisor, disk)
    return msgspec.structs.replace(
        disk, header=seen.looks_like, tampered=tampered, virtual_size=size, chain=chain
    )


def _measured(hypervisor: Hypervisor, layer: DiskLayer) -> DiskLayer:
    """With the length of its volume."""
    if layer.pool is None or layer.volume is None:
        return layer
    try:
        info = hypervisor.volume_info(layer.pool, layer.volume)
    except Refused:
        return layer
    return layer if info is None else replace(layer, length=info.length)


def _layers_tampered(hypervisor: Hypervisor, chain: Sequence[DiskLayer]) -> Iterator[str]:
    """What is copied stands on them: whoever makes the copy opens them as their headers say."""
    for number, layer in enumerate(chain):
        if layer.length is None or layer.format != DiskFormat.QCOW2:
            continue
        head = hypervisor.read_volume(layer.pool or "", layer.volume or "", 0, HEAD_BYTES)
        tampered = judge_header(head, layer.format, chain[number + 1 :]).tampered
        if tampered is not None:
            yield f"stands on {layer.pool}/{layer.volume}, which {tampered}"


def _with_length(hypervisor: Hypervisor, disk: DiskFacts) -> DiskFacts:
    try:
        return msgspec.structs.replace(disk, length=_length(hypervisor, disk))
    except Refused:
        return disk


def _length(hypervisor: Hypervisor, disk: DiskFacts) -> int | None:
    info = hypervisor.volume_info(disk.pool or "", disk.volume or "")
    return None if info is None else info.length
