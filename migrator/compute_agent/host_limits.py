"""What is configured for a host, applied to what its libvirt says it is made of. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from fnmatch import fnmatchcase

from migrator.errors import Refused
from migrator.model import (
    DeviceKind,
    DevicePattern,
    HostCell,
    HostFacts,
    HostLimits,
    HostTopology,
    PciDevice,
)

VFIO = "vfio-pci"


def limited(facts: HostFacts, limits: HostLimits, host: str) -> HostFacts:
    """``facts`` with what guests may have of the host.

    :raises Refused: ``config.invalid`` for a CPU, a cell or pages that the host does not have.
    """
    if facts.topology is None:
        return facts
    return replace(facts, topology=limited_topology(facts.topology, limits, host))


def limited_topology(topology: HostTopology, limits: HostLimits, host: str) -> HostTopology:
    """The same of the topology alone."""
    every = frozenset(topology.shared_cpus)
    reserved = _existing("reserved_cpus", limits.reserved_cpus, every, host)
    dedicated = _existing("dedicated_cpus", limits.dedicated_cpus, every, host)
    shared = _existing("shared_cpus", limits.shared_cpus, every, host)
    if dedicated is None and shared is not None:
        dedicated = every - shared
    elif shared is None and dedicated is not None:
        shared = every - dedicated
    return replace(
        topology,
        cells=_cells(topology.cells, limits, host),
        dedicated_cpus=_left(every if dedicated is None else dedicated, reserved),
        shared_cpus=_left(every if shared is None else shared, reserved),
        devices=_given(topology.devices, limits.devices),
        cpu_overcommit=limits.cpu_overcommit,
        memory_overcommit=limits.memory_overcommit,
        reserved_memory_mib=limits.reserved_memory_mib,
    )


def _left(cpus: frozenset[int], reserved: frozenset[int] | None) -> tuple[int, ...]:
    return tuple(sorted(cpus - (reserved or frozenset())))


def _existing(
    option: str, cpus: tuple[int, ...] | None, every: frozenset[int], host: str
) -> frozenset[int] | None:
    if cpus is None:
        return None
    strange = sorted(set(cpus) - every)
    if strange:
        raise _invalid(host, option, f"there is no CPU {', '.join(map(str, strange))}")
    return frozenset(cpus)


def _cells(cells: tuple[HostCell, ...], limits: HostLimits, host: str) -> tuple[HostCell, ...]:
    pages = {(cell, size): count for cell, size, count in limits.reserved_pages}
    there = {(cell.id, pool.size_kib): pool.total for cell in cells for pool in cell.pages}
    for (cell_id, size), count in pages.items():
        total = there.get((cell_id, size), 0)
        if count > total:
            raise _invalid(
                host, "reserved_pages", f"cell {cell_id} has {total} pages of {size} KiB"
            )
    # Taken evenly from the cells; what does not divide, from the first.
    each, rest = divmod(limits.reserved_memory_mib or 0, max(len(cells), 1))
    return tuple(
        replace(
            cell,
            reserved_memory_mib=each + (rest if cell is cells[0] else 0),
            pages=tuple(
                replace(pool, reserved=pages.get((cell.id, pool.size_kib), 0))
                for pool in cell.pages
            ),
        )
        for cell in cells
    )


def _given(
    devices: Iterable[PciDevice], patterns: tuple[DevicePattern, ...]
) -> tuple[PciDevice, ...]:
    if not patterns:
        return tuple(
            device for device in devices if device.kind is DeviceKind.VF or device.driver == VFIO
        )
    given = []
    for device in devices:
        pattern = next((one for one in patterns if _fits(device, one)), None)
        if pattern is not None:
            given.append(replace(device, network=pattern.network))
    return tuple(given)


def _fits(device: PciDevice, pattern: DevicePattern) -> bool:
    address = device.parent or "" if device.mediated else device.address
    return (
        (not pattern.address or fnmatchcase(address, pattern.address))
        and pattern.vendor in ("", device.vendor)
        and pattern.product in ("", device.product)
    )


def _invalid(host: str, option: str, why: str) -> Refused:
    return Refused("config.invalid", f"[host:{host}] {option}: {why} on this host")
