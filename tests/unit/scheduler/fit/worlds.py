"""Small random hosts and guests, tight enough that about half do not fit."""

from __future__ import annotations

from random import Random

from migrator.model import (
    CellUse,
    DeviceKind,
    EmulatorPolicy,
    GuestCell,
    HostCell,
    HostTopology,
    HostUse,
    PagePool,
    PciDevice,
    PciMatch,
    PciNuma,
    PciRequest,
    ResourceRequest,
    ThreadPolicy,
)
from tests.unit.scheduler.fit.oracle import World

PAGES = (2048, 1048576)
MAKES = (("8086", "10ed"), ("8086", "1563"), ("10de", "1eb8"))


def world(dice: Random) -> World:
    """The same one for the same dice."""
    topology = _topology(dice)
    return World(topology, _use(dice, topology), _request(dice))


def _topology(dice: Random) -> HostTopology:
    threads = dice.choice((1, 2, 2, 2, 3))
    cells, cpu = [], 0
    for cell_id in range(dice.choice((1, 1, 2, 2, 3))):
        cores = []
        for _ in range(dice.randint(1, 4)):
            cores.append(tuple(range(cpu, cpu + threads)))
            cpu += threads
        cells.append(
            HostCell(
                id=cell_id,
                memory_mib=dice.choice((2048, 4096, 6144)),
                cores=tuple(cores),
                sockets=(cell_id // 2,),
                pages=tuple(
                    PagePool(size, dice.randint(1, 4) if size > 9999 else dice.randint(256, 1536))
                    for size in PAGES
                    if dice.random() < 0.7
                ),
                reserved_memory_mib=dice.choice((0, 0, 256)),
            )
        )
    every = range(cpu)
    if dice.random() < 0.5:
        dedicated = shared = tuple(every)
    else:
        dedicated = tuple(one for one in every if dice.random() < 0.8)
        shared = tuple(one for one in every if one not in dedicated)
    return HostTopology(
        cells=tuple(cells),
        dedicated_cpus=dedicated,
        shared_cpus=shared,
        devices=_devices(dice, len(cells)),
        cpu_overcommit=dice.choice((None, 2.0)),
        memory_overcommit=dice.choice((None, None, 1.5, 0.5)),
    )


def _devices(dice: Random, cells: int) -> tuple[PciDevice, ...]:
    if dice.random() < 0.4:
        return ()
    devices: list[PciDevice] = []
    for bus in range(dice.randint(1, 3)):
        node = dice.choice((None, *range(cells)))
        vendor, product = dice.choice(MAKES)
        network = dice.choice((None, "red", "blue"))
        group = dice.choice((None, 7))
        address = f"0000:{bus:02x}:00.0"
        if dice.random() < 0.3:
            devices.append(PciDevice(address, vendor, product, numa_node=node, iommu_group=group))
            continue
        devices.append(
            PciDevice(
                address, vendor, product, DeviceKind.PF, numa_node=node, max_vfs=4, network=network
            )
        )
        devices += [
            PciDevice(
                f"0000:{bus:02x}:10.{number}",
                vendor,
                dice.choice((product, "ffff")),
                DeviceKind.VF,
                parent=address,
                numa_node=node,
                network=network,
            )
            for number in range(dice.randint(0, 3))
        ]
    return tuple(devices)


def _use(dice: Random, topology: HostTopology) -> HostUse:
    part = dice.choice((0.0, 0.1, 0.4))
    taken = [cpu for cpu in topology.dedicated_cpus if dice.random() < part]
    blocked = [cpu for cpu in taken if dice.random() < 0.2]
    devices = {
        one.address
        for one in topology.devices
        if one.kind is not DeviceKind.PF and dice.random() < part
    }
    cells = [
        CellUse(
            cell.id,
            vcpus=dice.choice((0, 0, 1)),
            memory_mib=dice.choice((0, 0, 512, 1024)),
            pages=tuple(
                (pool.size_kib, count)
                for pool in cell.pages
                if (count := dice.choice((0, pool.total // 2)))
            ),
        )
        for cell in topology.cells
    ]
    return HostUse(
        cpus=frozenset(taken) - frozenset(blocked),
        blocked_cpus=frozenset(blocked),
        devices=frozenset(devices),
        vcpus=sum(cell.vcpus for cell in cells),
        memory_mib=sum(cell.memory_mib for cell in cells),
        cells=tuple(cell for cell in cells if cell != CellUse(cell.id)),
    )


def _request(dice: Random) -> ResourceRequest:
    cells, vcpu = [], 0
    for cell_id in range(dice.choice((0, 1, 1, 2, 2, 3))):
        count = dice.choice((1, 1, 2, 2, 3))
        memory = dice.choice((512, 1024, 1024, 1024, 2048, 1025 if dice.random() < 0.2 else 1024))
        cells.append(GuestCell(cell_id, tuple(range(vcpu, vcpu + count)), memory))
        vcpu += count
    if not cells:
        vcpu = dice.randint(1, 5)
    kind = dice.choice(("shared", "dedicated", "dedicated", "mixed"))
    dedicated = [one for one in range(vcpu) if kind == "dedicated" or dice.random() < 0.5]
    memory = sum(cell.memory_mib for cell in cells) or dice.choice((512, 1024, 2048, 4096))
    return ResourceRequest(
        vcpus=vcpu,
        memory_mib=memory,
        dedicated=() if kind == "shared" else tuple(dedicated),
        threads=dice.choice(tuple(ThreadPolicy)),
        emulator=dice.choice((*EmulatorPolicy, EmulatorPolicy.NONE, EmulatorPolicy.NONE)),
        cells=tuple(cells),
        page_kib=dice.choice((None, None, None, *PAGES)),
        pci=_pci(dice),
    )


def _pci(dice: Random) -> tuple[PciRequest, ...]:
    if dice.random() < 0.6:
        return ()
    return tuple(
        PciRequest(
            id=f"hostdev{number}",
            match=tuple(_match(dice) for _ in range(dice.choice((1, 1, 2)))),
            count=dice.choice((1, 1, 1, 2)),
            numa=dice.choice(tuple(PciNuma)),
        )
        for number in range(dice.choice((1, 1, 2, 3)))
    )


def _match(dice: Random) -> PciMatch:
    vendor, product = dice.choice(MAKES)
    return PciMatch(
        vendor=dice.choice((None, None, vendor)),
        product=dice.choice((None, None, product)),
        kind=dice.choice((None, None, None, DeviceKind.VF, *DeviceKind)),
        network=dice.choice((None, None, None, "red")),
    )
