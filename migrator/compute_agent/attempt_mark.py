"""The attempt's mark: which migration is moving a domain, written into the domain's own metadata.

    <metadata>
      <migrator:attempt xmlns:migrator="http://migrator/xmlns/attempt/1.0"
                        migration="5f1c..." number="1" autostart="yes"/>
    </metadata>

It travels with the guest, survives every process of ours, and tells whoever finds the domain later
whose work it is. Pure: text in, values out. Both the host's libvirt adapter and the rendering of the
destination's XML use it, so the format has one home.
"""

from __future__ import annotations

from xml.etree import ElementTree

from migrator.model import AttemptMark

NAMESPACE = "http://migrator/xmlns/attempt/1.0"
PREFIX = "migrator"
ELEMENT = "attempt"

_QUALIFIED = f"{{{NAMESPACE}}}{ELEMENT}"
_YES_NO = {True: "yes", False: "no"}


def mark_element(mark: AttemptMark) -> str:
    """The mark as a child of ``<metadata>`` in a domain's XML, its namespace declared on it."""
    element = ElementTree.fromstring(bare_element(mark))
    element.tag = f"{PREFIX}:{ELEMENT}"
    attributes = {f"xmlns:{PREFIX}": NAMESPACE, **element.attrib}
    element.attrib.clear()
    element.attrib.update(attributes)
    return ElementTree.tostring(element, encoding="unicode")


def bare_element(mark: AttemptMark) -> str:
    """The mark without its namespace, as virDomainSetMetadata takes it: libvirt adds the namespace
    and refuses an element that declares the prefix already."""
    attributes = {
        "migration": mark.migration_id,
        "number": str(mark.attempt),
        "autostart": _YES_NO[mark.autostart],
    }
    if mark.held:
        attributes["held"] = _YES_NO[True]
    element = ElementTree.Element(ELEMENT, attributes)
    return ElementTree.tostring(element, encoding="unicode")


def parse_mark(xml_text: str) -> AttemptMark | None:
    """The mark in a whole domain XML, a ``<metadata>`` element, or the element alone (with its
    namespace, or without as virDomainGetMetadata returns it).

    None when there is none, or when what is there cannot be read: metadata is open to everyone who
    administers the host, and a damaged mark must not stop anybody from looking at the domain.
    """
    try:
        root = ElementTree.fromstring(xml_text)
    except ElementTree.ParseError:
        return None
    element = root if root.tag in (ELEMENT, _QUALIFIED) else find_mark(root)
    if element is None:
        return None
    migration = element.get("migration", "")
    number = element.get("number", "")
    if not migration or not (number.isascii() and number.isdigit()):
        return None
    autostart, held = (element.get(name) == _YES_NO[True] for name in ("autostart", "held"))
    return AttemptMark(migration, int(number), autostart, held)


def find_mark(root: ElementTree.Element) -> ElementTree.Element | None:
    """The mark's element below a ``<domain>`` or ``<metadata>`` element."""
    path = _QUALIFIED if root.tag == "metadata" else f"metadata/{_QUALIFIED}"
    return root.find(path)
