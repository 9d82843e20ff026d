"""Where VNC and SPICE listen.

Ports stay as libvirt gives them: with ``autoport`` the migratable XML says -1 already, and the
destination picks its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from migrator.conductor.domain_xml.landing import Arrival


def rewrite(domain: Element, arrival: Arrival) -> Iterator[str]:
    """An address of the source becomes the destination's, in the old attribute and the new element
    alike: libvirt refuses a definition in which they differ."""
    for graphics in domain.iterfind("devices/graphics"):
        what = f"{graphics.get('type')} listen address"
        yield from arrival.addresses.replace(graphics, "listen", what)
        for listen in graphics.iterfind("listen[@type='address']"):
            yield from arrival.addresses.replace(listen, "address", what)
