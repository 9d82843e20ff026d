"""Devices of the host, found in a guest's XML."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from migrator.compute_agent.plugged import name_of, removable
from tests.unit.conductor.domain_xml.worked_example import golden


def test_every_kind_of_device_is_found_by_its_address_on_the_host() -> None:
    found = removable(golden("passthrough", "live").read_text())
    mediated = "c2177883-f1bb-47f0-914d-32a22e3a8804"
    assert [*found] == ["0000:03:10.1", "0000:03:10.3", "0000:03:10.5", mediated]
    assert all(name_of(device) == address for address, device in found.items())
    vf = ElementTree.fromstring(found["0000:03:10.1"])
    assert (vf.tag, vf.get("type")) == ("interface", "hostdev")
    mac, guest_side = vf.find("mac"), vf.find("address")
    assert mac is not None
    assert guest_side is not None
    assert (mac.get("address"), guest_side.get("bus")) == ("52:54:00:6d:90:02", "0x01")


@pytest.mark.parametrize(("alias", "kept"), [("hostdev0", False), ("ua-fast", True)])
def test_an_alias_is_kept_only_where_a_person_chose_it(alias: str, kept: bool) -> None:
    address = "<source><address domain='0x0000' bus='0x01' slot='0x00' function='0x1'/></source>"
    device = f"<hostdev type='pci'>{address}<alias name='{alias}'/></hostdev>"
    (found,) = removable(f"<domain><devices>{device}</devices></domain>").values()
    assert ("alias" in found) == kept


def test_what_is_no_device_of_a_host_has_no_address() -> None:
    with pytest.raises(ValueError, match="no device"):
        name_of("<interface type='network'/>")
