"""Why a guest does not fit: a reason for each host cell, worked out when somebody asks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from migrator.model import PciNuma, Refusal, ThreadPolicy
from migrator.scheduler.fit.cpus import enough_cpus
from migrator.scheduler.fit.devices import count_near
from migrator.scheduler.fit.need import CellNeed, DeviceNeed, Need
from migrator.scheduler.fit.room import Room, RoomCell

FILTER = "fit"


@dataclass(frozen=True)
class NoFit:
    """The answer no."""

    room: Room
    need: Need

    @cached_property
    def reasons(self) -> tuple[Refusal, ...]:
        """Never empty. ``facts["cell"]`` says which host cell, where it is one's reason."""
        return tuple(_reasons(self.room, self.need))


def _reasons(room: Room, need: Need) -> Iterator[Refusal]:
    if need.unaligned is not None:
        yield Refusal(
            FILTER,
            "pages.unaligned",
            f"the memory of the guest's cell {need.unaligned} is not a whole number of"
            f" {need.page_kib} KiB pages",
        )
        return
    if need.bound and len(need.cells) > len(room.cells):
        yield Refusal(
            FILTER,
            "cells.insufficient",
            f"the guest has {len(need.cells)} NUMA cells, the host {len(room.cells)}",
        )
        return
    cells = room.cells if need.bound else (room.together,)
    told = False
    for guest in need.cells:
        if not any(cell_fits(cell, guest, need) for cell in cells):
            told = True
            for cell in cells:
                yield from _cell_reasons(cell, guest, need)
    if told:
        return
    lacking = [one for one in need.devices if _lacks(room, one)]
    for one in lacking:
        yield _device_reason(room, one)
    if not lacking:
        yield _together_reason(need)


def cell_fits(cell: RoomCell, guest: CellNeed, need: Need) -> bool:
    """Whether one guest cell fits in one host cell, devices and the other cells aside."""
    if not enough_cpus(cell, guest, need.threads):
        return False
    if guest.pages and cell.pages.get(need.page_kib or 0, 0) < guest.pages:
        return False
    memory = cell.memory_there if guest.vcpus else cell.memory_left
    if guest.memory_mib and memory < guest.memory_mib:
        return False
    return not guest.sharing or (
        guest.sharing <= cell.shared_count and guest.sharing <= cell.vcpus_left
    )


def _cell_reasons(cell: RoomCell, guest: CellNeed, need: Need) -> Iterator[Refusal]:
    where, facts = _where(cell), {"cell": cell.ids[0] if len(cell.ids) == 1 else None}
    if not enough_cpus(cell, guest, need.threads):
        yield _cpu_reason(cell, guest, need.threads)
    free_pages = cell.pages.get(need.page_kib or 0, 0)
    if guest.pages and free_pages < guest.pages:
        yield Refusal(
            FILTER,
            "pages.insufficient",
            f"{where} {free_pages} free pages of {need.page_kib} KiB, the guest needs {guest.pages}",
            {**facts, "free": free_pages, "needed": guest.pages},
        )
    memory = cell.memory_there if guest.vcpus else cell.memory_left
    if guest.memory_mib and memory < guest.memory_mib:
        left = max(int(memory), 0)
        yield Refusal(
            FILTER,
            "memory.insufficient",
            f"{where} {left} MiB of ordinary memory left, the guest needs {guest.memory_mib} MiB there",
            {**facts, "free_mib": left, "needed_mib": guest.memory_mib},
        )
    most = min(cell.shared_count, cell.vcpus_left)
    if guest.sharing and most < guest.sharing:
        yield Refusal(
            FILTER,
            "vcpus.insufficient",
            f"{where} room for {max(int(most), 0)} more vCPUs on its shared CPUs, the guest needs"
            f" {guest.sharing} there",
            {**facts, "free": max(int(most), 0), "needed": guest.sharing},
        )


def _where(cell: RoomCell) -> str:
    return f"cell {cell.ids[0]} has" if len(cell.ids) == 1 else "its cells together have"


def _cpu_reason(cell: RoomCell, guest: CellNeed, threads: ThreadPolicy) -> Refusal:
    where = _where(cell)
    needed = len(guest.vcpus) + guest.own_emulator
    facts = {"cell": cell.ids[0] if len(cell.ids) == 1 else None, "needed": needed}
    if threads is ThreadPolicy.ISOLATE:
        free = len(cell.whole)
        return Refusal(
            FILTER,
            "cpus.no_whole_core",
            f"{where} {free} whole dedicated cores free, the guest needs {needed}",
            {**facts, "free": free},
        )
    if cell.free_count < needed:
        return Refusal(
            FILTER,
            "cpus.insufficient",
            f"{where} {cell.free_count} free dedicated CPUs, the guest needs {needed}",
            {**facts, "free": cell.free_count},
        )
    return Refusal(
        FILTER,
        "cpus.no_siblings",
        f"{where} {cell.paired} free dedicated CPUs with a free sibling, the guest needs"
        f" {len(guest.vcpus)}",
        {**facts, "free": cell.paired},
    )


def _lacks(room: Room, need: DeviceNeed) -> bool:
    """Whether there are too few even if the guest lay on every cell."""
    return count_near(room.stock, need, room.together.bits) < need.count


def _device_reason(room: Room, need: DeviceNeed) -> Refusal:
    free = count_near(room.stock, need, room.together.bits)
    near = "" if need.numa is PciNuma.PREFERRED else f" that its NUMA policy {need.numa} allows"
    return Refusal(
        FILTER,
        "pci.insufficient",
        f"{free} free devices are what request {need.id} asks for{near}, it needs {need.count}",
        {"request": need.id, "free": free, "needed": need.count},
    )


def _together_reason(need: Need) -> Refusal:
    """Everything is there, but not at once."""
    if not need.devices:
        return Refusal(
            FILTER,
            "cells.insufficient",
            "each cell of the guest fits in some cell of the host, but not all of them at once",
        )
    requests = ", ".join(one.id for one in need.devices)
    return Refusal(
        FILTER,
        "pci.insufficient",
        f"the devices of {requests} are not free together, near cells that have room for the guest",
        {"request": requests},
    )
