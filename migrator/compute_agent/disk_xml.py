"""The disks a domain's XML names, before anybody has looked for their volumes. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from xml.etree import ElementTree

from migrator.messages import DiskFacts
from migrator.model import DiskLayer

_PATH_ATTRIBUTE: Mapping[str, str] = {"file": "file", "block": "dev"}
"""Disk types whose source is a path on the host, and where the XML has it."""


def disk_facts(domain_xml: str) -> tuple[DiskFacts, ...]:
    """Every disk in the order of the XML.

    The format is the driver's; none means raw, as libvirt reads it. A drive without a medium has an
    empty ``source_type``. Disks of type ``volume`` name their pool and volume; for the others
    somebody has to ask libvirt which volume the path is.
    """
    root = ElementTree.fromstring(domain_xml)
    return tuple(_facts(disk) for disk in root.iterfind("devices/disk"))


def _facts(disk: ElementTree.Element) -> DiskFacts:
    source = _attributes(disk, "source")
    driver = _attributes(disk, "driver")
    target = _attributes(disk, "target")
    kind = disk.get("type", "file")
    return DiskFacts(
        target=target.get("dev", ""),
        device=disk.get("device", "disk"),
        source_type=kind if source else "",
        pool=source.get("pool"),
        volume=source.get("volume"),
        path=_path(kind, source),
        format=driver.get("type", "raw"),
        cache=driver.get("cache"),
        read_only=disk.find("readonly") is not None,
        shareable=disk.find("shareable") is not None,
        bus=target.get("bus", ""),
        serial=disk.findtext("serial"),
        discard=driver.get("discard"),
        detect_zeroes=driver.get("detect_zeroes"),
        encrypted=next(disk.iter("encryption"), None) is not None,
        chain=list(_chain(disk)),
        chain_stated=disk.find("backingStore") is not None,
    )


def _chain(disk: ElementTree.Element) -> Iterator[DiskLayer]:
    """Nearest first; an empty ``<backingStore/>`` ends it."""
    layer = disk.find("backingStore")
    while layer is not None and layer.get("type") is not None:
        kind = layer.get("type", "")
        source = _attributes(layer, "source")
        yield DiskLayer(
            format=_attributes(layer, "format").get("type", "raw"),
            pool=source.get("pool"),
            volume=source.get("volume"),
            path=_path(kind, source),
        )
        layer = layer.find("backingStore")


def _path(kind: str, source: Mapping[str, str]) -> str | None:
    """As libvirt's pools know it: an rbd image by the name of its Ceph pool and its own."""
    if kind == "network" and source.get("protocol") == "rbd":
        return source.get("name")
    return source.get(_PATH_ATTRIBUTE.get(kind, ""), None)


def _attributes(element: ElementTree.Element, child: str) -> Mapping[str, str]:
    found = element.find(child)
    return {} if found is None else found.attrib
