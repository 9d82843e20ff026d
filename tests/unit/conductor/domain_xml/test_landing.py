"""What a guest that is bound to parts of its host becomes where the golden files do not say it."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.conductor.domain_xml import Landing
from migrator.conductor.domain_xml.landing import cpuset
from migrator.errors import Broken, Refused
from tests.unit.conductor.domain_xml.worked_example import GUESTS, LANDINGS, golden, moved

ONE_TO_FIVE = Landing(pins={0: frozenset({5})}, cells={0: 3})


def domain(inner: str) -> str:
    return f"<domain type='qemu'>\n  <name>g</name>\n  {inner}\n</domain>\n"


def arrived(inner: str, landing: Landing) -> ElementTree.Element:
    rendered = moved(domain(inner), domain(inner), landing)
    assert rendered.persistent_xml is not None
    return ElementTree.fromstring(rendered.persistent_xml)


@pytest.mark.parametrize("guest", [guest for guest in GUESTS if guest not in LANDINGS])
def test_a_guest_that_is_given_no_landing_keeps_its_pins(guest: str) -> None:
    text = golden(guest, "live").read_text()
    pins = [line for line in text.splitlines() if "pin " in line]
    assert [line for line in moved(text).destination_xml.splitlines() if "pin " in line] == pins


def test_a_vcpu_that_only_its_cpuset_has_kept_on_its_cpu_gets_a_pin() -> None:
    root = arrived("<vcpu cpuset='1'>1</vcpu>", ONE_TO_FIVE)
    pins = [(pin.get("vcpu"), pin.get("cpuset")) for pin in root.iterfind("cputune/vcpupin")]
    assert pins == [("0", "5")]
    vcpu = root.find("vcpu")
    assert vcpu is not None
    assert vcpu.get("cpuset") == "5"


def test_memory_of_a_guest_without_cells_of_its_own_follows_cell_zero() -> None:
    root = arrived("<numatune><memory mode='strict' nodeset='0'/></numatune>", ONE_TO_FIVE)
    memory = root.find("numatune/memory")
    assert memory is not None
    assert memory.get("nodeset") == "3"


@pytest.mark.parametrize(
    "tuned",
    [
        "<memory mode='strict' nodeset='0'/>",
        "<memnode cellid='0' mode='strict' nodeset='0'/>",
        "<memnode cellid='x' mode='strict' nodeset='0'/>",
    ],
)
def test_memory_bound_to_cells_never_arrives_with_the_sources_numbers(tuned: str) -> None:
    with pytest.raises(Broken) as broken:
        moved(domain(f"<numatune>{tuned}</numatune>"), None, Landing())
    assert broken.value.code == "placement.incomplete"


def test_memory_that_libvirt_places_by_itself_stays_so() -> None:
    root = arrived("<numatune><memory mode='strict' placement='auto'/></numatune>", Landing())
    memory = root.find("numatune/memory")
    assert memory is not None
    assert memory.attrib == {"mode": "strict", "placement": "auto"}


@pytest.mark.parametrize(
    "share",
    [
        "<cachetune vcpus='0'><cache id='0' level='3' type='both' size='1'/></cachetune>",
        "<memorytune vcpus='0'><node id='1' bandwidth='1'/></memorytune>",
    ],
)
def test_a_share_of_what_cannot_be_told_at_the_destination_is_refused(share: str) -> None:
    live = domain(
        f"<cputune>{share}</cputune><numatune><memory mode='strict' nodeset='0'/></numatune>"
    )
    with pytest.raises(Refused) as refused:
        moved(live, None, ONE_TO_FIVE)
    assert refused.value.code == "device.not_migratable"


def test_a_share_of_memory_bandwidth_of_a_guest_bound_to_no_cell_stays() -> None:
    inner = "<cputune><memorytune vcpus='0'><node id='1' bandwidth='1'/></memorytune></cputune>"
    node = arrived(inner, Landing()).find("cputune/memorytune/node")
    assert node is not None
    assert node.get("id") == "1"


def test_two_devices_may_change_places() -> None:
    source = "<source><address domain='0x0000' bus='0x01' slot='0x00' function='0x{}'/></source>"
    inner = "".join(f"<hostdev type='pci'>{source.format(each)}</hostdev>" for each in (1, 2))
    swapped = Landing(devices={"0000:01:00.1": "0000:01:00.2", "0000:01:00.2": "0000:01:00.1"})
    root = arrived(f"<devices>{inner}</devices>", swapped)
    functions = [each.get("function") for each in root.iterfind("devices/hostdev/source/address")]
    assert functions == ["0x2", "0x1"]


@given(st.frozensets(st.integers(0, 300)))
def test_a_set_of_cpus_is_written_so_that_it_can_be_read_back(cpus: frozenset[int]) -> None:
    read: set[int] = set()
    for part in filter(None, cpuset(cpus).split(",")):
        low, _, high = part.partition("-")
        read.update(range(int(low), int(high or low) + 1))
    assert read == cpus
