"""What a guest needs, in the form a fit asks for it. Made once for each request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from migrator.model import (
    DeviceKind,
    EmulatorPolicy,
    GuestCell,
    PciMatch,
    PciNuma,
    PciRequest,
    ResourceRequest,
    ThreadPolicy,
)
from migrator.scheduler.fit.stock import Make, Makes

KIB_PER_MIB = 1024


@dataclass(frozen=True, slots=True)
class CellNeed:
    """One guest cell, or the whole guest where no cell binds it."""

    guest: int
    vcpus: tuple[int, ...]
    """Those that get a CPU each."""
    sharing: int
    """Those that do not, counted where a cell binds them."""
    memory_mib: int
    """Ordinary memory, counted where a cell binds it."""
    pages: int
    own_emulator: int
    """1 where QEMU's own CPU is taken from this cell."""


class DeviceNeed:
    """One request for devices."""

    __slots__ = ("_among", "count", "id", "makes", "matches", "numa", "physical")

    def __init__(self, request: PciRequest) -> None:
        self.id = request.id
        self.count = request.count
        self.numa = request.numa
        self.physical = any(match.kind is DeviceKind.PF for match in request.match)
        self.matches: tuple[Callable[[Make], bool], ...] = tuple(map(_matcher, request.match))
        self.makes: dict[Make, bool] = {}
        self._among: dict[Makes, tuple[int, ...]] = {}

    def takes(self, make: Make) -> bool:
        """Whether such a device would do; remembered, since hosts resemble each other."""
        known = self.makes.get(make)
        if known is None:
            known = self.makes[make] = any(match(make) for match in self.matches)
        return known

    def among(self, makes: Makes) -> tuple[int, ...]:
        """Positions of those that would do."""
        known = self._among.get(makes)
        if known is None:
            known = tuple([at for at, make in enumerate(makes.listed) if self.takes(make)])
            self._among[makes] = known
        return known

    @property
    def strict(self) -> bool:
        """Whether a device may be too far away."""
        return self.numa is not PciNuma.PREFERRED


@dataclass(frozen=True, slots=True)
class Need:
    """The whole request."""

    request: ResourceRequest
    cells: tuple[CellNeed, ...]
    bound: bool
    """Whether each of ``cells`` must lie in a host cell of its own."""
    anywhere: bool
    """Nothing has to be found on particular CPUs or cells: only devices, or not even those."""
    threads: ThreadPolicy
    page_kib: int | None
    unaligned: int | None
    """The guest cell whose memory is not a whole number of pages."""
    devices: tuple[DeviceNeed, ...]
    physical: bool
    """Whether a physical function is asked for."""
    most_cpus: int
    """Of any one cell; so is the next."""
    most_pages: int


def need(request: ResourceRequest) -> Need:
    """``request`` taken apart."""
    dedicated = frozenset(request.dedicated)
    cells = request.cells or (GuestCell(0, tuple(range(request.vcpus)), request.memory_mib),)
    bound = bool(request.cells)
    own = request.emulator is EmulatorPolicy.ISOLATE
    devices = tuple(DeviceNeed(each) for each in request.pci if each.count)
    needs = tuple(
        _cell(cell, dedicated, request.page_kib, own and position == 0, bound)
        for position, cell in enumerate(cells)
    )
    return Need(
        request=request,
        cells=needs,
        bound=bound,
        anywhere=not bound and not dedicated and request.page_kib is None and not own,
        threads=request.threads,
        page_kib=request.page_kib,
        unaligned=_unaligned(cells, request.page_kib),
        devices=devices,
        physical=any(each.physical for each in devices),
        most_cpus=max(len(one.vcpus) + one.own_emulator for one in needs),
        most_pages=max(one.pages for one in needs),
    )


def _cell(
    cell: GuestCell, dedicated: frozenset[int], page_kib: int | None, own: bool, bound: bool
) -> CellNeed:
    vcpus = tuple(sorted(dedicated.intersection(cell.vcpus)))
    return CellNeed(
        guest=cell.id,
        vcpus=vcpus,
        sharing=len(cell.vcpus) - len(vcpus) if bound else 0,
        memory_mib=cell.memory_mib if bound and page_kib is None else 0,
        pages=0 if page_kib is None else cell.memory_mib * KIB_PER_MIB // page_kib,
        own_emulator=int(own),
    )


def _unaligned(cells: tuple[GuestCell, ...], page_kib: int | None) -> int | None:
    if page_kib is not None:
        for cell in cells:
            if cell.memory_mib * KIB_PER_MIB % page_kib:
                return cell.id
    return None


def _matcher(match: PciMatch) -> Callable[[Make], bool]:
    def matches(make: Make) -> bool:
        vendor, product, kind, network = make
        return (
            (match.vendor is None or match.vendor == vendor)
            and (match.product is None or match.product == product)
            and (kind is not DeviceKind.PF if match.kind is None else match.kind is kind)
            and (match.network is None or match.network == network)
        )

    return matches
