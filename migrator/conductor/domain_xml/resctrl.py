"""Shares of caches and of memory bandwidth, which name cells and caches of the host.

Runs before :mod:`numatune`: where the guest's cells lie at the source is read from there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from xml.etree.ElementTree import Element

from migrator.conductor.domain_xml.landing import Arrival
from migrator.errors import Refused


def rewrite(domain: Element, arrival: Arrival) -> Iterator[str]:
    """Bandwidth follows the cell. libvirt does not tell which cache belongs to which cell, so that a
    share of a cache moves only where the guest's cells keep their numbers.

    :raises Refused: ``device.not_migratable`` where a share cannot follow.
    """
    if arrival.landing is None:
        return
    moved = _moved(domain, arrival.landing.cells)
    for node in domain.iterfind("cputune/memorytune/node"):
        old = node.get("id", "")
        new = moved.get(old)
        if new is None:
            raise _cannot_follow(f"memory bandwidth of host cell {old}")
        if new != old:
            node.set("id", new)
            yield f"memory bandwidth is limited on host cell {new} instead of {old}"
    for cache in domain.iterfind("cputune/cachetune/cache"):
        if any(here != there for here, there in moved.items()):
            raise _cannot_follow(f"level {cache.get('level')} cache {cache.get('id')}")


def _moved(domain: Element, cells: Mapping[int, int]) -> Mapping[str, str]:
    """Host cell at the source -> at the destination. A guest that is bound to no cell runs on any, so
    that each stands for itself."""
    bound = {
        node.get("cellid", "0"): node.get("nodeset", "")
        for node in domain.iterfind("numatune/memnode[@nodeset]")
    }
    memory = domain.find("numatune/memory[@nodeset]")
    if memory is not None and not bound:
        bound["0"] = memory.get("nodeset", "")
    if not bound:
        named = {node.get("id", "") for node in domain.iterfind("cputune/memorytune/node")}
        return {cell: cell for cell in named}
    return {
        here: str(cells[int(cell)])
        for cell, here in bound.items()
        if cell.isdecimal() and int(cell) in cells
    }


def _cannot_follow(what: str) -> Refused:
    return Refused(
        "device.not_migratable",
        f"the guest has a share of the {what}, and which one stands for it on the destination cannot "
        "be told; remove it with `virsh edit` and restart the guest",
    )
