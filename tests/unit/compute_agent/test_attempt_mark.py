"""The attempt's mark survives every form in which libvirt hands it out."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from migrator.compute_agent.attempt_mark import (
    NAMESPACE,
    bare_element,
    mark_element,
    parse_mark,
)
from migrator.model import AttemptMark

MARKS = [
    AttemptMark("5f1c2c9e-0000-4000-8000-000000000001", 1, True),
    AttemptMark("m & <n> \"quoted\" 'too'", 12, False),
    AttemptMark("5f1c2c9e-0000-4000-8000-000000000001", 2, False, held=True),
]


@pytest.mark.parametrize("mark", MARKS)
def test_a_mark_is_read_back_from_its_element_alone(mark: AttemptMark) -> None:
    assert parse_mark(mark_element(mark)) == mark
    assert parse_mark(bare_element(mark)) == mark


@pytest.mark.parametrize("mark", MARKS)
def test_a_mark_is_found_in_a_domain_and_in_its_metadata(mark: AttemptMark) -> None:
    metadata = f"<metadata><o:x xmlns:o='http://other'/>{mark_element(mark)}</metadata>"
    assert parse_mark(metadata) == mark
    assert parse_mark(f"<domain><name>g</name>{metadata}</domain>") == mark


def test_the_element_is_in_our_namespace() -> None:
    element = ElementTree.fromstring(mark_element(MARKS[0]))
    assert element.tag == f"{{{NAMESPACE}}}attempt"


@pytest.mark.parametrize(
    "text",
    [
        "<domain/>",
        "<domain><metadata/></domain>",
        "<domain><metadata><a:attempt xmlns:a='http://other' migration='m' number='1'/></metadata>"
        "</domain>",
        "<attempt number='1'/>",
        "<attempt migration='m' number='-1'/>",
        "<attempt migration='m' number='one'/>",
        "<attempt migration='m' number='²'/>",
        "not xml",
        "",
    ],
)
def test_what_is_no_readable_mark_of_ours_is_no_mark(text: str) -> None:
    assert parse_mark(text) is None
