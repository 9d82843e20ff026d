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
    return HostTopology(
        cells=cells,
        dedicated_cpus=cpus,
        shared_cpus=cpus,
        devices=tuple(sorted(_devices(node_devices), key=lambda device: device.address)),
    )


def _devices(node_devices: Iterable[str]) -> Iterator[PciDevice]:
    """PCI devices, and the mediated ones that are parts of them."""
    roots = [ElementTree.fromstring(xml) for xml in node_devices]
    pci = {device.address: device for root in roots if (device := _pci_device(root)) is not None}
    yield from pci.values()
    for root in roots:
        mdev = root.find("capability[@type='mdev']")
        parent = None if mdev is None else pci.get(_named(root.findtext("parent", "")))
        if mdev is not None and parent is not None:
            yield _mediated(mdev, parent)


def _named(node_device: str) -> str:
    """``0000:3b:00.0`` of ``pci_0000_3b_00_0``."""
    parts = node_device.split("_")
    return "{}:{}:{}.{}".format(*parts[1:]) if parts[0] == "pci" and len(parts) == 5 else ""


def _mediated(mdev: ElementTree.Element, parent: PciDevice) -> PciDevice:
    kind, group = mdev.find("type"), mdev.find("iommuGroup")
    return PciDevice(
        address=mdev.findtext("uuid", "").lower(),
        vendor=parent.vendor,
        product="" if kind is None else kind.get("id", ""),
        kind=DeviceKind.VF,
        parent=parent.address,
        device_class=parent.device_class,
        numa_node=parent.numa_node,
        iommu_group=None if group is None else int(group.get("number", "-1")),
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
    return _pci_device(ElementTree.fromstring(node_device_xml))


def _pci_device(root: ElementTree.Element) -> PciDevice | None:
    pci = root.find("capability[@type='pci']")
    if pci is None:
        return None
    parent = pci.find("capability[@type='phys_function']/address")
    virtual = pci.find("capability[@type='virt_functions']")
    numa, group = pci.find("numa"), pci.find("iommuGroup")
    kind = DeviceKind.PCI
    if virtual is not None or pci.find("capability[@type='mdev_types']") is not None:
        kind = DeviceKind.PF
    elif parent is not None:
        kind = DeviceKind.VF
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
