"""Disks: their format said aloud.

Sources stay: only disks in a pool that is the same storage on both hosts move yet, and a pool has one
name there as here.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from migrator.conductor.domain_xml.document import insert
from migrator.conductor.domain_xml.landing import Arrival

FORMATTED = ("file", "block", "volume", "network")
"""Kinds of source whose bytes have a format that somebody could guess at."""


def rewrite(domain: Element, arrival: Arrival) -> Iterator[str]:
    """A disk without a format is raw, as libvirt reads it, and says so: a header that the guest wrote
    into a raw disk must never be believed by anyone who reads the definition later."""
    for disk in domain.iterfind("devices/disk"):
        if disk.get("type") not in FORMATTED:
            continue
        driver = disk.find("driver")
        if driver is None:
            driver = Element("driver")
            insert(disk, 0, driver, depth=3)
        if driver.get("type") is None:
            driver.set("type", "raw")
            yield f"disk {_target(disk)} says that its format is raw"


def _target(disk: Element) -> str:
    target = disk.find("target")
    return "?" if target is None else target.get("dev", "?")
