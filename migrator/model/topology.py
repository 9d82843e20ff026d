"""What a host is made of, as far as a guest can be given a part of it.

CPU numbers and NUMA cells are libvirt's. Tuples are sorted, so that equal hosts compare equal.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class DeviceKind(enum.StrEnum):
    """How a PCI device stands to SR-IOV."""

    PCI = "pci"
    """A plain device."""
    PF = "pf"
    """A physical function: can be cut into virtual ones, or into mediated devices."""
    VF = "vf"
    """A virtual function of one, or a mediated device: a part that its driver keeps apart."""


@dataclass(frozen=True)
class PagePool:
    """The pages of one size in one cell."""

    size_kib: int
    total: int
    """Pages, whoever uses them now."""
    reserved: int = 0
    """Pages of them that guests never get; configured."""


@dataclass(frozen=True)
class HostCell:
    """One NUMA cell."""

    id: int
    memory_mib: int
    """All of it, pages of every size included."""
    cores: tuple[tuple[int, ...], ...]
    """The CPUs of each core: its threads are siblings of each other."""
    sockets: tuple[int, ...] = ()
    pages: tuple[PagePool, ...] = ()
    """Huge pages only: what is left of the cell's memory is ordinary."""
    reserved_memory_mib: int = 0
    """Ordinary memory that guests never get; configured."""


@dataclass(frozen=True)
class PciDevice:
    """A device that may be given to a guest."""

    address: str
    """``0000:3b:02.1``; of a mediated device its UUID."""
    vendor: str
    """Four hexadecimal digits; of a mediated device its parent's."""
    product: str
    """Four hexadecimal digits; of a mediated device its type: ``nvidia-35``."""
    kind: DeviceKind = DeviceKind.PCI
    parent: str | None = None
    """Address of a virtual function's physical one, or of what a mediated device is a part of."""
    device_class: str = ""
    """Six hexadecimal digits; ``020000`` is an Ethernet controller."""
    numa_node: int | None = None
    driver: str | None = None
    iommu_group: int | None = None
    max_vfs: int = 0
    """How many virtual functions it can be cut into."""
    network: str | None = None
    """The physical network it is plugged into; configured, no host knows it."""

    @property
    def mediated(self) -> bool:
        """A part of another device that is on no bus of its own."""
        return ":" not in self.address


@dataclass(frozen=True)
class HostTopology:
    """Everything that can be promised piece by piece; what is configured for the host applied."""

    cells: tuple[HostCell, ...]
    dedicated_cpus: tuple[int, ...]
    """Those that may become one vCPU's own."""
    shared_cpus: tuple[int, ...]
    """Those that all other vCPUs run on; the same ones where nothing is configured."""
    devices: tuple[PciDevice, ...] = ()
    cpu_overcommit: float | None = None
    """vCPUs for each shared CPU; None where the host's section says nothing."""
    memory_overcommit: float | None = None
    reserved_memory_mib: int | None = None
    """Kept for the host itself; None where its section says nothing."""


@dataclass(frozen=True)
class Machines:
    """Machine types a host offers to guests of one architecture and virtualisation type."""

    arch: str
    virt_type: str
    names: tuple[str, ...]
    """Canonical ones and aliases."""


@dataclass(frozen=True)
class DevicePattern:
    """Which devices an operator gives to guests; what is None or empty fits all."""

    address: str = ""
    """With ``*`` for any characters: ``0000:3b:*``."""
    vendor: str = ""
    product: str = ""
    network: str | None = None
    """The physical network such a device is plugged into."""


@dataclass(frozen=True)
class HostLimits:
    """What is configured for a host; None where nothing is."""

    reserved_cpus: tuple[int, ...] = ()
    dedicated_cpus: tuple[int, ...] | None = None
    shared_cpus: tuple[int, ...] | None = None
    reserved_memory_mib: int | None = None
    reserved_pages: tuple[tuple[int, int, int], ...] = ()
    """(cell, size in KiB, pages)"""
    cpu_overcommit: float | None = None
    memory_overcommit: float | None = None
    devices: tuple[DevicePattern, ...] = ()
    """Empty: virtual functions, and what is bound to vfio-pci."""
