"""A guest may come up with another size, if its definition does not spell the old one out."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from migrator.conductor.domain_xml import RenderRequest, render
from migrator.conductor.domain_xml.size import TIED_TO_SIZE, Size
from migrator.errors import Refused
from tests.unit.conductor.domain_xml.worked_example import DESTINATION, MARK, SOURCE

GUEST = (
    "<domain type='qemu'>\n  <name>g</name>\n  <memory unit='MiB'>512</memory>\n"
    "  <currentMemory unit='KiB'>262144</currentMemory>\n  <vcpu current='1'>2</vcpu>{more}\n</domain>\n"
)


def rendered(size: Size, more: str = "") -> tuple[str, ElementTree.Element]:
    """(of the running guest, its definition)"""
    xml = GUEST.format(more=more)
    request = RenderRequest(xml, xml, SOURCE, DESTINATION, MARK, size=size)
    result = render(request)
    assert result.persistent_xml is not None
    return result.destination_xml, ElementTree.fromstring(result.persistent_xml)


def test_a_size_that_was_asked_for_is_in_the_definition_only() -> None:
    running, definition = rendered(Size(vcpus=4, memory_mib=1024))
    vcpu = definition.find("vcpu")
    assert vcpu is not None
    assert (vcpu.text, vcpu.get("current")) == ("4", None)
    for name in ("memory", "currentMemory"):
        element = definition.find(name)
        assert element is not None
        assert (element.text, element.get("unit")) == ("1048576", "KiB")
    assert "<vcpu current='1'>2</vcpu>" in running.replace('"', "'")


def test_no_size_leaves_the_definition_as_it_is() -> None:
    assert ElementTree.tostring(rendered(Size())[1]) == ElementTree.tostring(
        ElementTree.fromstring(GUEST.format(more=""))
    )


@pytest.mark.parametrize("path", TIED_TO_SIZE)
def test_a_definition_that_spells_its_size_out_is_refused(path: str) -> None:
    outer, _, inner = path.partition("/")
    more = f"<{outer}><{inner}/></{outer}>" if inner else f"<{outer}/>"
    with pytest.raises(Refused) as refused:
        rendered(Size(vcpus=4), more)
    assert refused.value.code == "domain.xml_invalid"
