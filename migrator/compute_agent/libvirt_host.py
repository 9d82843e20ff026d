"""One libvirt's host: what it is."""

from __future__ import annotations

from collections.abc import Iterator

import libvirt

from migrator.compute_agent import host_topology, kernel_look
from migrator.compute_agent.capabilities import (
    host_capabilities,
    machines,
)
from migrator.compute_agent.libvirt_cpus import offers
from migrator.compute_agent.libvirt_errors import has_code
from migrator.model import HostFacts, HostTopology, KernelFacts
from migrator.storage.libvirt_pools import pool_facts

KIB_PER_MIB = 1024


def host_facts(conn: libvirt.virConnect) -> HostFacts:
    """From libvirt only. The first call after libvirtd's start waits until it has probed its QEMUs."""
    xml = conn.getCapabilities()
    capabilities = host_capabilities(xml)
    info = conn.getInfo()
    # not info[1]: that is the sum over NUMA cells, which lacks memory plugged in after boot
    memory = conn.getMemoryStats(libvirt.VIR_NODE_MEMORY_STATS_ALL_CELLS, 0)
    pools = pool_facts(conn)
    offered = machines(xml, capabilities.arch)
    return HostFacts(
        libvirt_version=conn.getLibVersion(),
        hypervisor_version=conn.getVersion(),
        arch=capabilities.arch,
        cpus=info[2],
        memory_mib=memory["total"] // KIB_PER_MIB,
        pools=tuple(pool.name for pool in pools),
        pool_facts=tuple(pools),
        networks=active_networks(conn),
        host_uuid=capabilities.uuid,
        machines=offered,
        cpu_offers=offers(conn, [(one.arch, one.virt_type) for one in offered]),
    )


def kernel(conn: libvirt.virConnect, migration_address: str) -> KernelFacts:
    """Of this machine, on which libvirt runs as well."""
    return KernelFacts(
        link_mib_s=kernel_look.link_mib_s(migration_address),
        no_page_faults=kernel_look.why_no_page_faults(conn.getCapabilities(), conn.getVersion()),
        locks_memory=kernel_look.locks_memory(),
    )


def topology(conn: libvirt.virConnect) -> HostTopology:
    """Read rarely: libvirt describes every device one by one."""
    return host_topology.topology(conn.getCapabilities(), _node_devices(conn))


def free_pages(conn: libvirt.virConnect) -> dict[tuple[int, int], int]:
    """(cell, size in KiB) -> huge pages nothing uses; empty where a host has none of any size."""
    cells = host_topology.topology(conn.getCapabilities(), ()).cells
    found: dict[tuple[int, int], int] = {}
    for cell in cells:
        sizes = [pool.size_kib for pool in cell.pages]
        if sizes:
            free = conn.getFreePages(sizes, cell.id, 1)
            found |= {(cell.id, size): int(free[cell.id][size]) for size in sizes}
    return found


def _node_devices(conn: libvirt.virConnect) -> Iterator[str]:
    """PCI devices, and mediated ones that are started. None where libvirt has no node device driver."""
    kinds = libvirt.VIR_CONNECT_LIST_NODE_DEVICES_CAP_PCI_DEV
    kinds |= libvirt.VIR_CONNECT_LIST_NODE_DEVICES_CAP_MDEV
    try:
        devices = conn.listAllDevices(kinds)
    except libvirt.libvirtError as error:
        if has_code(error, "NO_SUPPORT"):
            return
        raise
    for device in devices:
        try:
            if not device.name().startswith("mdev_") or _is_started(device):
                yield device.XMLDesc(0)
        except libvirt.libvirtError as error:
            # Virtual functions come and go between the two calls.
            if not has_code(error, "NO_NODE_DEVICE"):
                raise


def _is_started(device: libvirt.virNodeDevice) -> bool:
    """A libvirt that cannot say so lists no others."""
    try:
        return bool(device.isActive())
    except libvirt.libvirtError as error:
        if has_code(error, "NO_SUPPORT"):
            return True
        raise


def capabilities_xml(conn: libvirt.virConnect) -> str:
    """libvirt's own text."""
    return str(conn.getCapabilities())


def active_networks(conn: libvirt.virConnect) -> tuple[str, ...]:
    """Names, sorted."""
    networks = conn.listAllNetworks(libvirt.VIR_CONNECT_LIST_NETWORKS_ACTIVE)
    return tuple(sorted(network.name() for network in networks))
