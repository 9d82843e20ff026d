"""One libvirt's host: what it is and which CPUs it can run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import libvirt

from migrator.compute_agent import host_topology
from migrator.compute_agent.capabilities import (
    host_capabilities,
    host_model_cpu,
    lacking_features,
    machines,
    names_a_model,
)
from migrator.compute_agent.libvirt_errors import has_code, words
from migrator.model import HostFacts, HostTopology
from migrator.storage.libvirt_pools import pool_facts

KIB_PER_MIB = 1024
_SUITS = (
    libvirt.VIR_CPU_COMPARE_IDENTICAL,
    libvirt.VIR_CPU_COMPARE_SUPERSET,
)


def host_facts(conn: libvirt.virConnect) -> HostFacts:
    """From libvirt only. The first call after libvirtd's start waits until it has probed its QEMUs."""
    xml = conn.getCapabilities()
    capabilities = host_capabilities(xml)
    info = conn.getInfo()
    # not info[1]: that is the sum over NUMA cells, which lacks memory plugged in after boot
    memory = conn.getMemoryStats(libvirt.VIR_NODE_MEMORY_STATS_ALL_CELLS, 0)
    pools = pool_facts(conn)
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
        machines=machines(xml, capabilities.arch),
    )


def topology(conn: libvirt.virConnect) -> HostTopology:
    """Read rarely: libvirt describes every PCI device one by one."""
    return host_topology.topology(conn.getCapabilities(), _pci_devices(conn))


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


def _pci_devices(conn: libvirt.virConnect) -> Iterator[str]:
    """None where libvirt has no node device driver."""
    try:
        devices = conn.listAllDevices(libvirt.VIR_CONNECT_LIST_NODE_DEVICES_CAP_PCI_DEV)
    except libvirt.libvirtError as error:
        if has_code(error, "NO_SUPPORT"):
            return
        raise
    for device in devices:
        try:
            yield device.XMLDesc(0)
        except libvirt.libvirtError as error:
            # Virtual functions come and go between the two calls.
            if not has_code(error, "NO_NODE_DEVICE"):
                raise


def capabilities_xml(conn: libvirt.virConnect) -> str:
    """libvirt's own text."""
    return str(conn.getCapabilities())


def active_networks(conn: libvirt.virConnect) -> tuple[str, ...]:
    """Names, sorted."""
    networks = conn.listAllNetworks(libvirt.VIR_CONNECT_LIST_NETWORKS_ACTIVE)
    return tuple(sorted(network.name() for network in networks))


def missing_features(
    conn: libvirt.virConnect, arch: str, machine: str, virt_type: str, cpu_xml: str
) -> Sequence[str]:
    """Names of the features this host lacks; libvirt's own sentence where there are no names to give
    (a model it does not know, another vendor).

    Seen on libvirt 9.0: with ``virt_type`` qemu the comparison is against what TCG emulates. It says
    only yes or no; the names come from writing both CPUs out by baseline. A CPU without a model
    (host-passthrough, maximum) cannot be compared and is answered with none.
    """
    if not names_a_model(cpu_xml):
        return ()
    try:
        verdict = conn.compareHypervisorCPU(None, arch, machine, virt_type, cpu_xml, 0)
        if verdict in _SUITS:
            return ()
        named = _names(conn, arch, machine, virt_type, cpu_xml)
        if named:
            return named
        conn.compareHypervisorCPU(
            None,
            arch,
            machine,
            virt_type,
            cpu_xml,
            libvirt.VIR_CONNECT_COMPARE_CPU_FAIL_INCOMPATIBLE,
        )
    except libvirt.libvirtError as error:
        if has_code(error, "CPU_INCOMPATIBLE", "CONFIG_UNSUPPORTED", "INVALID_ARG") or (
            has_code(error, "INTERNAL_ERROR") and conn.isAlive() == 1
        ):
            return (words(error),)
        raise
    return ("the CPU does not suit this host",)


def _names(
    conn: libvirt.virConnect, arch: str, machine: str, virt_type: str, cpu_xml: str
) -> tuple[str, ...]:
    offered = host_model_cpu(conn.getDomainCapabilities(None, arch, machine, virt_type, 0))
    if offered is None:
        return ()
    guest_expanded, host_expanded = (
        conn.baselineHypervisorCPU(
            None,
            arch,
            machine,
            virt_type,
            [cpu],
            libvirt.VIR_CONNECT_BASELINE_CPU_EXPAND_FEATURES,
        )
        for cpu in (cpu_xml, offered)
    )
    return lacking_features(cpu_xml, guest_expanded, host_expanded)
