"""How devices that tie a guest to its host are called, and where in its XML they stand. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from xml.etree.ElementTree import Element

HOST_DEVICES = (
    "devices/interface[@type='hostdev']",
    "devices/hostdev[@type='pci']",
    "devices/hostdev[@type='mdev']",
)
"""Paths of devices that one guest alone can have."""
UNCLAIMED: Mapping[str, Callable[[Element], str]] = {
    "devices/shmem": lambda device: f"shmem {device.get('name')}",
}
"""Path -> how such a device is called: what libvirt does not migrate and can unplug, and what any number
of guests can have. One of the same name is as good at the destination."""
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


def removable(domain: Element) -> Iterator[tuple[Element, str]]:
    """(device, how it is called) of each that a guest may let go of while it moves."""
    for device, _, address in host_devices(domain):
        yield device, address
    for device, name in unclaimed(domain):
        yield device, name


def unclaimed(domain: Element) -> Iterator[tuple[Element, str]]:
    """The same of those that no host has to give."""
    for path, called in UNCLAIMED.items():
        for device in domain.iterfind(path):
            yield device, called(device)


def name_of(device: Element) -> str | None:
    """How it is called; None of what may not be let go of."""
    source = device.find("source/address")
    if source is not None:
        return device_address(source)
    called = UNCLAIMED.get(f"devices/{device.tag}")
    return None if called is None else called(device)
