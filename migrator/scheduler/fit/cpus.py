"""Which CPUs of a cell the vCPUs with CPUs of their own get, and QEMU's own."""

from __future__ import annotations

from dataclasses import dataclass

from migrator.model import ThreadPolicy
from migrator.scheduler.fit.bits import first, numbers
from migrator.scheduler.fit.need import CellNeed
from migrator.scheduler.fit.room import RoomCell


@dataclass(frozen=True, slots=True)
class Chosen:
    """CPUs in the order the vCPUs get them: siblings next to each other."""

    cpus: tuple[int, ...]
    emulator: int | None
    blocked: tuple[int, ...]


def enough_cpus(cell: RoomCell, need: CellNeed, threads: ThreadPolicy) -> bool:
    """Whether :func:`choose_cpus` would find what it needs."""
    count = len(need.vcpus)
    if threads is ThreadPolicy.ISOLATE:
        return len(cell.whole) >= count + need.own_emulator
    if cell.free_count < count + need.own_emulator:
        return False
    return threads is ThreadPolicy.PREFER or cell.paired >= count


def choose_cpus(cell: RoomCell, need: CellNeed, threads: ThreadPolicy) -> Chosen:
    """The same CPUs every time. ``enough_cpus`` must have said yes."""
    count = len(need.vcpus)
    if threads is ThreadPolicy.ISOLATE:
        return _alone(cell.whole[: count + need.own_emulator], count)
    cores = cell.cores
    if threads is ThreadPolicy.REQUIRE:
        cores = tuple(core for core in cores if core & (core - 1))
    taken = _together(cores, count)
    cpus: list[int] = []
    for part in taken:
        cpus += numbers(part)
    emulator = None
    if need.own_emulator:
        left = cell.free
        for part in taken:
            left &= ~part
        emulator = _least_disturbing(cell.cores, left)
    return Chosen(tuple(cpus), emulator, ())


def _together(cores: tuple[int, ...], count: int) -> list[int]:
    """As many whole groups of free siblings as possible, and what is missing from the smallest other."""
    taken: list[int] = []
    smallest = size_of_smallest = 0
    for core in cores:
        if not count:
            return taken
        size = core.bit_count()
        if size <= count:
            taken.append(core)
            count -= size
        elif not smallest or size < size_of_smallest:
            smallest, size_of_smallest = core, size
    if count:
        taken.append(first(smallest, count))
    return taken


def _alone(cores: tuple[int, ...], count: int) -> Chosen:
    """One thread of each core; the others are nobody's."""
    firsts = [first(core, 1) for core in cores]
    cpus = [core.bit_length() - 1 for core in firsts]
    blocked = [cpu for core, own in zip(cores, firsts, strict=True) for cpu in numbers(core ^ own)]
    emulator = cpus[count] if len(cpus) > count else None
    return Chosen(tuple(cpus[:count]), emulator, tuple(sorted(blocked)))


def _least_disturbing(cores: tuple[int, ...], left: int) -> int:
    """A CPU of the core with fewest free threads."""
    for core in reversed(cores):
        free = core & left
        if free:
            return (free & -free).bit_length() - 1
    raise ValueError("no CPU is left")
