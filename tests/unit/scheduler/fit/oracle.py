"""The rules of a fit as sets and enumerations: slow, without cleverness, and by another hand than the
search's. ``feasible`` tries everything; ``faults`` says what is wrong with a placement.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import combinations, permutations, product

from migrator.model import (
    DeviceKind,
    EmulatorPolicy,
    GuestCell,
    HostCell,
    HostTopology,
    HostUse,
    PciDevice,
    PciMatch,
    PciNuma,
    PciRequest,
    Placement,
    ResourceRequest,
    ThreadPolicy,
)

Cells = tuple[HostCell, ...]


class World:
    """A host, what is taken of it, and a guest."""

    def __init__(self, topology: HostTopology, use: HostUse, request: ResourceRequest) -> None:
        self.topology = topology
        self.use = use
        self.request = request
        self.guests = request.cells or (
            GuestCell(0, tuple(range(request.vcpus)), request.memory_mib),
        )

    # -- CPUs

    def free_cpus(self, cells: Cells) -> set[int]:
        here = {cpu for cell in cells for core in cell.cores for cpu in core}
        gone = self.use.cpus | self.use.blocked_cpus
        return (here & set(self.topology.dedicated_cpus)) - gone

    def cores(self) -> list[set[int]]:
        return [set(core) for cell in self.topology.cells for core in cell.cores]

    def core_of(self, cpu: int) -> set[int]:
        return next(core for core in self.cores() if cpu in core)

    def threads_right(self, cpus: Iterable[int], free: set[int]) -> bool:
        cpus = set(cpus)
        used = [(core, len(core & cpus)) for core in self.cores() if core & cpus]
        if self.request.threads is ThreadPolicy.ISOLATE:
            return all(count == 1 and core <= free for core, count in used)
        if self.request.threads is ThreadPolicy.REQUIRE:
            alone = [core for core, count in used if count == 1]
            return len(alone) <= 1 and all(len(core & free) > 1 for core in alone)
        return True

    def cpus_found(self, guest: GuestCell, cells: Cells, emulator: bool) -> bool:
        free = self.free_cpus(cells)
        wanted = len(set(guest.vcpus) & set(self.request.dedicated))
        for cpus in combinations(sorted(free), wanted):
            if not self.threads_right(cpus, free):
                continue
            if not emulator:
                return True
            for own in free - set(cpus):
                isolate = self.request.threads is ThreadPolicy.ISOLATE
                if not isolate or self.threads_right({*cpus, own}, free):
                    return True
        return False

    # -- memory

    def free_pages(self, cells: Cells, size_kib: int) -> int:
        total = 0
        taken = {cell.id: dict(cell.pages) for cell in self.use.cells}
        for cell in cells:
            for pool in cell.pages:
                if pool.size_kib == size_kib:
                    gone = taken.get(cell.id, {}).get(size_kib, 0)
                    total += max(pool.total - pool.reserved - gone, 0)
        return total

    def memory_found(self, guest: GuestCell, cells: Cells) -> bool:
        if self.request.page_kib is not None:
            pages, rest = divmod(guest.memory_mib * 1024, self.request.page_kib)
            return rest == 0 and self.free_pages(cells, self.request.page_kib) >= pages
        if not self.request.cells:
            return True
        (cell,) = cells
        huge = sum(pool.size_kib * pool.total for pool in cell.pages) // 1024
        ordinary = max(cell.memory_mib - huge - cell.reserved_memory_mib, 0)
        ratio = self.topology.memory_overcommit or 1.0
        if set(guest.vcpus) & set(self.request.dedicated):
            ratio = min(ratio, 1.0)
        used = {each.id: each.memory_mib for each in self.use.cells}.get(cell.id, 0)
        return used + guest.memory_mib <= ordinary * ratio

    def sharing_found(self, guest: GuestCell, cells: Cells) -> bool:
        count = len(set(guest.vcpus) - set(self.request.dedicated))
        if not self.request.cells or not count:
            return True
        (cell,) = cells
        shared = {cpu for core in cell.cores for cpu in core} & set(self.topology.shared_cpus)
        used = {each.id: each.vcpus for each in self.use.cells}.get(cell.id, 0)
        ratio = self.topology.cpu_overcommit or 1.0
        return count <= len(shared) and used + count <= len(shared) * ratio

    # -- devices

    def free_devices(self) -> list[PciDevice]:
        devices = self.topology.devices
        groups = {one.iommu_group for one in devices if one.address in self.use.devices} - {None}
        gone = self.use.devices | self.use.blocked_devices
        gone |= {one.address for one in devices if one.parent in self.use.devices}
        gone |= {one.parent for one in devices if one.address in gone and one.parent is not None}
        gone |= {one.address for one in devices if one.iommu_group in groups}
        return [one for one in devices if one.address not in gone]

    def would_do(self, device: PciDevice, request: PciRequest, cells: Cells) -> bool:
        if not any(_matches(device, match) for match in request.match):
            return False
        ids = {cell.id for cell in self.topology.cells}
        node = device.numa_node if device.numa_node in ids else None
        if request.numa is PciNuma.PREFERRED:
            return True
        if node is None:
            return request.numa is PciNuma.LEGACY
        if request.numa is PciNuma.SOCKET:
            sockets = {socket for cell in cells for socket in cell.sockets}
            home = next(cell for cell in self.topology.cells if cell.id == node)
            return home in cells or bool(sockets & set(home.sockets))
        return node in {cell.id for cell in cells}

    def device_choices(self, cells: Cells) -> Iterator[list[list[PciDevice]]]:
        free = self.free_devices()
        each = [
            combinations([one for one in free if self.would_do(one, request, cells)], request.count)
            for request in self.request.pci
        ]
        for choice in product(*each):
            yield [list(some) for some in choice]

    def devices_found(self, cells: Cells) -> bool:
        return any(_compatible(choice) for choice in self.device_choices(cells))

    # -- the whole

    def assignments(self) -> Iterator[tuple[Cells, ...]]:
        cells = self.topology.cells
        if self.request.cells:
            for some in permutations(cells, len(self.guests)):
                yield tuple((cell,) for cell in some)
        else:
            yield from (((cell,),) for cell in cells)
            yield (cells,)

    def feasible(self) -> bool:
        isolate = self.request.emulator is EmulatorPolicy.ISOLATE
        known: dict[tuple[int, Cells], bool] = {}

        def cell_found(position: int, cells: Cells) -> bool:
            key = (position, cells)
            if key not in known:
                guest = self.guests[position]
                known[key] = (
                    self.memory_found(guest, cells)
                    and self.sharing_found(guest, cells)
                    and self.cpus_found(guest, cells, isolate and position == 0)
                )
            return known[key]

        return any(
            all(cell_found(position, cells) for position, cells in enumerate(assignment))
            and self.devices_found(tuple(dict.fromkeys(c for some in assignment for c in some)))
            for assignment in self.assignments()
        )

    # -- judging a placement

    def faults(self, placement: Placement) -> list[str]:
        """Everything that is wrong with it."""
        return [
            *self._cpu_faults(placement),
            *self._cell_faults(placement),
            *self._page_faults(placement),
            *self._device_faults(placement),
        ]

    def _cells_of(self, placement: Placement) -> dict[int, Cells]:
        """Guest cell -> host cells it may lie on."""
        cells = {cell.id: cell for cell in self.topology.cells}
        if self.request.cells:
            return {one.guest: (cells[one.host],) for one in placement.cells}
        return {0: self.topology.cells}

    def _cpu_faults(self, placement: Placement) -> Iterator[str]:
        pins = dict(placement.pins)
        if sorted(pins) != sorted(self.request.dedicated):
            yield "not exactly the dedicated vCPUs are pinned"
            return
        own = placement.own_cpus
        if len(set(own)) != len(own):
            yield "a CPU is given twice"
        if set(own) & set(placement.blocked_cpus):
            yield "a CPU is given and blocked"
        everywhere = self.free_cpus(self.topology.cells)
        if not set(own) <= everywhere:
            yield "a CPU is not free"
        isolate = self.request.emulator is EmulatorPolicy.ISOLATE
        if isolate != (placement.emulator_cpu is not None):
            yield "QEMU's own CPU"
        if (blocked := self._siblings(own)) != set(placement.blocked_cpus):
            yield f"blocked siblings should be {sorted(blocked)}"
        yield from self._cell_cpu_faults(placement, pins)

    def _cell_cpu_faults(self, placement: Placement, pins: dict[int, int]) -> Iterator[str]:
        where = self._cells_of(placement)
        for guest in self.guests:
            free = self.free_cpus(where[guest.id])
            cpus = {pins[vcpu] for vcpu in guest.vcpus if vcpu in pins}
            if not cpus <= free:
                yield f"guest cell {guest.id} is pinned outside its host cell"
            if not self.threads_right(cpus, free):
                yield f"threads of guest cell {guest.id}"
        own, home = placement.emulator_cpu, self.free_cpus(where[self.guests[0].id])
        if own is not None and own not in home:
            yield "QEMU's own CPU is not in the first cell"

    def _siblings(self, own: Iterable[int]) -> set[int]:
        if self.request.threads is not ThreadPolicy.ISOLATE:
            return set()
        return {cpu for one in own for cpu in self.core_of(one)} - set(own)

    def _cell_faults(self, placement: Placement) -> Iterator[str]:
        if len(placement.cells) != len(self.request.cells):
            yield "not every guest cell is placed"
            return
        if len({one.host for one in placement.cells}) != len(placement.cells):
            yield "two guest cells on one host cell"
        where = self._cells_of(placement)
        for guest, one in zip(self.request.cells, placement.cells, strict=True):
            sharing = set(guest.vcpus) - set(self.request.dedicated)
            if one.guest != guest.id or one.vcpus != len(sharing):
                yield f"guest cell {guest.id} is told wrong"
            if not self.memory_found(guest, where[guest.id]):
                yield f"memory of guest cell {guest.id}"
            if not self.sharing_found(guest, where[guest.id]):
                yield f"sharing vCPUs of guest cell {guest.id}"
            if bool(one.shared_cpus) != bool(sharing):
                yield f"shared CPUs of guest cell {guest.id}"

    def _page_faults(self, placement: Placement) -> Iterator[str]:
        size = self.request.page_kib
        if size is None:
            if placement.pages or placement.memory_mib != self.request.memory_mib:
                yield "ordinary memory"
            return
        cells = {cell.id: (cell,) for cell in self.topology.cells}
        taken = Counter({one.cell: one.count for one in placement.pages})
        if any(count > self.free_pages(cells[cell], size) for cell, count in taken.items()):
            yield "more pages than are free"
        if taken.total() * size != self.request.memory_mib * 1024:
            yield "not all of the memory is in pages"
        hosts = {one.guest: one.host for one in placement.cells}
        for guest in self.request.cells:
            if taken[hosts[guest.id]] * size != guest.memory_mib * 1024:
                yield f"pages of guest cell {guest.id}"

    def _device_faults(self, placement: Placement) -> Iterator[str]:
        devices = {one.address: one for one in self.topology.devices}
        free = {one.address for one in self.free_devices()}
        chosen: dict[str, list[PciDevice]] = {request.id: [] for request in self.request.pci}
        for given in placement.devices:
            chosen[given.request_id].append(devices[given.address])
        where = tuple(
            {c.id: c for some in self._cells_of(placement).values() for c in some}.values()
        )
        for request in self.request.pci:
            some = chosen[request.id]
            if len(some) != request.count:
                yield f"number of devices of {request.id}"
            if not all(self.would_do(one, request, where) for one in some):
                yield f"unsuitable device for {request.id}"
        every = [one for some in chosen.values() for one in some]
        if not {one.address for one in every} <= free:
            yield "a device is not free"
        if not _compatible(list(chosen.values())):
            yield "devices that exclude each other"
        ceasing = {
            one.address for one in self.topology.devices if one.parent in {d.address for d in every}
        }
        if ceasing != set(placement.blocked_devices):
            yield "virtual functions that cease"


def _matches(device: PciDevice, match: PciMatch) -> bool:
    kind = device.kind is match.kind if match.kind else device.kind is not DeviceKind.PF
    return (
        kind
        and match.vendor in (None, device.vendor)
        and match.product in (None, device.product)
        and match.network in (None, device.network)
    )


def _compatible(choice: list[list[PciDevice]]) -> bool:
    chosen = [one for some in choice for one in some]
    addresses = {one.address for one in chosen}
    return len(addresses) == len(chosen) and not any(one.parent in addresses for one in chosen)
