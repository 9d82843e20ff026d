"""What a guest's XML becomes on its way to another host."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from migrator.compute_agent.attempt_mark import mark_element, parse_mark
from migrator.conductor.domain_xml import RenderRequest, render
from migrator.conductor.domain_xml.landing import Arrival
from migrator.errors import Broken, Refused
from migrator.model import HostAddresses
from tests.unit.conductor.domain_xml.worked_example import (
    DESTINATION,
    GUESTS,
    LANDINGS,
    MARK,
    SOURCE,
    golden,
    moved,
    moved_golden,
)


def domain(inner: str) -> str:
    return f"<domain type='qemu'>\n  <name>g</name>\n  {inner}\n</domain>\n"


def devices(inner: str) -> str:
    return domain(f"<devices>{inner}</devices>")


def only(xml_text: str, path: str) -> ElementTree.Element:
    (found,) = ElementTree.fromstring(xml_text).findall(path)
    return found


@pytest.mark.parametrize("guest", GUESTS)
def test_a_guest_becomes_what_its_golden_file_says(guest: str) -> None:
    rendered = moved_golden(guest)
    assert rendered.destination_xml == golden(guest, "destination").read_text()
    if rendered.persistent_xml is not None:
        assert rendered.persistent_xml == golden(guest, "persistent").read_text()


@pytest.mark.parametrize("guest", GUESTS)
def test_rendering_twice_changes_nothing_more(guest: str) -> None:
    once = moved_golden(guest)
    twice = moved(once.destination_xml, once.persistent_xml, LANDINGS.get(guest))
    assert twice.destination_xml == once.destination_xml
    assert twice.persistent_xml == once.persistent_xml
    assert twice.changes == ()


def test_a_transient_guest_gets_no_definition() -> None:
    assert moved(domain("")).persistent_xml is None


def test_the_arriving_guest_is_marked_and_what_is_defined_is_not() -> None:
    rendered = moved(domain(""), domain(""))
    assert rendered.persistent_xml == domain("")
    assert parse_mark(rendered.destination_xml) == MARK


def test_an_earlier_attempts_mark_gives_way_and_is_never_defined() -> None:
    earlier = mark_element(replace(MARK, attempt=MARK.attempt - 1))
    marked = domain(f"<metadata>{earlier}</metadata>")
    rendered = moved(marked, marked)
    assert parse_mark(rendered.destination_xml) == MARK
    assert rendered.persistent_xml == domain("").replace("  \n", "")
    assert "definition: the mark of an earlier attempt is gone" in rendered.changes


@pytest.mark.parametrize("count", [2, 3])
def test_however_many_marks_there_are_one_remains(count: int) -> None:
    earlier = [mark_element(replace(MARK, attempt=90 + number)) for number in range(count)]
    other = "<o xmlns='urn:o'/>"
    rendered = moved(domain(f"<metadata>{other.join(earlier)}</metadata>"))
    assert parse_mark(rendered.destination_xml) == MARK
    assert rendered.destination_xml.count("<migrator:attempt") == 1
    assert rendered.destination_xml.count(other) == count - 1


def test_other_peoples_metadata_is_kept_byte_for_byte() -> None:
    live = golden("awkward", "live").read_text()
    theirs = live[live.index("<outer") : live.index("</outer>")]
    assert theirs in moved(live).destination_xml


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("192.0.2.11", "192.0.2.12"),
        ("198.51.100.11", "198.51.100.12"),
        ("2001:db8::11", "2001:db8::12"),
        ("2001:0DB8:0::0:11", "2001:db8::12"),
        ("0.0.0.0", "0.0.0.0"),
        ("::", "::"),
        ("127.0.0.1", "127.0.0.1"),
        ("203.0.113.7", "203.0.113.7"),
        ("", ""),
    ],
)
def test_graphics_listen_on_the_counterpart_of_a_host_address(before: str, after: str) -> None:
    rendered = moved(
        devices(
            f"<graphics type='vnc' listen='{before}'>"
            f"<listen type='address' address='{before}'/></graphics>"
        )
    )
    graphics = only(rendered.destination_xml, "devices/graphics")
    assert graphics.get("listen") == after
    assert only(rendered.destination_xml, "devices/graphics/listen").get("address") == after
    assert any("vnc listen address" in change for change in rendered.changes) == (before != after)


def test_an_address_that_serves_several_planes_becomes_the_control_address() -> None:
    one_plane = replace(
        SOURCE, migration_address=SOURCE.control_address, disk_address=SOURCE.control_address
    )
    live = devices(f"<graphics type='vnc' listen='{SOURCE.control_address}'/>")
    rendered = render(RenderRequest(live, None, one_plane, DESTINATION, MARK))
    graphics = only(rendered.destination_xml, "devices/graphics")
    assert graphics.get("listen") == DESTINATION.control_address


def test_host_names_are_addresses_too() -> None:
    named = HostAddresses("u", "p", "h1.example", "h1-m.example", "h1-d.example")
    other = HostAddresses("u", "p", "h2.example", "h2-m.example", "h2-d.example")
    live = devices("<graphics type='vnc' listen='H1.Example'/>")
    rendered = render(RenderRequest(live, None, named, other, MARK))
    assert only(rendered.destination_xml, "devices/graphics").get("listen") == "h2.example"


def test_a_port_that_was_picked_automatically_stays_automatic() -> None:
    live = devices("<graphics type='vnc' port='-1' autoport='yes' listen='192.0.2.11'/>")
    graphics = only(moved(live).destination_xml, "devices/graphics")
    assert (graphics.get("port"), graphics.get("autoport")) == ("-1", "yes")


@pytest.mark.parametrize(
    "device", ["serial", "parallel", "console", "channel", "redirdev", "smartcard"]
)
def test_a_device_that_binds_moves_and_one_that_connects_stays(device: str) -> None:
    live = devices(
        f"<{device} type='udp'><source mode='bind' host='192.0.2.11' service='1'/>"
        f"<source mode='connect' host='192.0.2.11' service='2'/></{device}>"
    )
    sources = ElementTree.fromstring(moved(live).destination_xml).iterfind(
        f"devices/{device}/source"
    )
    assert [source.get("host") for source in sources] == ["192.0.2.12", "192.0.2.11"]


@pytest.mark.parametrize("kind", ["file", "block", "volume", "network"])
@pytest.mark.parametrize("driver", ["", "<driver name='qemu' cache='none'/>"])
def test_a_disk_without_a_format_says_that_it_is_raw(kind: str, driver: str) -> None:
    live = devices(f"<disk type='{kind}'>{driver}<target dev='vda'/></disk>")
    rendered = moved(live, live)
    for xml_text in (rendered.destination_xml, rendered.persistent_xml or ""):
        found = only(xml_text, "devices/disk/driver")
        assert found.get("type") == "raw"
        assert found.get("cache") == ("none" if driver else None)
    assert "definition: disk vda says that its format is raw" in rendered.changes


@pytest.mark.parametrize(
    "disk",
    [
        "<disk type='file'><driver name='qemu' type='qcow2'/></disk>",
        "<disk type='vhostuser'><source type='unix' path='/s'/></disk>",
        "<disk type='dir'><driver name='qemu' type='fat'/></disk>",
        "<disk type='nvme'/>",
    ],
)
def test_a_disk_with_a_format_or_without_bytes_of_its_own_stays(disk: str) -> None:
    assert disk in moved(devices(disk)).destination_xml


def test_xml_that_is_not_a_domain_is_refused() -> None:
    for live, inactive in (("<x/>", None), (domain(""), "<x/>")):
        with pytest.raises(Refused) as refused:
            moved(live, inactive)
        assert refused.value.code == "domain.xml_invalid"


def test_a_rewriter_that_oversteps_is_caught_before_anything_moves() -> None:
    def careless(tree: ElementTree.Element, arrival: Arrival) -> Iterator[str]:
        only_name = tree.find("name")
        assert only_name is not None
        only_name.text = "other"
        yield "nothing special"

    with pytest.raises(Broken, match="domain/name") as broken:
        render(RenderRequest(domain(""), None, SOURCE, DESTINATION, MARK), [careless])
    assert broken.value.code == "domain.xml_changed"
    assert broken.value.facts["changes"] == ["domain/name/text(): 'g' became 'other'"]
