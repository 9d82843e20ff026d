"""The devices a host has left, in sorts: those of one sort are as good as each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from migrator.model import DeviceKind, HostTopology, HostUse, PciDevice

Make = tuple[str, str, DeviceKind, str | None]
"""Vendor, product, kind, network: what a request can ask for."""


@dataclass(frozen=True, eq=False)
class Makes:
    """The makes of which a host has free devices, in an order. One object for all hosts that have the
    same, so that what a request thinks of them is worked out once."""

    listed: tuple[Make, ...]


@lru_cache(maxsize=4096)
def _one_for_all(listed: tuple[Make, ...]) -> Makes:
    return Makes(listed)


@dataclass(frozen=True, slots=True)
class Sort:
    """Free devices that no request can tell apart. Bits are positions of cells in the topology."""

    make: Make
    node: int
    """Its cell; 0 where the host does not say."""
    socket: int
    """The cells that share a socket with it."""
    addresses: tuple[str, ...]
    parent: str | None = None
    """Of virtual functions, where that matters: their physical function cannot be given besides."""


@dataclass(frozen=True)
class Stock:
    """Everything that is free."""

    sorts: tuple[Sort, ...]
    """Without physical functions, virtual ones of all parents together: enough for most requests."""
    physical: tuple[Sort, ...]
    """The same by parent, and the physical functions, each a sort of its own."""
    functions: Mapping[str, tuple[str, ...]]
    """What can be cut -> its parts, and theirs."""
    nodes: int
    """Cells that have a free device."""
    counts: Mapping[Make, int]
    """How many of each make, physical functions included."""
    near: Mapping[int, Mapping[Make, int]]
    """The same of each single cell."""
    makes: Makes
    amounts: tuple[int, ...]
    """How many of each of ``makes``."""
    most_near: tuple[int, ...]
    """The most of each that any one cell has."""


NOTHING = Stock((), (), {}, 0, {}, {}, Makes(()), (), ())


def stock(topology: HostTopology, use: HostUse) -> Stock:
    """What ``use`` leaves of the host's devices."""
    if not topology.devices:
        return NOTHING
    parents = {device.address: device.parent for device in topology.devices}
    functions: dict[str, list[str]] = {}
    for device in topology.devices:
        parent = device.parent
        while parent is not None:
            functions.setdefault(parent, []).append(device.address)
            parent = parents.get(parent)
    free = list(_free(topology.devices, functions, use))
    nodes = {cell.id: 1 << position for position, cell in enumerate(topology.cells)}
    sockets = _sockets(topology)
    sorts = _sorts((one for one in free if one.kind is not DeviceKind.PF), nodes, sockets, False)
    counts = Counter(map(_make, free))
    makes = _one_for_all(tuple(sorted(counts, key=_by_text)))
    near = {
        node: Counter(_make(one) for one in free if one.numa_node == cell_id)
        for cell_id, node in nodes.items()
    }
    return Stock(
        sorts=sorts,
        physical=_sorts(free, nodes, sockets, True)
        if any(one.kind is DeviceKind.PF for one in free)
        else sorts,
        functions={parent: tuple(sorted(children)) for parent, children in functions.items()},
        nodes=_union(sort.node for sort in sorts),
        counts=counts,
        near=near,
        makes=makes,
        amounts=tuple(counts[make] for make in makes.listed),
        most_near=tuple(
            max((some[make] for some in near.values()), default=0) for make in makes.listed
        ),
    )


def _free(
    devices: Iterable[PciDevice], functions: Mapping[str, list[str]], use: HostUse
) -> Iterable[PciDevice]:
    """What can be cut is free when all its parts are, a part when nothing it is cut from is given whole;
    a group of the IOMMU is one guest's."""
    taken = use.devices | use.blocked_devices
    taken |= {part for one in use.devices for part in functions.get(one, ())}
    groups = {one.iommu_group for one in devices if one.address in use.devices} - {None}
    for device in devices:
        if device.address in taken or device.iommu_group in groups:
            continue
        if any(child in taken for child in functions.get(device.address, ())):
            continue
        yield device


def _sockets(topology: HostTopology) -> Mapping[int, int]:
    """cell -> the cells it shares a socket with"""
    return {
        cell.id: _union(
            1 << position
            for position, other in enumerate(topology.cells)
            if other is cell or set(other.sockets) & set(cell.sockets)
        )
        for cell in topology.cells
    }


def _sorts(
    devices: Iterable[PciDevice],
    nodes: Mapping[int, int],
    sockets: Mapping[int, int],
    by_parent: bool,
) -> tuple[Sort, ...]:
    found: dict[tuple[Make, int, int, str | None], list[str]] = {}
    for device in devices:
        node = -1 if device.numa_node is None else device.numa_node
        make = _make(device)
        parent = None
        if by_parent:
            parent = device.address if device.kind is DeviceKind.PF else device.parent
        key = (make, nodes.get(node, 0), sockets.get(node, 0), parent)
        found.setdefault(key, []).append(device.address)
    sorts = [Sort(*key[:3], tuple(sorted(addresses)), key[3]) for key, addresses in found.items()]
    return tuple(sorted(sorts, key=lambda sort: sort.addresses))


def _make(device: PciDevice) -> Make:
    return device.vendor, device.product, device.kind, device.network


def _by_text(make: Make) -> tuple[str, ...]:
    return tuple(map(str, make))


def _union(sets: Iterable[int]) -> int:
    bits = 0
    for one in sets:
        bits |= one
    return bits
