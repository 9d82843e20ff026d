"""What a guest needs of any host, read from its XML and from what it has where it is. Pure.

What its present host gave it says what it must be given again: a vCPU that has a CPU to itself needs
one, a cell that is bound to one cell needs one, a device needs another of its make. Which make that
is, only the host's inventory knows: requests for devices leave here with an address and no match.
"""

from __future__ import annotations

from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from migrator.cpu_lists import numbers_in
from migrator.device_address import host_devices
from migrator.model import (
    EmulatorPolicy,
    GuestCell,
    PciLive,
    PciRequest,
    Placement,
    RequestSpec,
    ResourceRequest,
)

KIB_PER_MIB = 1024
DEFAULT_PAGE_KIB = 2048
"""Of hugepages without a size, on every architecture libvirt has them but s390x and ppc64."""


def requested(xml_text: str, held: Placement) -> RequestSpec:
    """:param held: what :func:`migrator.compute_agent.held.held` says of the same XML.

    :raises ValueError: for what is no domain's XML.
    """
    try:
        domain = ElementTree.fromstring(xml_text)
    except ElementTree.ParseError as error:
        raise ValueError(f"no domain: {error}") from error
    os_type = domain.find("os/type")
    cpu, loader = domain.find("cpu"), domain.findtext("os/loader", "")
    return RequestSpec(
        resources=_resources(domain, held),
        arch="" if os_type is None else os_type.get("arch", ""),
        machine="" if os_type is None else os_type.get("machine", ""),
        virt_type=domain.get("type", ""),
        cpu_model="" if cpu is None else cpu.findtext("model") or cpu.get("mode") or "",
        firmware=_attribute(domain, "os", "firmware") or loader,
        pools=_names(domain, "devices/disk[@type='volume']/source", "pool"),
        networks=_names(domain, "devices/interface[@type='network']/source", "network"),
    )


def _resources(domain: Element, held: Placement) -> ResourceRequest:
    vcpus = held.vcpus + len(held.pins)
    dedicated = tuple(vcpu for vcpu, _ in held.pins)
    page = held.page_kib
    return ResourceRequest(
        vcpus=vcpus,
        memory_mib=-(-int(domain.findtext("memory", "0")) // KIB_PER_MIB),
        dedicated=dedicated,
        emulator=_emulator(domain, held),
        cells=_cells(domain, held, vcpus),
        page_kib=DEFAULT_PAGE_KIB if page == 0 else page,
        pci=_devices(domain, held),
    )


def _emulator(domain: Element, held: Placement) -> EmulatorPolicy:
    """Threads of QEMU's that are kept off the guest's own CPUs are kept off them again."""
    if held.emulator_cpu is not None:
        return EmulatorPolicy.ISOLATE
    text = _attribute(domain, "cputune/emulatorpin", "cpuset")
    own = {cpu for _, cpu in held.pins}
    return EmulatorPolicy.NONE if not text or own & set(numbers_in(text)) else EmulatorPolicy.SHARE


def _cells(domain: Element, held: Placement, vcpus: int) -> tuple[GuestCell, ...]:
    """Only where each lies in a host cell of its own: nothing else can be found again."""
    hosts = {cell.guest: cell.host for cell in held.cells}
    guests = [
        GuestCell(int(cell.get("id", "0")), numbers_in(cell.get("cpus", "")), _mib(cell))
        for cell in domain.iterfind("cpu/numa/cell")
    ]
    if not guests:
        memory = -(-int(domain.findtext("memory", "0")) // KIB_PER_MIB)
        guests = [GuestCell(0, tuple(range(vcpus)), memory)]
    bound = all(cell.id in hosts for cell in guests)
    return tuple(guests) if bound and len(set(hosts.values())) == len(guests) else ()


def _mib(cell: Element) -> int:
    units = {"KiB": 1, "MiB": KIB_PER_MIB, "GiB": KIB_PER_MIB * KIB_PER_MIB}
    return int(cell.get("memory", "0")) * units.get(cell.get("unit", "KiB"), 1) // KIB_PER_MIB


def _devices(domain: Element, held: Placement) -> tuple[PciRequest, ...]:
    unplugged = {
        address
        for device, _, address in host_devices(domain)
        if device.find("teaming[@type='transient']") is not None
    }
    return tuple(
        PciRequest(
            id=given.address,
            match=(),
            live=PciLive.DETACH if given.address in unplugged else PciLive.REFUSE,
        )
        for given in held.devices
    )


def _attribute(domain: Element, path: str, name: str) -> str:
    element = domain.find(path)
    return "" if element is None else element.get(name, "")


def _names(domain: Element, path: str, attribute: str) -> tuple[str, ...]:
    return tuple(sorted({name for each in domain.iterfind(path) if (name := each.get(attribute))}))
