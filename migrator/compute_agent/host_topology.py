"""Reading what a host is made of from libvirt's capabilities and node devices. Pure: XML in, values
out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from xml.etree import ElementTree

from migrator.cpu_lists import numbers_in
from migrator.model import DeviceKind, HostCell, HostTopology, PagePool, PciDevice

KIB_PER_MIB = 1024
_KIB = {"": 1.0, "KiB": 1.0, "b": 1 / 1024, "bytes": 1 / 1024, "MiB": 1024.0, "GiB": 1048576.0}


def topology(capabilities_xml: str, node_devices: Iterable[str]) -> HostTopology:
    """The whole host: every CPU may be anybody's, every PCI device is listed."""
    cells = tuple(_cells(ElementTree.fromstring(capabilities_xml)))
    cpus = tuple(sorted(cpu for cell in cells for core in cell.cores for cpu in core))
    devices = [device for xml in node_devices if (device := pci_device(xml)) is not None]
    return HostTopology(
        cells=cells,
        dedicated_cpus=cpus,
        shared_cpus=cpus,
        devices=tuple(sorted(devices, key=lambda device: device.address)),
    )


def _cells(capabilities: ElementTree.Element) -> Iterator[HostCell]:
    sizes = [_size(pages) for pages in capabilities.iterfind("host/cpu/pages")]
    for cell in sorted(
        capabilities.iterfind("host/topology/cells/cell"), key=lambda one: int(one.get("id", "0"))
    ):
        # A CPU that is switched off is listed by its number alone.
        cpus = [cpu for cpu in cell.iterfind("cpus/cpu") if cpu.get("siblings")]
        own = {int(cpu.get("id", "")) for cpu in cpus}
        cores = {
            tuple(one for one in numbers_in(cpu.get("siblings", "")) if one in own) for cpu in cpus
        }
        yield HostCell(
            id=int(cell.get("id", "0")),
            memory_mib=_kib(cell.find("memory")) // KIB_PER_MIB,
            cores=tuple(sorted(cores)),
            sockets=tuple(sorted({int(cpu.get("socket_id", "0")) for cpu in cpus})),
            pages=tuple(_pools(cell, sizes)),
        )


def _pools(cell: ElementTree.Element, sizes: list[int]) -> Iterator[PagePool]:
    """The smallest size is ordinary memory."""
    found = {_size(pages): int(pages.text or "0") for pages in cell.iterfind("pages")}
    smallest = min([*sizes, *found], default=0)
    for size in sorted(found):
        if size > smallest and found[size]:
            yield PagePool(size, found[size])


def _size(pages: ElementTree.Element) -> int:
    return int(int(pages.get("size", "0")) * _KIB[pages.get("unit", "")])


def _kib(element: ElementTree.Element | None) -> int:
    if element is None:
        return 0
    return int(int(element.text or "0") * _KIB[element.get("unit", "")])


def pci_device(node_device_xml: str) -> PciDevice | None:
    """None for a node device that is no PCI device."""
    root = ElementTree.fromstring(node_device_xml)
    pci = root.find("capability[@type='pci']")
    if pci is None:
        return None
    parent = pci.find("capability[@type='phys_function']/address")
    virtual = pci.find("capability[@type='virt_functions']")
    numa, group = pci.find("numa"), pci.find("iommuGroup")
    kind = DeviceKind.PCI
    if parent is not None:
        kind = DeviceKind.VF
    elif virtual is not None:
        kind = DeviceKind.PF
    return PciDevice(
        address=_own_address(pci),
        vendor=_hex(pci.find("vendor"), "id"),
        product=_hex(pci.find("product"), "id"),
        kind=kind,
        parent=None if parent is None else _address(parent),
        device_class=pci.findtext("class", "").removeprefix("0x"),
        numa_node=None if numa is None else int(numa.get("node", "-1")),
        driver=root.findtext("driver/name"),
        iommu_group=None if group is None else int(group.get("number", "-1")),
        max_vfs=0 if virtual is None else int(virtual.get("maxCount", "0")),
    )


def _hex(element: ElementTree.Element | None, name: str) -> str:
    return "" if element is None else element.get(name, "").removeprefix("0x").lower()


def _own_address(pci: ElementTree.Element) -> str:
    """Its own are decimal."""
    domain, bus, slot, function = (
        int(pci.findtext(part, "0")) for part in ("domain", "bus", "slot", "function")
    )
    return f"{domain:04x}:{bus:02x}:{slot:02x}.{function:x}"


def _address(element: ElementTree.Element) -> str:
    """Others' are hexadecimal."""
    domain, bus, slot, function = (
        int(element.get(part, "0"), 16) for part in ("domain", "bus", "slot", "function")
    )
    return f"{domain:04x}:{bus:02x}:{slot:02x}.{function:x}"
