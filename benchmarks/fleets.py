"""Synthetic hosts to place guests on: two sockets, four NUMA cells, 128 CPUs with siblings, half of
them taken, pages of 2 MiB and 1 GiB, eight sorts of PCI devices; no two hosts are alike."""

from __future__ import annotations

from random import Random

from migrator.model import (
    DeviceGiven,
    DeviceKind,
    EmulatorPolicy,
    GuestCell,
    HostCell,
    HostTopology,
    PagePool,
    PagesTaken,
    PciDevice,
    PciMatch,
    PciNuma,
    PciRequest,
    Placement,
    ResourceRequest,
    ThreadPolicy,
)

CELLS, CORES, VFS = 4, 16, 8
MEMORY_MIB = 65_536
PAGES = {2048: 8192, 1048576: 16}
"""Of each size in each cell."""
VF_MAKE, GPU_MAKE = ("8086", "154c"), ("10de", "1eb8")


def topology() -> HostTopology:
    """What all of them are made of; CPU n + 64 is the sibling of CPU n."""
    cells = tuple(
        HostCell(
            id=cell,
            memory_mib=MEMORY_MIB,
            cores=tuple((cell * CORES + core, 64 + cell * CORES + core) for core in range(CORES)),
            sockets=(cell // 2,),
            pages=tuple(PagePool(size, total) for size, total in PAGES.items()),
        )
        for cell in range(CELLS)
    )
    every = tuple(range(CELLS * CORES * 2))
    devices = [device for cell in range(CELLS) for device in _devices(cell)]
    return HostTopology(cells, every, every, tuple(sorted(devices, key=lambda one: one.address)))


def _devices(cell: int) -> list[PciDevice]:
    nic = f"0000:{0x10 + cell:02x}"
    functions = [
        PciDevice(
            f"{nic}:{2 + number // 8:02x}.{number % 8}",
            *VF_MAKE,
            DeviceKind.VF,
            parent=f"{nic}:00.0",
            numa_node=cell,
            network="red",
        )
        for number in range(VFS)
    ]
    card = PciDevice(f"0000:{0x80 + cell:02x}:00.0", *GPU_MAKE, numa_node=cell)
    return [*functions, card]


def taken(dice: Random, part: float = 0.5) -> Placement:
    """About that part of a host, as one claim."""
    host = topology()
    cpus = sorted(dice.sample(host.dedicated_cpus, round(len(host.dedicated_cpus) * part)))
    devices = [one for one in host.devices if dice.random() < part]
    return Placement(
        vcpus=dice.randrange(8),
        memory_mib=dice.randrange(CELLS * 4096),
        pins=tuple(enumerate(cpus)),
        pages=tuple(
            PagesTaken(cell, size, dice.randint(round(total * part * 0.8), round(total * part)))
            for cell in range(CELLS)
            for size, total in PAGES.items()
        ),
        devices=tuple(DeviceGiven(one.address, one.address) for one in devices),
    )


def vf(numa: PciNuma = PciNuma.REQUIRED, count: int = 1) -> PciRequest:
    return PciRequest("vf", (PciMatch(*VF_MAKE, DeviceKind.VF, "red"),), count, numa)


def gpu(count: int = 1) -> PciRequest:
    return PciRequest("gpu", (PciMatch(*GPU_MAKE),), count, PciNuma.REQUIRED)


def guest(
    cells: int,
    vcpus: int,
    page_kib: int | None = None,
    pinned: bool = True,
    threads: ThreadPolicy = ThreadPolicy.PREFER,
    pci: tuple[PciRequest, ...] = (),
    memory_mib: int = 4096,
) -> ResourceRequest:
    """``vcpus`` and ``memory_mib`` altogether, in equal cells."""
    each = vcpus // cells
    return ResourceRequest(
        vcpus=vcpus,
        memory_mib=memory_mib,
        dedicated=tuple(range(vcpus)) if pinned else (),
        threads=threads,
        emulator=EmulatorPolicy.NONE,
        cells=tuple(
            GuestCell(cell, tuple(range(cell * each, (cell + 1) * each)), memory_mib // cells)
            for cell in range(cells)
        ),
        page_kib=page_kib,
        pci=pci,
    )
