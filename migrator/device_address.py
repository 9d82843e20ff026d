"""How a device of the host is called, and where in a guest's XML such devices stand. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

HOST_DEVICES = (
    "devices/interface[@type='hostdev']",
    "devices/hostdev[@type='pci']",
    "devices/hostdev[@type='mdev']",
)
"""Paths of devices that one guest alone can have."""
_PARTS = ("domain", "bus", "slot", "function")


def device_address(address: Element) -> str | None:
    """Of an ``<address>`` as libvirt writes it: ``0000:03:10.1``, or a mediated device's UUID; None of
    any other."""
    uuid = address.get("uuid")
    if uuid:
        return uuid.lower()
    try:
        domain, bus, slot, function = (
            int(address.get(part, "0" if part == "domain" else ""), 16) for part in _PARTS
        )
    except ValueError:
        return None
    return f"{domain:04x}:{bus:02x}:{slot:02x}.{function:x}"


def host_devices(domain: Element) -> Iterator[tuple[Element, Element, str]]:
    """(device, its ``<address>`` on the host, what that says) of each, in the order of the paths."""
    for path in HOST_DEVICES:
        for device in domain.iterfind(path):
            source = device.find("source/address")
            address = None if source is None else device_address(source)
            if source is not None and address is not None:
                yield device, source, address
