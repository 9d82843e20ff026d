"""Devices of the host that the guest has: each becomes the one claimed for it at the destination.

Only the host's side of a device changes; the guest finds it at the same address of its own bus.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from xml.etree.ElementTree import Element

from migrator.conductor.domain_xml.document import parse, serialise
from migrator.conductor.domain_xml.landing import Arrival
from migrator.device_address import host_devices, removable, unclaimed

_PCI = re.compile(r"([0-9a-f]{4,8}):([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])")
_PARTS = ("domain", "bus", "slot", "function")


def rewrite(domain: Element, arrival: Arrival) -> Iterator[str]:
    """Devices that the landing does not name stay: whether a guest may move with them was judged
    before."""
    landing = arrival.landing
    if landing is None:
        return
    for _, address, old in host_devices(domain):
        new = landing.devices.get(old)
        if new is not None and new != old:
            mediated = address.get("uuid") is not None
            put_address(address, new)
            yield f"{'mediated' if mediated else 'PCI'} device {new} instead of {old}"


def put_address(address: Element, device: str) -> None:
    """Write ``0000:03:10.1``, or a mediated device's UUID, into an ``<address>`` that has one of its
    kind, in libvirt's form."""
    if address.get("uuid") is not None:
        address.set("uuid", device)
        return
    found = _PCI.fullmatch(device)
    if found is None:
        raise ValueError(f"{device!r} is no PCI address")
    for part, digits in zip(_PARTS, found.groups(), strict=True):
        address.set(part, f"0x{digits}")


def unclaimed_devices(live_xml: str) -> frozenset[str]:
    """Names of those of its devices that it may let go of and that no host has to give.

    :raises Refused: ``domain.xml_invalid``.
    """
    return frozenset(name for _, name in unclaimed(parse(live_xml)))


def devices_at(live_xml: str, names: Mapping[str, str]) -> list[str]:
    """Devices that a guest lets go of, each as XML of its own with another address on the host.

    :param names: here -> there, of those that are wanted.
    :raises Refused: ``domain.xml_invalid``.
    """
    found = []
    for device, here in removable(parse(live_xml)):
        if here in names:
            address = device.find("source/address")
            if address is not None:
                put_address(address, names[here])
            for alias in device.findall("alias"):
                device.remove(alias)
            found.append(serialise(device))
    return found
