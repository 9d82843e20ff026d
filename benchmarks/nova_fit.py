"""The same hosts and guests as nova's objects, for benchmarks/fit.py; imported where nova is there."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.nova_start import start

start()  # before nova imports oslo.messaging

from nova import objects  # noqa: E402
from nova.pci import stats  # noqa: E402
from nova.virt import hardware  # noqa: E402

from migrator.model import (  # noqa: E402
    HostTopology,
    HostUse,
    PciDevice,
    PciRequest,
    ResourceRequest,
)

KIB_PER_MIB = 1024
SMALL_KIB = 4
CALLS = 32
"""Times one question is asked at most: nova changes the guest it is given, so each gets a new one."""

objects.register_all()


def questions(
    topology: HostTopology, uses: Sequence[HostUse], request: ResourceRequest
) -> Sequence[Callable[[], bool]]:
    """One for each host."""
    return [_question(topology, use, request) for use in uses]


def _question(topology: HostTopology, use: HostUse, request: ResourceRequest) -> Callable[[], bool]:
    host = host_cells(topology, use)
    guests = [guest_cells(request) for _ in range(CALLS)]
    limits = objects.NUMATopologyLimits(cpu_allocation_ratio=16.0, ram_allocation_ratio=1.0)
    pci = [device_request(one) for one in request.pci]
    there = stats.PciDeviceStats(host)
    there.pools = device_pools(topology, use)
    wants = {"pci_requests": pci, "pci_stats": there} if request.pci else {}

    def ask() -> bool:
        found = hardware.numa_fit_instance_to_host(host, guests.pop(), None, limits, **wants)
        return found is not None

    return ask


def host_cells(topology: HostTopology, use: HostUse) -> Any:
    used = {cell.id: dict(cell.pages) for cell in use.cells}
    cells = []
    for cell in topology.cells:
        cpus = {cpu for core in cell.cores for cpu in core}
        huge = [
            objects.NUMAPagesTopology(
                size_kb=pool.size_kib,
                total=pool.total,
                used=used.get(cell.id, {}).get(pool.size_kib, 0),
                reserved=0,
            )
            for pool in cell.pages
        ]
        small = objects.NUMAPagesTopology(
            size_kb=SMALL_KIB, total=cell.memory_mib * KIB_PER_MIB // SMALL_KIB, used=0, reserved=0
        )
        cells.append(
            objects.NUMACell(
                id=cell.id,
                cpuset=cpus,
                pcpuset=cpus,
                memory=cell.memory_mib,
                cpu_usage=0,
                memory_usage=0,
                pinned_cpus=cpus & use.cpus,
                siblings=[set(core) for core in cell.cores],
                mempages=[small, *huge],
                socket=cell.sockets[0],
                network_metadata=objects.NetworkMetadata(physnets=set(), tunneled=False),
            )
        )
    return objects.NUMATopology(cells=cells)


def guest_cells(request: ResourceRequest) -> Any:
    dedicated = set(request.dedicated)
    cells = [
        objects.InstanceNUMACell(
            id=cell.id,
            cpuset=set(cell.vcpus) - dedicated,
            pcpuset=set(cell.vcpus) & dedicated,
            cpuset_reserved=None,
            memory=cell.memory_mib,
            pagesize=request.page_kib,
            cpu_pinning_raw=None,
            cpu_policy="dedicated" if dedicated else "shared",
            cpu_thread_policy=str(request.threads) if dedicated else None,
            cpu_topology=None,
        )
        for cell in request.cells
    ]
    return objects.InstanceNUMATopology(cells=cells, emulator_threads_policy=None)


def device_request(request: PciRequest) -> Any:
    (match,) = request.match
    return objects.InstancePCIRequest(
        request_id=str(uuid.uuid4()),
        count=request.count,
        spec=[{"vendor_id": match.vendor, "product_id": match.product}],
        alias_name=request.id,
        numa_policy=str(request.numa),
        requester_id=None,
    )


def device_pools(topology: HostTopology, use: HostUse) -> list[dict[str, Any]]:
    found: dict[tuple[Any, ...], list[PciDevice]] = {}
    for device in topology.devices:
        if device.address not in use.devices:
            key = (device.vendor, device.product, device.kind, device.numa_node, device.parent)
            found.setdefault(key, []).append(device)
    return [
        {
            "vendor_id": vendor,
            "product_id": product,
            "dev_type": f"type-{str(kind).upper()}",
            "numa_node": node,
            "parent_addr": parent,
            "remote_managed": "false",
            "count": len(devices),
            "devices": devices,
        }
        for (vendor, product, kind, node, parent), devices in found.items()
    ]
