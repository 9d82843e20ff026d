"""The attempt's mark in the domain's metadata; everything else there is other people's."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from migrator.compute_agent.attempt_mark import NAMESPACE, mark_element
from migrator.conductor.domain_xml.document import insert, namespace_of, opaque, remove
from migrator.model import AttemptMark

BEFORE_METADATA = ("name", "uuid", "genid", "title", "description")
"""What libvirt writes ahead of ``<metadata>``."""


def rewrite(domain: Element, attempt: AttemptMark | None) -> Iterator[str]:
    """Exactly this attempt's mark, or none at all; an earlier attempt's gives way to it in place."""
    before = _marks(domain)
    wanted = [] if attempt is None else [mark_element(attempt)]
    if [mark.text for mark in before] == wanted:
        return
    for mark in before[len(wanted) :]:
        _remove(domain, mark)
    for mark, text in zip(before, wanted, strict=False):
        mark.text = text
    if wanted and not before:
        metadata = _metadata(domain)
        insert(metadata, len(metadata), opaque(wanted[0], NAMESPACE), depth=2)
    if before:
        yield "the mark of an earlier attempt is gone"
    if attempt is not None:
        yield f"it carries the mark of migration {attempt.migration_id}, attempt {attempt.attempt}"


def _marks(domain: Element) -> list[Element]:
    return [child for child in domain.iterfind("metadata/*") if namespace_of(child) == NAMESPACE]


def _remove(domain: Element, mark: Element) -> None:
    for metadata in domain.findall("metadata"):
        if mark in list(metadata):
            remove(metadata, mark)
            if len(metadata) == 0:
                remove(domain, metadata)


def _metadata(domain: Element) -> Element:
    metadata = domain.find("metadata")
    if metadata is None:
        metadata = Element("metadata")
        position = sum(child.tag in BEFORE_METADATA for child in domain)
        insert(domain, position, metadata, depth=1)
    return metadata
