"""Devices of the host in a guest's XML: found by their address, as text that libvirt takes. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

_PATHS = ("devices/interface[@type='hostdev']", "devices/hostdev[@type='pci']")
_PARTS = ("domain", "bus", "slot", "function")


def host_devices(xml_text: str) -> Mapping[str, str]:
    """PCI address on the host -> the device as XML, in the order of the guest's definition.

    Aliases that libvirt gave are left out: it gives new ones.
    """
    return dict(_found(ElementTree.fromstring(xml_text)))


def address_of(device_xml: str) -> str:
    """Where on its host a device is. :raises ValueError: for what is no PCI device of a host."""
    address = ElementTree.fromstring(device_xml).find("source/address")
    if address is None:
        raise ValueError("there is no <source><address> in it")
    return _address(address)


def _found(domain: Element) -> Iterator[tuple[str, str]]:
    for path in _PATHS:
        for device in domain.iterfind(path):
            address = device.find("source/address")
            if address is None:
                continue
            alias = device.find("alias")
            if alias is not None and not alias.get("name", "").startswith("ua-"):
                device.remove(alias)
            yield _address(address), ElementTree.tostring(device, encoding="unicode").strip()


def _address(address: Element) -> str:
    domain, bus, slot, function = (int(address.get(part, "0"), 16) for part in _PARTS)
    return f"{domain:04x}:{bus:02x}:{slot:02x}.{function:x}"
