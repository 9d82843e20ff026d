"""Devices of the host in a guest's XML: found by their address, as text that libvirt takes. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from xml.etree import ElementTree

from migrator import device_address


def host_devices(xml_text: str) -> Mapping[str, str]:
    """Address on the host -> the device as XML, in the order of the guest's definition.

    Aliases that libvirt gave are left out: it gives new ones.
    """
    return dict(_found(xml_text))


def address_of(device_xml: str) -> str:
    """Where on its host a device is. :raises ValueError: for what is no device of a host."""
    address = ElementTree.fromstring(device_xml).find("source/address")
    found = None if address is None else device_address.device_address(address)
    if found is None:
        raise ValueError("there is no <source><address> in it")
    return found


def _found(xml_text: str) -> Iterator[tuple[str, str]]:
    domain = ElementTree.fromstring(xml_text)
    for device, _, address in device_address.host_devices(domain):
        alias = device.find("alias")
        if alias is not None and not alias.get("name", "").startswith("ua-"):
            device.remove(alias)
        yield address, ElementTree.tostring(device, encoding="unicode").strip()
