"""Exactly what a guest gets of a host, and what all guests together have taken."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PagesTaken:
    """Huge pages of one size in one host cell."""

    cell: int
    size_kib: int
    count: int


@dataclass(frozen=True)
class CellPlacement:
    """A guest cell on a host cell."""

    guest: int
    host: int
    vcpus: int
    """Those of its vCPUs that share CPUs."""
    memory_mib: int
    """Ordinary memory; 0 where huge pages are behind it."""
    shared_cpus: tuple[int, ...] = ()
    """Where its sharing vCPUs may run; empty when it has none."""


@dataclass(frozen=True)
class DeviceGiven:
    """One device for one request."""

    request_id: str
    address: str


@dataclass(frozen=True)
class Placement:
    """Exact pins, cells, pages and devices: a claim takes these and nothing else."""

    vcpus: int
    """Those that share CPUs."""
    memory_mib: int
    """Ordinary memory."""
    pins: tuple[tuple[int, int], ...] = ()
    """(guest vCPU, host CPU), by vCPU."""
    emulator_cpu: int | None = None
    """QEMU's own dedicated CPU."""
    emulator_cpus: tuple[int, ...] = ()
    """Where QEMU's threads may run; empty: unrestricted."""
    blocked_cpus: tuple[int, ...] = ()
    """Siblings that nobody gets while this guest is here."""
    cells: tuple[CellPlacement, ...] = ()
    """Empty for a guest that is not bound to cells."""
    pages: tuple[PagesTaken, ...] = ()
    page_kib: int | None = None
    shared_cpus: tuple[int, ...] = ()
    """Where the vCPUs that share may run when no cell binds them."""
    devices: tuple[DeviceGiven, ...] = ()
    """By request, then by address."""
    blocked_devices: tuple[str, ...] = ()
    """Virtual functions that cease with a physical one that is given away whole."""

    @property
    def own_cpus(self) -> tuple[int, ...]:
        """Host CPUs that are this guest's alone, its emulator's included."""
        extra = () if self.emulator_cpu is None else (self.emulator_cpu,)
        return tuple(sorted((*(cpu for _, cpu in self.pins), *extra)))

    @property
    def has_own_parts(self) -> bool:
        """CPUs or devices of the host are this guest's alone."""
        return bool(self.own_cpus or self.devices)


@dataclass(frozen=True)
class CellUse:
    """What guests that are bound to a cell have taken of it."""

    id: int
    vcpus: int = 0
    memory_mib: int = 0
    pages: tuple[tuple[int, int], ...] = ()
    """(size in KiB, pages), by size; only what is taken."""


@dataclass(frozen=True)
class HostUse:
    """What all claims on a host take of it together; equal uses compare equal."""

    cpus: frozenset[int] = frozenset()
    """Given to one vCPU or emulator each."""
    blocked_cpus: frozenset[int] = frozenset()
    devices: frozenset[str] = frozenset()
    blocked_devices: frozenset[str] = frozenset()
    vcpus: int = 0
    """That share CPUs."""
    memory_mib: int = 0
    """Ordinary memory, bound to a cell or not."""
    cells: tuple[CellUse, ...] = ()
    """By id; only cells something is taken of."""
