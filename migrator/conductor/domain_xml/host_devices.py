"""Devices of the host that the guest has: each becomes the one claimed for it at the destination.

Only the host's side of a device changes; the guest finds it at the same address of its own bus.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from xml.etree.ElementTree import Element

from migrator.conductor.domain_xml.document import parse, serialise
from migrator.conductor.domain_xml.landing import Arrival

_ADDRESS = re.compile(r"([0-9a-f]{4,8}):([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])")
_PARTS = ("domain", "bus", "slot", "function")


def rewrite(domain: Element, arrival: Arrival) -> Iterator[str]:
    """Devices that the landing does not name stay: whether a guest may move with them was judged
    before."""
    landing = arrival.landing
    if landing is None:
        return
    for device in domain.iterfind("devices/hostdev[@type='pci']"):
        yield from _pci(device, landing.devices)
    for device in domain.iterfind("devices/interface[@type='hostdev']"):
        yield from _pci(device, landing.devices)
    for device in domain.iterfind("devices/hostdev[@type='mdev']"):
        address = device.find("source/address")
        old = None if address is None else address.get("uuid")
        new = None if old is None else landing.mdevs.get(old)
        if address is not None and new is not None and new != old:
            address.set("uuid", new)
            yield f"mediated device {new} instead of {old}"


def pci_address(element: Element) -> str | None:
    """``0000:03:10.1`` of an ``<address>`` with numbers as libvirt writes them; None for any other."""
    try:
        domain, bus, slot, function = (
            int(element.get(part, "0" if part == "domain" else ""), 16) for part in _PARTS
        )
    except ValueError:
        return None
    return f"{domain:04x}:{bus:02x}:{slot:02x}.{function:x}"


def _pci(device: Element, devices: Mapping[str, str]) -> Iterator[str]:
    address = device.find("source/address")
    if address is None:
        return
    old = pci_address(address)
    new = None if old is None else devices.get(old)
    if new is None or new == old:
        return
    put_pci_address(address, new)
    yield f"PCI device {new} instead of {old}"


def put_pci_address(address: Element, device: str) -> None:
    """Write ``0000:03:10.1`` into an ``<address>``, in libvirt's form."""
    found = _ADDRESS.fullmatch(device)
    if found is None:
        raise ValueError(f"{device!r} is no PCI address")
    for part, digits in zip(_PARTS, found.groups(), strict=True):
        address.set(part, f"0x{digits}")


def devices_at(live_xml: str, addresses: Mapping[str, str]) -> list[str]:
    """Devices of the host that a guest has, each as XML of its own with another address on the host.

    :param addresses: here -> there, of those that are wanted.
    :raises Refused: ``domain.xml_invalid``.
    """
    domain = parse(live_xml)
    found = []
    for path in ("devices/interface[@type='hostdev']", "devices/hostdev[@type='pci']"):
        for device in domain.iterfind(path):
            address = device.find("source/address")
            here = None if address is None else pci_address(address)
            if address is None or here is None or here not in addresses:
                continue
            put_pci_address(address, addresses[here])
            for alias in device.findall("alias"):
                device.remove(alias)
            found.append(serialise(device))
    return found
