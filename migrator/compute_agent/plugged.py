"""Devices a guest may let go of while it moves: found by their names, as text that libvirt takes.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from xml.etree import ElementTree

from migrator import device_address


def removable(xml_text: str) -> Mapping[str, str]:
    """Name (an address on the host, where it is a device of that) -> the device as XML, in the order of
    the guest's definition.

    Aliases that libvirt gave are left out: it gives new ones.
    """
    return dict(_found(xml_text))


def name_of(device_xml: str) -> str:
    """How a device is called. :raises ValueError: for what no guest lets go of."""
    found = device_address.name_of(ElementTree.fromstring(device_xml))
    if found is None:
        raise ValueError("it is no device that a guest lets go of")
    return found


def _found(xml_text: str) -> Iterator[tuple[str, str]]:
    for device, name in device_address.removable(ElementTree.fromstring(xml_text)):
        alias = device.find("alias")
        if alias is not None and not alias.get("name", "").startswith("ua-"):
            device.remove(alias)
        yield name, ElementTree.tostring(device, encoding="unicode").strip()
