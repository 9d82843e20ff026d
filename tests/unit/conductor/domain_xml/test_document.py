"""Reading a domain's XML and writing it again loses nothing; what is no domain's XML is refused."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.conductor.domain_xml.document import (
    MAX_BYTES,
    MAX_DEPTH,
    insert,
    namespace_of,
    parse,
    remove,
    serialise,
)
from migrator.errors import Refused
from tests.unit.conductor.domain_xml.worked_example import GUESTS, golden

MIBIBYTE = 1024 * 1024


@pytest.mark.parametrize("guest", [guest for guest in GUESTS if guest != "awkward"])
def test_what_libvirt_wrote_comes_back_byte_for_byte(guest: str) -> None:
    for kind in ("live", "inactive"):
        text = golden(guest, kind).read_text()
        assert serialise(parse(text)) == text


def test_awkward_xml_means_the_same_to_another_parser_after_a_round_trip() -> None:
    text = golden("awkward", "live").read_text()
    assert _canonical(serialise(parse(text))) == _canonical(text)


def test_reading_what_was_written_writes_the_same() -> None:
    once = serialise(parse(golden("awkward", "live").read_text()))
    assert serialise(parse(once)) == once


@pytest.mark.parametrize(
    "child",
    [
        "<a/>",
        "<a></a>",
        "<a b='>' c=\"/>\"/>",
        "<a b='/'></a>",
        "<a><a><a/></a></a>",
        "<metadata><metadata/></metadata>",
        "<p:a xmlns:p='urn:p' p:b='1'  >\n <p:c/>\t</p:a >",
        "<a><![CDATA[</a>]]></a>",
        "<a><!-- </a> --></a>",
        "<a><?a </a>?></a>",
        "<a>&lt;/a&gt;&#13;&#10;é&#x10FFFF;</a>",
    ],
)
def test_other_peoples_metadata_stays_the_text_it_was(child: str) -> None:
    for around in (f"{child}", f"{child}{child}", f"\n <x/>{child}<!-- y -->\n{child} <z/>"):
        text = f"<domain><metadata>{around}</metadata></domain>\n"
        assert serialise(parse(text)) == text


def test_the_namespace_of_a_metadata_element_is_found_wherever_it_is_declared() -> None:
    domain = parse(
        "<domain xmlns:d='urn:d'><metadata xmlns='urn:m'>"
        "<d:a/><b/><c xmlns='urn:c'/><e:e xmlns:e='urn:e'/><f xmlns=''/></metadata></domain>"
    )
    found = [namespace_of(child) for child in domain.iterfind("metadata/*")]
    assert found == ["urn:d", "urn:m", "urn:c", "urn:e", ""]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "well-formed"),
        ("no xml", "well-formed"),
        ("<domain>", "well-formed"),
        ("<domain></domain><domain/>", "well-formed"),
        ("<domain a='1' a='2'/>", "well-formed"),
        ("<domain>\x00</domain>", "well-formed"),
        ("<domain>&unknown;</domain>", "well-formed"),
        ("<q:domain/>", "well-formed"),
        ("<domain><q:commandline/></domain>", "unbound prefix"),
        ("<domain><metadata><p:a/></metadata></domain>", "unbound prefix"),
        ("<domain>\ud800</domain>", "not text"),
        ("<network/>", "<network>"),
        ("<domain>" + "x" * MIBIBYTE + "</domain>", "bytes"),
        ("<domain>" + "é" * (MIBIBYTE // 2) + "</domain>", "bytes"),
        ("<domain>" + "<a>" * 300 + "</a>" * 300 + "</domain>", "deeper"),
        (
            "<domain><metadata>" + "<a>" * 300 + "</a>" * 300 + "</metadata></domain>",
            "deeper",
        ),
        ("<!DOCTYPE domain><domain/>", "document type"),
        ("<!DOCTYPE domain SYSTEM 'file:///etc/passwd'><domain/>", "document type"),
        (
            "<!DOCTYPE d [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;'>]><domain>&b;</domain>",
            "document type",
        ),
    ],
)
def test_xml_that_cannot_be_a_domains_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(Refused, match=why) as refused:
        parse(text)
    assert refused.value.code == "domain.xml_invalid"


def test_the_limits_themselves_are_allowed() -> None:
    frame = "<domain></domain>"
    assert parse(frame.replace("><", f">{'x' * (MAX_BYTES - len(frame))}<")).tag == "domain"
    inner = MAX_DEPTH - 1
    assert parse(f"<domain>{'<a>' * inner}{'</a>' * inner}</domain>").tag == "domain"


def test_an_encoding_declared_in_text_does_not_change_the_text() -> None:
    domain = parse("<?xml version='1.0' encoding='ISO-8859-1'?><domain><name>é</name></domain>")
    assert domain.findtext("name") == "é"


def test_removing_what_was_inserted_restores_the_document() -> None:
    text = golden("web1", "live").read_text()
    domain = parse(text)
    for position in (0, 1, len(domain)):
        child = ElementTree.Element("child")
        insert(domain, position, child, depth=1)
        assert "\n  <child/>\n" in serialise(domain)
        remove(domain, child)
        assert serialise(domain) == text


_NAMES = st.sampled_from(["a", "b", "metadata", "p:a"])
_TEXTS = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cs", "Cc"), include_characters="\t\n\r"),
    max_size=8,
).filter(lambda text: not {"\ufffe", "\uffff"} & set(text))


@st.composite
def _elements(draw: st.DrawFn, depth: int = 3) -> ElementTree.Element:
    element = ElementTree.Element(draw(_NAMES), draw(st.dictionaries(_NAMES, _TEXTS, max_size=2)))
    element.text = draw(_TEXTS)
    for child in draw(st.lists(_elements(depth - 1), max_size=3)) if depth else []:
        child.tail = draw(_TEXTS)
        element.append(child)
    return element


@given(_elements())
def test_any_tree_comes_back_as_it_was(inner: ElementTree.Element) -> None:
    domain = ElementTree.Element("domain", {"xmlns:p": "urn:p"})
    domain.append(inner)
    text = ElementTree.tostring(domain, encoding="unicode")
    assert _canonical(serialise(parse(text))) == _canonical(text)


def _canonical(text: str) -> str:
    return ElementTree.canonicalize(text, with_comments=True)
