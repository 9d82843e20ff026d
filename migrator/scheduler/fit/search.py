"""The search itself: which guest cell lies on which host cell, with which devices."""

from __future__ import annotations

from dataclasses import dataclass, field

from migrator.model import (
    CellPlacement,
    DeviceGiven,
    EmulatorPolicy,
    HostTopology,
    HostUse,
    PagesTaken,
    Placement,
    ResourceRequest,
)
from migrator.scheduler.fit.cpus import choose_cpus
from migrator.scheduler.fit.devices import choose_devices, enough_near
from migrator.scheduler.fit.need import Need, need
from migrator.scheduler.fit.refusing import NoFit, cell_fits, hopeless
from migrator.scheduler.fit.room import NO_OVERCOMMIT, Overcommit, Room, RoomCell, Strategy, room

Devices = tuple[DeviceGiven, ...]


def fit(
    topology: HostTopology,
    use: HostUse,
    request: ResourceRequest,
    strategy: Strategy = Strategy.SPREAD,
    default: Overcommit = NO_OVERCOMMIT,
) -> Placement | NoFit:
    """Where on the host the guest would lie, or why nowhere."""
    return fit_room(room(topology, use, default), need(request), strategy)


def fit_room(host: Room, guest: Need, strategy: Strategy = Strategy.SPREAD) -> Placement | NoFit:
    """The same, from prepared values."""
    if guest.unaligned is not None or (guest.bound and len(guest.cells) > len(host.cells)):
        return NoFit(host, guest)
    alone = hopeless(host, guest)
    if alone:
        return NoFit(host, guest, alone)
    found = _search(host, guest, strategy)
    if found is None:
        return NoFit(host, guest)
    return _placement(host, guest, *found)


Found = tuple[list[RoomCell], Devices]


def _search(host: Room, guest: Need, strategy: Strategy) -> Found | None:
    if guest.anywhere:
        return _on(host, guest, host.together)
    dedicated, devices = bool(guest.request.dedicated), bool(guest.devices)
    fitting = []
    for one in guest.cells:
        cells = [cell for cell in host.cells if cell_fits(cell, one, guest)]
        if guest.bound and not cells:
            return None
        fitting.append(host.in_order(cells, strategy, dedicated, devices))
    if len(fitting) > 1:
        return _Cells(host, guest, fitting).found()
    for cell in fitting[0]:
        found = _on(host, guest, cell)
        if found is not None:
            return found
    if guest.bound or not cell_fits(host.together, guest.cells[0], guest):
        return None
    return _on(host, guest, host.together)


def _on(host: Room, guest: Need, cell: RoomCell) -> Found | None:
    if not guest.devices:
        return [cell], ()
    if not enough_near(host.stock, guest, cell.bits):
        return None
    devices = choose_devices(host.stock, guest, cell.bits)
    return None if devices is None else ([cell], devices)


@dataclass
class _Cells:
    """Guest cells to host cells of their own, one after the other, back where it leads nowhere.

    What remains possible depends only on which host cells are taken, not on who lies where: a set that
    led nowhere is not tried again.
    """

    host: Room
    guest: Need
    fitting: list[list[RoomCell]]
    """For each guest cell, in the order they are tried."""
    hopeless: set[int] = field(default_factory=set)
    devices: dict[int, Devices | None] = field(default_factory=dict)

    def found(self) -> Found | None:
        return self._place(0, 0)

    def _place(self, position: int, taken: int) -> Found | None:
        if position == len(self.fitting):
            devices = self._devices(taken)
            return None if devices is None else ([], devices)
        if taken in self.hopeless:
            return None
        for cell in self.fitting[position]:
            if not cell.bits & taken:
                rest = self._place(position + 1, taken | cell.bits)
                if rest is not None:
                    return [cell, *rest[0]], rest[1]
        self.hopeless.add(taken)
        return None

    def _devices(self, taken: int) -> Devices | None:
        if not self.guest.devices:
            return ()
        if taken not in self.devices:
            self.devices[taken] = choose_devices(self.host.stock, self.guest, taken)
        return self.devices[taken]


# -- what was found, put into words


def _placement(host: Room, guest: Need, cells: list[RoomCell], devices: Devices) -> Placement:
    request = guest.request
    pins, emulator, blocked = _own(guest, cells)
    bound = _bound(guest, cells) if guest.bound else ()
    sharing = request.vcpus - len(request.dedicated)
    return Placement(
        vcpus=sharing,
        memory_mib=request.memory_mib if guest.page_kib is None else 0,
        pins=pins,
        emulator_cpu=emulator,
        emulator_cpus=_emulator_cpus(host, request, emulator, (pins, bound)),
        blocked_cpus=blocked,
        cells=bound,
        pages=_pages(host, guest, cells) if guest.page_kib is not None else (),
        page_kib=guest.page_kib,
        shared_cpus=host.shared_cpus if sharing and not bound else (),
        devices=devices,
        blocked_devices=_ceasing(host, guest, devices),
    )


Pins = tuple[tuple[int, int], ...]


def _own(guest: Need, cells: list[RoomCell]) -> tuple[Pins, int | None, tuple[int, ...]]:
    """Pins by vCPU, QEMU's own CPU, and blocked siblings."""
    if len(cells) == 1:
        own = choose_cpus(cells[0], guest.cells[0], guest.threads)
        return tuple(zip(guest.cells[0].vcpus, own.cpus, strict=True)), own.emulator, own.blocked
    pins: list[tuple[int, int]] = []
    blocked: list[int] = []
    emulator = None
    for one, cell in zip(guest.cells, cells, strict=True):
        own = choose_cpus(cell, one, guest.threads)
        pins += zip(one.vcpus, own.cpus, strict=True)
        blocked += own.blocked
        emulator = own.emulator if one.own_emulator else emulator
    return tuple(sorted(pins)), emulator, tuple(sorted(blocked))


def _bound(guest: Need, cells: list[RoomCell]) -> tuple[CellPlacement, ...]:
    return tuple(
        [
            CellPlacement(
                one.guest,
                cell.ids[0],
                one.sharing,
                one.memory_mib,
                cell.shared_cpus if one.sharing else (),
            )
            for one, cell in zip(guest.cells, cells, strict=True)
        ]
    )


def _pages(host: Room, guest: Need, cells: list[RoomCell]) -> tuple[PagesTaken, ...]:
    """From its cell; a guest that no cell binds takes what is missing there from the others."""
    assert guest.page_kib is not None
    size = guest.page_kib
    if guest.bound:
        found = [
            PagesTaken(cell.ids[0], size, one.pages)
            for one, cell in zip(guest.cells, cells, strict=True)
        ]
        return tuple(found if len(found) < 2 else sorted(found, key=lambda one: one.cell))
    taken: dict[int, int] = {}
    for one, cell in zip(guest.cells, cells, strict=True):
        missing = one.pages
        single = [each for each in host.cells if each.bits & cell.bits]
        for each in sorted(single, key=lambda one: (-one.pages.get(size, 0), one.bits)):
            some = min(each.pages.get(size, 0), missing)
            if some:
                taken[each.ids[0]] = some
            missing -= some
    return tuple(PagesTaken(cell, size, taken[cell]) for cell in sorted(taken))


def _emulator_cpus(
    host: Room,
    request: ResourceRequest,
    own: int | None,
    runs_on: tuple[Pins, tuple[CellPlacement, ...]],
) -> tuple[int, ...]:
    if own is not None:
        return (own,)
    if request.emulator is EmulatorPolicy.SHARE:
        return host.shared_cpus
    pins, bound = runs_on
    if not pins and not bound:
        return ()
    if len(pins) == request.vcpus:
        return tuple(sorted([cpu for _, cpu in pins]))
    cpus = {cpu for _, cpu in pins}.union(*(one.shared_cpus for one in bound))
    if not bound:
        cpus.update(host.shared_cpus)
    return tuple(sorted(cpus))


def _ceasing(host: Room, guest: Need, devices: Devices) -> tuple[str, ...]:
    if not guest.physical:
        return ()
    functions = host.stock.functions
    return tuple(sorted(child for one in devices for child in functions.get(one.address, ())))
