"""Why a guest does not fit: a reason for each host cell, worked out when somebody asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from migrator.model import PciNuma, Refusal, ThreadPolicy
from migrator.scheduler.fit.cpus import enough_cpus
from migrator.scheduler.fit.devices import count_near, enough_devices
from migrator.scheduler.fit.need import CellNeed, DeviceNeed, Need
from migrator.scheduler.fit.room import Room, RoomCell

FILTER = "fit"


class NoFit(NamedTuple):
    """The answer no. A tuple: most hosts of a large fleet are given one."""

    room: Room
    need: Need
    alone: tuple[str, ...] = ()
    """What :func:`hopeless` said, where that was enough."""

    @property
    def reasons(self) -> tuple[Refusal, ...]:
        """Never empty. ``facts["cell"]`` says which host cell, where it is one's reason."""
        return tuple(_reasons(self.room, self.need))

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of ``reasons``, each once, without putting anything into words; only those that
        would do alone, where there are some."""
        return self.alone or _codes(self.room, self.need)


def _codes(room: Room, need: Need) -> tuple[str, ...]:
    if need.unaligned is not None:
        return ("pages.unaligned",)
    if need.bound and len(need.cells) > len(room.cells):
        return ("cells.insufficient",)
    told: dict[str, None] = {}
    for guest in need.cells:
        said = [cell_codes(cell, guest, need) for cell in _homes(room, need)]
        if all(said):
            for codes in said:
                told.update(dict.fromkeys(codes))
    if told:
        return tuple(told)
    return ("pci.insufficient",) if need.devices else ("cells.insufficient",)


def hopeless(room: Room, need: Need) -> tuple[str, ...]:
    """Codes of what is missing on the whole host, without looking at its cells: most hosts that have no
    room say so here."""
    codes: tuple[str, ...] = ()
    bound, together = need.bound, room.together
    if need.threads is ThreadPolicy.ISOLATE:
        if need.most_cpus > (room.most_whole if bound else len(together.whole)):
            codes = ("cpus.no_whole_core",)
    elif need.most_cpus > (room.most_free if bound else together.free_count):
        codes = ("cpus.insufficient",)
    if need.most_pages:
        pages = room.most_pages if bound else together.pages
        if need.most_pages > pages.get(need.page_kib or 0, 0):
            codes += ("pages.insufficient",)
    if need.devices and not enough_devices(room.stock, need):
        codes += ("pci.insufficient",)
    return codes


def _reasons(room: Room, need: Need) -> Iterator[Refusal]:
    if need.unaligned is not None:
        yield Refusal(
            FILTER,
            "pages.unaligned",
            f"the memory of the guest's cell {need.unaligned} is not a whole number of"
            f" {need.page_kib} KiB pages",
        )
    elif need.bound and len(need.cells) > len(room.cells):
        yield Refusal(
            FILTER,
            "cells.insufficient",
            f"the guest has {len(need.cells)} NUMA cells, the host {len(room.cells)}",
        )
    else:
        homeless = [
            _WORDS[code](cell, guest, need)
            for guest in _homeless(room, need)
            for cell in _homes(room, need)
            for code in cell_codes(cell, guest, need)
        ]
        lacking = [_device_reason(room, one) for one in need.devices if _lacks(room, one)]
        yield from homeless
        yield from lacking
        if not lacking and (not homeless or "pci.insufficient" in hopeless(room, need)):
            yield _together_reason(need)


def _homes(room: Room, need: Need) -> tuple[RoomCell, ...]:
    return room.cells if need.bound else (room.together,)


def _homeless(room: Room, need: Need) -> list[CellNeed]:
    """Cells of the guest that fit nowhere."""
    homes = _homes(room, need)
    return [
        guest for guest in need.cells if not any(cell_fits(cell, guest, need) for cell in homes)
    ]


def cell_codes(cell: RoomCell, guest: CellNeed, need: Need) -> list[str]:
    """Why one guest cell does not fit in one host cell; nothing when it does."""
    codes = []
    if not enough_cpus(cell, guest, need.threads):
        if need.threads is ThreadPolicy.ISOLATE:
            codes.append("cpus.no_whole_core")
        elif cell.free_count < len(guest.vcpus) + guest.own_emulator:
            codes.append("cpus.insufficient")
        else:
            codes.append("cpus.no_siblings")
    if guest.pages and cell.pages.get(need.page_kib or 0, 0) < guest.pages:
        codes.append("pages.insufficient")
    if guest.memory_mib and _memory(cell, guest) < guest.memory_mib:
        codes.append("memory.insufficient")
    if guest.sharing and min(cell.shared_count, cell.vcpus_left) < guest.sharing:
        codes.append("vcpus.insufficient")
    return codes


def _memory(cell: RoomCell, guest: CellNeed) -> float:
    return cell.memory_there if guest.vcpus else cell.memory_left


def cell_fits(cell: RoomCell, guest: CellNeed, need: Need) -> bool:
    """Whether one guest cell fits in one host cell, devices and the other cells aside."""
    if guest.pages and cell.pages.get(need.page_kib or 0, 0) < guest.pages:
        return False
    if not enough_cpus(cell, guest, need.threads):
        return False
    if guest.memory_mib and _memory(cell, guest) < guest.memory_mib:
        return False
    return not guest.sharing or (
        guest.sharing <= cell.shared_count and guest.sharing <= cell.vcpus_left
    )


def _where(cell: RoomCell) -> str:
    return f"cell {cell.ids[0]} has" if len(cell.ids) == 1 else "its cells together have"


def _cell_refusal(cell: RoomCell, code: str, what: str, free: int, needed: int) -> Refusal:
    number = cell.ids[0] if len(cell.ids) == 1 else None
    facts = {"cell": number, "free": free, "needed": needed}
    return Refusal(FILTER, code, f"{_where(cell)} {what}, the guest needs {needed}", facts)


def _no_core(cell: RoomCell, guest: CellNeed, need: Need) -> Refusal:
    free, needed = len(cell.whole), len(guest.vcpus) + guest.own_emulator
    what = f"{free} whole dedicated cores free"
    return _cell_refusal(cell, "cpus.no_whole_core", what, free, needed)


def _no_cpus(cell: RoomCell, guest: CellNeed, need: Need) -> Refusal:
    free, needed = cell.free_count, len(guest.vcpus) + guest.own_emulator
    return _cell_refusal(cell, "cpus.insufficient", f"{free} free dedicated CPUs", free, needed)


def _no_siblings(cell: RoomCell, guest: CellNeed, need: Need) -> Refusal:
    what = f"{cell.paired} free dedicated CPUs with a free sibling"
    return _cell_refusal(cell, "cpus.no_siblings", what, cell.paired, len(guest.vcpus))


def _no_pages(cell: RoomCell, guest: CellNeed, need: Need) -> Refusal:
    free = cell.pages.get(need.page_kib or 0, 0)
    what = f"{free} free pages of {need.page_kib} KiB"
    return _cell_refusal(cell, "pages.insufficient", what, free, guest.pages)


def _no_memory(cell: RoomCell, guest: CellNeed, need: Need) -> Refusal:
    free = max(int(_memory(cell, guest)), 0)
    what = f"{free} MiB of ordinary memory left"
    return _cell_refusal(cell, "memory.insufficient", what, free, guest.memory_mib)


def _no_vcpus(cell: RoomCell, guest: CellNeed, need: Need) -> Refusal:
    free = max(int(min(cell.shared_count, cell.vcpus_left)), 0)
    what = f"room for {free} more vCPUs on its shared CPUs"
    return _cell_refusal(cell, "vcpus.insufficient", what, free, guest.sharing)


_WORDS: Mapping[str, Callable[[RoomCell, CellNeed, Need], Refusal]] = {
    "cpus.no_whole_core": _no_core,
    "cpus.insufficient": _no_cpus,
    "cpus.no_siblings": _no_siblings,
    "pages.insufficient": _no_pages,
    "memory.insufficient": _no_memory,
    "vcpus.insufficient": _no_vcpus,
}
"""What :func:`cell_codes` says, put into words."""


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
