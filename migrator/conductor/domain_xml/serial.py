"""Consoles and other character devices that listen on an address of the host.

Only the side that binds moves with the guest; an address that a device connects to is somebody
else's and stays. The first serial port appears a second time as ``<console>``; both change alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from migrator.conductor.domain_xml.landing import Arrival

CHARACTER_DEVICES = ("serial", "parallel", "console", "channel", "redirdev", "smartcard")


def rewrite(domain: Element, arrival: Arrival) -> Iterator[str]:
    """An address of the source that a device binds to becomes the destination's."""
    for device in CHARACTER_DEVICES:
        for source in domain.iterfind(f"devices/{device}/source[@mode='bind']"):
            yield from arrival.addresses.replace(source, "host", f"{device} listen address")
