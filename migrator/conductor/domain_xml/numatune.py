"""Which cells of the host the guest's memory comes from.

Sizes of pages and the guest's own cells (memoryBacking, cpu/numa) are what the guest sees and never
change; a page's ``nodeset`` there names the guest's cells too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from xml.etree.ElementTree import Element

from migrator.conductor.domain_xml.landing import Arrival, cpuset
from migrator.errors import Broken


def rewrite(domain: Element, arrival: Arrival) -> Iterator[str]:
    """:raises Broken: ``placement.incomplete`` for a cell that was given no place."""
    if arrival.landing is None:
        return
    cells = arrival.landing.cells
    for memory in domain.iterfind("numatune/memory[@nodeset]"):
        yield from _put(memory, _some(cells), "the guest's memory")
    for node in domain.iterfind("numatune/memnode[@nodeset]"):
        cell = node.get("cellid", "0")
        yield from _put(node, [_of(cells, cell)], f"memory of cell {cell}")
    for module in domain.iterfind("devices/memory"):
        mask = module.find("source/nodemask")
        if mask is None:
            continue
        cell = module.findtext("target/node", "0")
        old, new = mask.text or "", str(_of(cells, cell))
        if new != old:
            mask.text = new
            yield f"a memory module of cell {cell} is on host cell {new} instead of {old}"


def _put(element: Element, cells: Collection[int], what: str) -> Iterator[str]:
    old, new = element.get("nodeset", ""), cpuset(cells)
    if new != old:
        element.set("nodeset", new)
        yield f"{what} is on host cell {new} instead of {old}"


def _some(cells: Mapping[int, int]) -> Collection[int]:
    if not cells:
        raise _incomplete("its memory")
    return frozenset(cells.values())


def _of(cells: Mapping[int, int], cell: str) -> int:
    found = cells.get(int(cell)) if cell.isdecimal() else None
    if found is None:
        raise _incomplete(f"its cell {cell}")
    return found


def _incomplete(what: str) -> Broken:
    return Broken(
        "placement.incomplete",
        f"the guest binds {what} to cells of its host, and its placement names none of the "
        "destination's; nothing was moved, please report this with the guest's XML",
    )
