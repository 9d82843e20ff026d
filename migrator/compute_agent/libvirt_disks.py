"""The disks of one domain: what its XML says, the volumes behind them, and QEMU's own figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import libvirt
import msgspec

from migrator.compute_agent.disk_xml import disk_facts
from migrator.compute_agent.libvirt_errors import has_code, is_no_domain
from migrator.errors import Refused
from migrator.messages import DiskFacts
from migrator.model import DiskLayer, DiskProgress
from migrator.storage.libvirt_pools import path_of, volume_at_path
from migrator.storage.libvirt_volumes import volume_info


def disks_of(
    conn: libvirt.virConnect, domain: libvirt.virDomain, domain_xml: str
) -> Iterator[DiskFacts]:
    """Every disk of the XML, resolved to (pool, volume) where a pool of this host holds it."""
    parsed = disk_facts(domain_xml)
    running = _running(domain) if any(disk.source_type for disk in parsed) else {}
    for disk in parsed:
        found = _resolved(conn, disk)
        size, written = running.get(disk.target, (None, None))
        yield msgspec.structs.replace(
            found,
            chain=[_resolved_layer(conn, layer) for layer in disk.chain],
            virtual_size=size,
            written=written,
            allocated=_allocated(conn, found),
        )


def disk_writes(conn: libvirt.virConnect, instance_id: str) -> Mapping[str, int]:
    """target -> bytes written since its QEMU was started."""
    try:
        domain = conn.lookupByUUIDString(instance_id)
        running = _running(domain)
    except libvirt.libvirtError as error:
        if is_no_domain(error):
            return {}
        raise
    return {target: written for target, (_, written) in running.items() if written is not None}


def mirrors(domain: libvirt.virDomain) -> tuple[DiskProgress, ...]:
    """The running copies of a domain's disks; without those that end while we look."""
    found = []
    for disk in disk_facts(domain.XMLDesc(0)):
        if not disk.source_type or disk.read_only:
            continue
        try:
            info = domain.blockJobInfo(disk.target, 0)
        except libvirt.libvirtError as error:
            if is_no_domain(error) or has_code(error, "OPERATION_INVALID"):
                return ()
            raise
        if info and info.get("type") == libvirt.VIR_DOMAIN_BLOCK_JOB_TYPE_COPY:
            found.append(DiskProgress(disk.target, info["end"], info["end"] - info["cur"]))
    return tuple(found)


def _running(domain: libvirt.virDomain) -> Mapping[str, tuple[int | None, int | None]]:
    """target -> (bytes the guest sees, bytes it has written), by the QEMU that has it open with the
    format it was told; empty for a domain that does not run."""
    if not domain.isActive():
        return {}
    connection = domain.connect()
    # Without waiting: what a job keeps busy is not described to be moved anyway.
    (stats,) = connection.domainListGetStats(
        [domain],
        libvirt.VIR_DOMAIN_STATS_BLOCK,
        libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT,
    )
    block: dict[str, Any] = stats[1]
    return {
        block[f"block.{index}.name"]: (
            block.get(f"block.{index}.capacity"),
            block.get(f"block.{index}.wr.bytes"),
        )
        for index in range(block.get("block.count", 0))
        if f"block.{index}.name" in block
    }


def _resolved(conn: libvirt.virConnect, disk: DiskFacts) -> DiskFacts:
    if disk.path is None or disk.pool is not None:
        return disk
    place = volume_at_path(conn, disk.path)
    if place is None:
        return disk
    return msgspec.structs.replace(disk, pool=place[0], volume=place[1])


def _resolved_layer(conn: libvirt.virConnect, layer: DiskLayer) -> DiskLayer:
    if layer.pool is not None and layer.volume is not None:
        return replace(layer, path=path_of(conn, layer.pool, layer.volume))
    if layer.path is None:
        return layer
    place = volume_at_path(conn, layer.path)
    if place is None:
        return layer
    return replace(layer, pool=place[0], volume=place[1])


def _allocated(conn: libvirt.virConnect, disk: DiskFacts) -> int | None:
    if disk.pool is None or disk.volume is None:
        return None
    try:
        info = volume_info(conn, disk.pool, disk.volume)
    except Refused:
        # Its pool is not active: the guest does not run, and cannot be moved before it is.
        return None
    return None if info is None else info.allocated
