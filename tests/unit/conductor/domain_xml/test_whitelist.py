"""The structural diff sees every change that no row of the whitelist allows."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from migrator.compute_agent.attempt_mark import NAMESPACE, mark_element
from migrator.conductor.domain_xml.whitelist import PINS, WHITELIST, unexpected_changes
from migrator.errors import Refused
from tests.unit.conductor.domain_xml.worked_example import GUESTS, MARK, golden

TEXTS = {guest: golden(guest, "live").read_text() for guest in GUESTS}
BLANK = " \t\r\n"


def domain(inner: str) -> str:
    return f"<domain>{inner}</domain>"


def disk(inner: str) -> str:
    return domain(f"<devices><disk>{inner}</disk></devices>")


def metadata(inner: str) -> str:
    return domain(f"<metadata>{inner}</metadata>")


def cputune(inner: str) -> str:
    return domain(f"<cputune>{inner}</cputune>")


def hostdev(attributes: str) -> str:
    return domain(f"<devices><hostdev><source><address {attributes}/></source></hostdev></devices>")


def graphics(attributes: str) -> str:
    return domain(f"<devices><graphics {attributes}/></devices>")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (domain(""), metadata(mark_element(MARK))),
        (metadata(mark_element(MARK)), domain("")),
        (metadata("<a/>"), metadata(f"<a/>{mark_element(MARK)}")),
        (domain(""), metadata("")),
        (disk("<target/>"), disk("<driver type='raw'/><target/>")),
        (disk("<driver/>"), disk("<driver type='raw'/>")),
        (graphics("listen='192.0.2.1'"), graphics("listen='192.0.2.2'")),
        (domain("<vcpu cpuset='1'/>"), domain("<vcpu/>")),
        (cputune("<vcpupin vcpu='0' cpuset='1'/>"), cputune("<vcpupin vcpu='0' cpuset='7'/>")),
        (
            cputune("<vcpupin vcpu='0' cpuset='1'/><vcpupin vcpu='1' cpuset='2'/>"),
            cputune("<vcpupin vcpu='1' cpuset='2'/>"),
        ),
        (domain(""), cputune("<vcpupin vcpu='0' cpuset='1'/>")),
        (hostdev("bus='0x03'"), hostdev("bus='0x83'")),
        (domain("<a/> <b/>"), domain("<a/>\n  <b/>")),
        (domain("<a b='1' c='2'/>"), domain("<a c='2' b='1'></a>")),
    ],
)
def test_what_the_whitelist_allows_is_no_surprise(before: str, after: str) -> None:
    assert unexpected_changes(before, after) == ()


@pytest.mark.parametrize(
    ("before", "after", "path"),
    [
        (domain("<name>a</name>"), domain("<name>b</name>"), "domain/name/text()"),
        (domain("<name>a</name>"), domain("<name>a </name>"), "domain/name/text()"),
        (domain("<a/>"), domain(""), "domain/a"),
        (domain(""), domain("<a/>"), "domain/a"),
        (domain("<a/><a/><a/>"), domain("<a/><a/>"), "domain/a[3]"),
        (domain("<a/><a b='1'/>"), domain("<a/><a b='2'/>"), "domain/a[2]/@b"),
        (domain("<a/><b/>"), domain("<b/><a/>"), "domain/b"),
        (domain("x<a/>"), domain("<a/>x"), "domain/text()"),
        ("<domain xmlns='urn:a'/>", "<domain xmlns='urn:b'/>", "domain"),
        (domain("<!-- a -->"), domain("<!-- b -->"), "domain/#comment/text()"),
        (metadata("<a> </a>"), metadata("<a></a>"), "domain/metadata/a/text()"),
        (metadata("<a/>"), domain(""), "domain/metadata/a"),
        (domain(""), metadata("<attempt/>"), "domain/metadata/attempt"),
        (disk(""), disk("<driver type='qcow2'/>"), "driver"),
        (disk(""), disk("<driver type='raw' cache='none'/>"), "driver"),
        (disk("<driver/>"), disk("<driver type='qcow2'/>"), "driver/@type"),
        (disk("<driver type='qcow2'/>"), disk("<driver type='raw'/>"), "driver/@type"),
        (disk("<driver type='raw'/>"), disk(""), "driver"),
        (graphics("listen='192.0.2.1'"), graphics(""), "graphics/@listen"),
        (graphics(""), graphics("listen='192.0.2.1'"), "graphics/@listen"),
        (graphics("port='1'"), graphics("port='2'"), "graphics/@port"),
        (domain("<vcpu/>"), domain("<vcpu cpuset='1'/>"), "vcpu/@cpuset"),
        (domain("<vcpu>1</vcpu>"), domain("<vcpu>2</vcpu>"), "vcpu/text()"),
        (domain(""), cputune("<shares>1</shares>"), "cputune"),
        (cputune("<vcpupin vcpu='0' x='1'/>"), cputune("<vcpupin vcpu='0' x='2'/>"), "vcpupin/@x"),
        (cputune("<vcpusched vcpus='0'/>"), cputune("<vcpusched vcpus='1'/>"), "vcpusched/@vcpus"),
        (hostdev("bus='1'"), hostdev("bus='2'"), "hostdev/source/address/@bus"),
        (hostdev("uuid='a'"), hostdev(""), "hostdev/source/address/@uuid"),
    ],
)
def test_any_other_change_is_named_with_its_path(before: str, after: str, path: str) -> None:
    changes = unexpected_changes(before, after)
    assert any(path in change.partition(": ")[0] for change in changes), changes


SHARED = (
    "<source pool='p' volume='v'/><backingStore type='volume'><format type='raw'/>"
    "<source pool='p' volume='base'/><backingStore/></backingStore><target dev='vda'/>"
)
ENDED = "<source pool='q' volume='v'/><backingStore/><target dev='vda'/>"


@pytest.mark.parametrize(
    ("before", "after", "path"),
    [
        # Without its end libvirt looks for a chain in what the guest wrote.
        ("<backingStore/><target dev='vda'/>", "<target dev='vda'/>", "backingStore"),
        ("<target dev='vda'/>", "<backingStore/><target dev='vda'/>", "backingStore"),
        (SHARED, SHARED.replace("volume='base'", "volume='other'"), "backingStore/source/@volume"),
        (SHARED, SHARED.replace("<format type='raw'/>", ""), "backingStore/format"),
        (SHARED, SHARED.replace("<backingStore/>", ""), "backingStore/backingStore"),
        (SHARED, SHARED.replace("volume='v'", "volume='w'"), "disk/source/@volume"),
        (SHARED, ENDED, "disk/source/@pool"),
    ],
)
def test_only_a_copied_disk_has_another_source_or_chain(before: str, after: str, path: str) -> None:
    changes = unexpected_changes(disk(before), disk(after))
    assert any(path in change.partition(": ")[0] for change in changes), changes


def test_a_copied_disk_is_another_volume_that_says_it_stands_alone() -> None:
    assert unexpected_changes(disk(SHARED), disk(ENDED), ["vda"]) == ()
    assert unexpected_changes(disk(SHARED), disk(ENDED), ["vdb"])
    for end in ("", "<backingStore type='volume'/>", "<backingStore/><backingStore/>"):
        assert unexpected_changes(
            disk(SHARED), disk(ENDED.replace("<backingStore/>", end)), ["vda"]
        )


@pytest.mark.parametrize("guest", GUESTS)
def test_a_guest_does_not_differ_from_itself(guest: str) -> None:
    assert unexpected_changes(TEXTS[guest], TEXTS[guest]) == ()


def test_a_document_that_must_not_be_read_is_refused_on_either_side() -> None:
    bomb = "<!DOCTYPE d [<!ENTITY a 'ha'>]><domain>&a;</domain>"
    for pair in ((bomb, domain("")), (domain(""), bomb)):
        with pytest.raises(Refused) as refused:
            unexpected_changes(*pair)
        assert refused.value.code == "domain.xml_invalid"


def test_every_row_of_the_whitelist_says_why() -> None:
    assert all(row.reason for row in WHITELIST)
    paths = [row.path for row in WHITELIST]
    assert len(set(paths)) == len(paths)


def test_many_children_are_compared_in_time_that_grows_with_their_number() -> None:
    many = "<a/>" * 20_000
    changes = unexpected_changes(domain(many), domain(f"{many}<b/>"))
    assert changes == ("domain/b: '<b />' is new",)


Change = Callable[[st.DataObject, Element, Element], None]


def _set_attribute(data: st.DataObject, parent: Element, element: Element) -> None:
    names = [*element.keys(), "added"]
    name = data.draw(st.sampled_from(names))
    element.set(name, element.get(name, "") + data.draw(st.sampled_from(["x", "1", " "])))


def _drop_attribute(data: st.DataObject, parent: Element, element: Element) -> None:
    assume(element.keys())
    del element.attrib[data.draw(st.sampled_from([*element.keys()]))]


def _say_something(data: st.DataObject, parent: Element, element: Element) -> None:
    element.text = (element.text or "") + data.draw(st.sampled_from(["x", "0", "é"]))


def _say_something_after(data: st.DataObject, parent: Element, element: Element) -> None:
    element.tail = (element.tail or "") + data.draw(st.sampled_from(["x", "0", "é"]))


def _add_child(data: st.DataObject, parent: Element, element: Element) -> None:
    name = data.draw(st.sampled_from(["added", *{child.tag for child in element}]))
    element.insert(data.draw(st.integers(0, len(element))), Element(name))


def _remove_it(data: st.DataObject, parent: Element, element: Element) -> None:
    parent.remove(element)


def _double_it(data: st.DataObject, parent: Element, element: Element) -> None:
    parent.append(element)


def _rename_it(data: st.DataObject, parent: Element, element: Element) -> None:
    element.tag += "x"


CHANGES: list[Change] = [
    _set_attribute,
    _drop_attribute,
    _say_something,
    _say_something_after,
    _add_child,
    _remove_it,
    _double_it,
    _rename_it,
]


@pytest.mark.parametrize("guest", GUESTS)
def test_no_element_can_be_removed_unseen(guest: str) -> None:
    """Every one of them, once: an end of a chain was lost in silence, which libvirt makes up for by
    believing what the guest wrote."""
    count = sum(1 for _ in ElementTree.fromstring(TEXTS[guest]).iter()) - 1
    for number in range(count):
        tree = ElementTree.fromstring(TEXTS[guest])
        parent, element = [(parent, child) for parent in tree.iter() for child in parent][number]
        parent.remove(element)
        after = ElementTree.tostring(tree, encoding="unicode")
        assert _seen_or_allowed(TEXTS[guest], after), f"{parent.tag}/{element.tag}"


@given(st.data())
def test_no_single_change_outside_the_whitelist_goes_unseen(data: st.DataObject) -> None:
    text = TEXTS[data.draw(st.sampled_from(GUESTS))]
    tree = ElementTree.fromstring(text)
    pairs = [(parent, child) for parent in tree.iter() for child in parent]
    parent, element = data.draw(st.sampled_from(pairs))
    data.draw(st.sampled_from(CHANGES))(data, parent, element)
    assert _seen_or_allowed(text, ElementTree.tostring(tree, encoding="unicode"))


def _seen_or_allowed(before: str, after: str) -> bool:
    """The oracle: unless every canonical line that differs could belong to a whitelisted path, the
    diff must say something."""
    if unexpected_changes(before, after):
        return True
    old, new = _facts(before), _facts(after)
    return all(any(fnmatchcase(path, row.path) for row in WHITELIST) for path, _ in old ^ new)


def _facts(text: str) -> set[tuple[str, str]]:
    """Every (path, what is there) of a document, told by position so that nothing can hide."""
    facts: set[tuple[str, str]] = set()

    def walk(element: Element, path: str, place: str) -> None:
        facts.add((path, f"{place} is here"))
        for name, value in element.items():
            facts.add((f"{path}/@{name}".lstrip("/"), f"{place} {value}"))
        said = [element.text or "", *(child.tail or "" for child in element)]
        facts.add((f"{path}/text()".lstrip("/"), f"{place} {''.join(said).strip(BLANK)}"))
        # marks and pins may come and go without moving what stands after them
        theirs = [child for child in element if not child.tag.startswith(f"{{{NAMESPACE}}}")]
        if path == "cputune":
            pins = [child for child in element if child.tag in PINS]
            theirs = [child for child in theirs if child not in pins]
            facts.update((f"{path}/{pin.tag}", ElementTree.tostring(pin).decode()) for pin in pins)
        for number, child in enumerate(theirs):
            below = f"{path}/{child.tag}".lstrip("/")
            walk(child, below, f"{place}.{number}")

    walk(ElementTree.fromstring(text), "", "")
    return facts
