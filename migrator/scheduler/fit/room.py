"""What a host has left, in the form a fit asks for it. Made once for each change of its claims."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass

from migrator.model import CellUse, HostCell, HostTopology, HostUse
from migrator.scheduler.fit.bits import mask, numbers
from migrator.scheduler.fit.stock import Stock, stock

KIB_PER_MIB = 1024


class Strategy(enum.StrEnum):
    """Which host cell is tried first."""

    SPREAD = "spread"
    """The one with most left."""
    PACK = "pack"
    """The one with least left."""


@dataclass(frozen=True)
class Overcommit:
    """What may be promised for each CPU that is shared and each MiB of ordinary memory there is.

    Infinite for a forced migration: how much is promised is policy, what is promised twice is not.
    """

    cpus: float = 1.0
    memory: float = 1.0


NO_OVERCOMMIT = Overcommit()
NO_LIMIT = Overcommit(math.inf, math.inf)


def overcommit_of(topology: HostTopology, default: Overcommit) -> Overcommit:
    """The host's own where it has one; none is left when there is to be no limit."""
    if default == NO_LIMIT:
        return default
    cpus, memory = topology.cpu_overcommit, topology.memory_overcommit
    return Overcommit(
        default.cpus if cpus is None else cpus, default.memory if memory is None else memory
    )


@dataclass(frozen=True, slots=True)
class RoomCell:
    """One host cell, or all of them as one. Bits are CPU numbers."""

    ids: tuple[int, ...]
    bits: int
    """Positions of these cells in the topology."""
    free: int
    """Dedicated CPUs that nobody has."""
    free_count: int
    cores: tuple[int, ...]
    """The free threads of each core that has some, most threads first."""
    paired: int
    """Free threads on cores that have at least two of them."""
    whole: tuple[int, ...]
    """Cores of which every thread is dedicated and free."""
    shared_cpus: tuple[int, ...]
    shared_count: int
    vcpus_left: float
    memory_left: float
    """Ordinary memory that may be promised, MiB."""
    memory_there: float
    """The same without overcommit, for guests with CPUs of their own."""
    pages: Mapping[int, int]
    """size in KiB -> free pages"""


@dataclass(frozen=True)
class Room:
    """A whole host."""

    cells: tuple[RoomCell, ...]
    together: RoomCell
    """For guests that no cell binds."""
    shared_cpus: tuple[int, ...]
    """Empty where every CPU is shared: nothing to be confined to."""
    stock: Stock
    most_free: int
    """Of any one cell; so are the next two."""
    most_whole: int
    most_pages: Mapping[int, int]

    def in_order(
        self, cells: list[RoomCell], strategy: Strategy, dedicated: bool, devices: bool
    ) -> list[RoomCell]:
        """The order they are tried in: cells with devices last for guests that want none, first for
        those that do; then by what is left."""
        if len(cells) < 2:
            return cells
        sign = -1 if strategy is Strategy.SPREAD else 1
        near = -1 if devices else 1
        nodes = self.stock.nodes

        def rank(cell: RoomCell) -> tuple[int, float, int]:
            left = cell.free_count if dedicated else cell.memory_left
            return near if cell.bits & nodes else 0, sign * left, cell.bits

        return sorted(cells, key=rank)


def room(topology: HostTopology, use: HostUse, default: Overcommit = NO_OVERCOMMIT) -> Room:
    """What ``use`` leaves of ``topology``.

    :param default: where the host has no overcommit of its own.
    """
    overcommit = overcommit_of(topology, default)
    dedicated, shared = mask(topology.dedicated_cpus), mask(topology.shared_cpus)
    free = dedicated & ~mask(use.cpus) & ~mask(use.blocked_cpus)
    used = {cell.id: cell for cell in use.cells}
    cells = tuple(
        _cell(cell, 1 << position, (free, shared), used.get(cell.id, CellUse(cell.id)), overcommit)
        for position, cell in enumerate(topology.cells)
    )
    return Room(
        cells=cells,
        together=_together(cells),
        shared_cpus=() if _unconfined(topology, shared) else topology.shared_cpus,
        stock=stock(topology, use),
        most_free=max((cell.free_count for cell in cells), default=0),
        most_whole=max((len(cell.whole) for cell in cells), default=0),
        most_pages={
            size: max(cell.pages.get(size, 0) for cell in cells)
            for size in {size for cell in cells for size in cell.pages}
        },
    )


def _unconfined(topology: HostTopology, shared: int) -> bool:
    everything = mask(cpu for cell in topology.cells for core in cell.cores for cpu in core)
    return shared == everything


def ordinary_memory_mib(cell: HostCell) -> int:
    """What of its memory is neither huge pages nor reserved."""
    huge = sum(pool.size_kib * pool.total for pool in cell.pages) // KIB_PER_MIB
    return max(cell.memory_mib - huge - cell.reserved_memory_mib, 0)


def _cell(
    cell: HostCell, bit: int, cpus: tuple[int, int], used: CellUse, overcommit: Overcommit
) -> RoomCell:
    free, shared = cpus
    all_cores = [mask(core) for core in cell.cores]
    cores = sorted(
        (core & free for core in all_cores if core & free),
        key=lambda core: (-core.bit_count(), core & -core),
    )
    everything = mask(cpu for core in cell.cores for cpu in core)
    ordinary = ordinary_memory_mib(cell)
    taken = dict(used.pages)
    shared_here = shared & everything
    count = shared_here.bit_count()
    there = math.inf if math.isinf(overcommit.memory) else ordinary * min(overcommit.memory, 1.0)
    return RoomCell(
        ids=(cell.id,),
        bits=bit,
        free=free & everything,
        free_count=(free & everything).bit_count(),
        cores=tuple(cores),
        paired=sum(core.bit_count() for core in cores if core & (core - 1)),
        whole=tuple(core for core in all_cores if core & free == core),
        shared_cpus=tuple(numbers(shared_here)),
        shared_count=count,
        # Infinity times nothing would be no number.
        vcpus_left=(count * overcommit.cpus if count else 0.0) - used.vcpus,
        memory_left=(ordinary * overcommit.memory if ordinary else 0.0) - used.memory_mib,
        memory_there=there - used.memory_mib,
        pages={
            pool.size_kib: max(pool.total - pool.reserved - taken.get(pool.size_kib, 0), 0)
            for pool in cell.pages
        },
    )


def _together(cells: tuple[RoomCell, ...]) -> RoomCell:
    pages: dict[int, int] = {}
    for cell in cells:
        for size, count in cell.pages.items():
            pages[size] = pages.get(size, 0) + count
    cores = sorted(
        (core for cell in cells for core in cell.cores),
        key=lambda core: (-core.bit_count(), core & -core),
    )
    return RoomCell(
        ids=tuple(cell.ids[0] for cell in cells),
        bits=sum(cell.bits for cell in cells),
        free=sum(cell.free for cell in cells),
        free_count=sum(cell.free_count for cell in cells),
        cores=tuple(cores),
        paired=sum(cell.paired for cell in cells),
        whole=tuple(sorted((core for cell in cells for core in cell.whole), key=lambda c: c & -c)),
        shared_cpus=tuple(sorted(cpu for cell in cells for cpu in cell.shared_cpus)),
        shared_count=sum(cell.shared_count for cell in cells),
        vcpus_left=sum(cell.vcpus_left for cell in cells),
        memory_left=sum(cell.memory_left for cell in cells),
        memory_there=sum(cell.memory_there for cell in cells),
        pages=pages,
    )
