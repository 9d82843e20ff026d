"""What claims do with a placement: take it, and give it back."""

from __future__ import annotations

from dataclasses import dataclass, field

from migrator.model import CellUse, HostUse, Placement


def take(use: HostUse, placement: Placement) -> HostUse:
    """``use`` with ``placement`` taken too."""
    return HostUse(
        cpus=use.cpus | frozenset(placement.own_cpus),
        blocked_cpus=use.blocked_cpus | frozenset(placement.blocked_cpus),
        devices=use.devices | _addresses(placement),
        blocked_devices=use.blocked_devices | frozenset(placement.blocked_devices),
        vcpus=use.vcpus + placement.vcpus,
        memory_mib=use.memory_mib + placement.memory_mib,
        cells=_cells(use, placement, 1),
    )


def release(use: HostUse, placement: Placement) -> HostUse:
    """``use`` as it was before ``placement`` was taken."""
    return HostUse(
        cpus=use.cpus - frozenset(placement.own_cpus),
        blocked_cpus=use.blocked_cpus - frozenset(placement.blocked_cpus),
        devices=use.devices - _addresses(placement),
        blocked_devices=use.blocked_devices - frozenset(placement.blocked_devices),
        vcpus=use.vcpus - placement.vcpus,
        memory_mib=use.memory_mib - placement.memory_mib,
        cells=_cells(use, placement, -1),
    )


@dataclass
class _Sum:
    vcpus: int = 0
    memory_mib: int = 0
    pages: dict[int, int] = field(default_factory=dict)

    def add_pages(self, size_kib: int, count: int) -> None:
        self.pages[size_kib] = self.pages.get(size_kib, 0) + count


def _addresses(placement: Placement) -> frozenset[str]:
    return frozenset(given.address for given in placement.devices)


def _cells(use: HostUse, placement: Placement, sign: int) -> tuple[CellUse, ...]:
    sums = {cell.id: _Sum(cell.vcpus, cell.memory_mib, dict(cell.pages)) for cell in use.cells}
    for bound in placement.cells:
        one = sums.setdefault(bound.host, _Sum())
        one.vcpus += sign * bound.vcpus
        one.memory_mib += sign * bound.memory_mib
    for pages in placement.pages:
        sums.setdefault(pages.cell, _Sum()).add_pages(pages.size_kib, sign * pages.count)
    cells = (_cell(cell_id, sums[cell_id]) for cell_id in sorted(sums))
    return tuple(cell for cell in cells if cell != CellUse(cell.id))


def _cell(cell_id: int, of: _Sum) -> CellUse:
    pages = tuple((size, count) for size, count in sorted(of.pages.items()) if count)
    return CellUse(cell_id, of.vcpus, of.memory_mib, pages)
