"""The XML a guest arrives with, from the XML it leaves with.

libvirt takes two: one describes the guest that runs, one is what stays defined there. A change given
only in the first leaves the old value in the second, so both go through the same rewriters; what is
only true while the guest moves, the attempt's mark, goes into the first alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from xml.etree.ElementTree import Element

from migrator.conductor.domain_xml import (
    copies,
    cputune,
    disks,
    graphics,
    host_devices,
    metadata,
    numatune,
    resctrl,
    serial,
)
from migrator.conductor.domain_xml.addresses import AddressMap
from migrator.conductor.domain_xml.document import parse, serialise
from migrator.conductor.domain_xml.landing import Arrival, Landing
from migrator.conductor.domain_xml.size import Size, resize
from migrator.conductor.domain_xml.whitelist import unexpected_changes
from migrator.errors import Broken
from migrator.model import AttemptMark, DiskMove, HostAddresses
from migrator.storage.moves import relocated

Rewriter = Callable[[Element, Arrival], Iterable[str]]
"""Changes the tree in place and yields what it changed, in words."""

REWRITERS: tuple[Rewriter, ...] = (
    disks.rewrite,
    graphics.rewrite,
    serial.rewrite,
    cputune.rewrite,
    resctrl.rewrite,
    numatune.rewrite,
    host_devices.rewrite,
)
"""In order, one file per noun. What they may change is a row of
:data:`migrator.conductor.domain_xml.whitelist.WHITELIST`."""


@dataclass(frozen=True)
class RenderRequest:
    """Everything that decides what the guest's XML becomes."""

    live_xml: str
    """Of the running guest, with VIR_DOMAIN_XML_SECURE and VIR_DOMAIN_XML_MIGRATABLE."""
    inactive_xml: str | None
    """Its persistent definition, with VIR_DOMAIN_XML_SECURE and VIR_DOMAIN_XML_INACTIVE; None for a
    transient guest."""
    source: HostAddresses
    destination: HostAddresses
    mark: AttemptMark
    landing: Landing | None = None
    """None leaves what is bound to CPUs, cells and devices of the host as it is."""
    disks: tuple[DiskMove, ...] = ()
    """What becomes of each disk."""
    marks_definition: bool = False
    """The definition has the mark as well: it is all there is of a guest that comes while it is off."""
    size: Size = field(default_factory=Size)
    """Another size for the definition, where one was asked for."""


@dataclass(frozen=True)
class Rendered:
    """What libvirt is given."""

    destination_xml: str
    persistent_xml: str | None
    changes: tuple[str, ...]
    """What differs from the source, in words."""


def render(request: RenderRequest, rewriters: Sequence[Rewriter] = REWRITERS) -> Rendered:
    """The guest's XML for the destination; rendering what was rendered changes nothing more.

    :raises Refused: ``domain.xml_invalid``.
    :raises Broken: ``domain.xml_changed`` when more than the whitelist allows would differ.
    """
    addresses = AddressMap.between(request.source, request.destination)
    arrival = Arrival(addresses, request.landing)
    rewrite = partial(_rewrite, arrival=arrival, disks=request.disks, rewriters=rewriters)
    targets = frozenset(move.target for move in relocated(request.disks))
    live, changes = _checked(
        request.live_xml, partial(rewrite, mark=request.mark, running=True), targets
    )
    said = [f"running guest: {change}" for change in changes]
    persistent = None
    mark = request.mark if request.marks_definition else None
    if request.inactive_xml is not None:
        persistent, changes = _checked(
            request.inactive_xml, partial(rewrite, mark=mark, running=False), targets
        )
        resized = parse(persistent)
        changes += resize(resized, request.size)
        persistent = serialise(resized)
        said += [f"definition: {change}" for change in changes]
    return Rendered(live, persistent, tuple(dict.fromkeys(said)))


def _rewrite(
    domain: Element,
    mark: AttemptMark | None,
    running: bool,
    arrival: Arrival,
    disks: Sequence[DiskMove],
    rewriters: Sequence[Rewriter],
) -> Iterator[str]:
    yield from metadata.rewrite(domain, mark)
    yield from copies.rewrite(domain, disks, running)
    for rewrite in rewriters:
        yield from rewrite(domain, arrival)


def _checked(
    text: str, rewrite: Callable[[Element], Iterable[str]], copied_disks: Collection[str]
) -> tuple[str, list[str]]:
    """The rewritten text and what was changed, once nothing else has."""
    domain = parse(text)
    changes = [*rewrite(domain)]
    written = serialise(domain)
    unexpected = unexpected_changes(text, written, copied_disks)
    if unexpected:
        raise Broken(
            "domain.xml_changed",
            "the guest's XML for the destination would differ where it must not: "
            f"{'; '.join(unexpected)}; nothing was moved, please report this with the guest's XML",
            changes=list(unexpected),
        )
    return written, changes
