"""What a domain is and was told to be, it is and is told there."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from tests.nested.lab import Lab
from tests.nested.verify import verify

pytestmark = pytest.mark.nested

OWN_METADATA = "https://example.invalid/owner/1"


def comparable(xml: ElementTree.Element) -> str:
    """A domain's XML without what libvirt gives anew on every host: its number and its ptys."""
    xml.attrib.pop("id", None)
    for console in [*xml.iterfind("devices/serial"), *xml.iterfind("devices/console")]:
        console.attrib.pop("tty", None)
        for source in console.findall("source"):
            console.remove(source)
    return ElementTree.canonicalize(ElementTree.tostring(xml, "unicode"), strip_text=True)


def test_a_persistent_domain_is_persistent_there_and_undefined_here(lab: Lab, roamer: str) -> None:
    source = lab.home_of(roamer)
    destination = lab.other(source)
    scopes = ("--live", "--config")
    for scope in scopes:
        own = ("--uri", OWN_METADATA, "--key", "own", "--set", "<owner name='alice'/>")
        lab.virsh(source, "metadata", roamer, scope, *own)
    # Something the running guest does not have: the two definitions must not be mixed up.
    lab.virsh(source, "desc", roamer, "--config", "only when it starts again")
    lab.virsh(source, "autostart", roamer)
    live = comparable(lab.xml_on(source, roamer))
    inactive = comparable(lab.xml_on(source, roamer, "--inactive"))

    lab.move(roamer, destination)

    assert lab.names_on(source) == []
    assert lab.autostarts_on(source) == []
    assert lab.autostarts_on(destination) == [roamer]
    assert comparable(lab.xml_on(destination, roamer)) == live
    assert comparable(lab.xml_on(destination, roamer, "--inactive")) == inactive
    assert "only when it starts again" in inactive
    assert OWN_METADATA in live
    lab.virsh(destination, "autostart", "--disable", roamer)
    verify(lab)


def test_a_transient_domain_is_transient_there(lab: Lab) -> None:
    source, destination = lab.hosts
    guest = lab.boot("fleeting", source, "--memory", "128", "--transient")
    live = comparable(lab.xml_on(source, guest))

    lab.move(guest, destination)

    persistent = lab.virsh(destination, "list", "--all", "--name", "--persistent").split()
    assert guest not in persistent
    assert comparable(lab.xml_on(destination, guest)) == live
    assert lab.api("v1", "instances", guest)["persistent"] is False
    verify(lab)
    lab.discard(guest)
    verify(lab)
