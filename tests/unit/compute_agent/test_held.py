"""What of its host a guest has, told from its XML."""

from __future__ import annotations

import pytest

from migrator.compute_agent.held import held
from migrator.model import CellPlacement, DeviceGiven, PagesTaken, Placement
from tests.unit.conductor.domain_xml.worked_example import golden


def domain(inner: str, vcpus: str = "<vcpu>2</vcpu>", memory: int = 524288) -> str:
    return f"<domain><memory unit='KiB'>{memory}</memory>{vcpus}{inner}</domain>"


PIN_BOTH = "<vcpupin vcpu='0' cpuset='1'/><vcpupin vcpu='1' cpuset='2'/>"


@pytest.mark.parametrize(
    ("vcpus", "tuned", "pins"),
    [
        ("<vcpu>2</vcpu>", "", ()),
        ("<vcpu>2</vcpu>", "<vcpupin vcpu='0' cpuset='3'/>", ((0, 3),)),
        ("<vcpu>2</vcpu>", "<vcpupin vcpu='0' cpuset='3'/><vcpupin vcpu='1' cpuset='3'/>", ()),
        ("<vcpu>2</vcpu>", PIN_BOTH, ((0, 1), (1, 2))),
        ("<vcpu>2</vcpu>", PIN_BOTH.replace("'1'/><", "'1-8'/><"), ((1, 2),)),
        ("<vcpu cpuset='7'>1</vcpu>", "", ((0, 7),)),
        ("<vcpu cpuset='7'>2</vcpu>", "", ()),
        ("<vcpu cpuset='6-7'>2</vcpu>", "<vcpupin vcpu='1' cpuset='7'/>", ((1, 7),)),
        # of those that can be plugged in only the ones that are
        ("<vcpu current='1'>2</vcpu>", PIN_BOTH, ((0, 1),)),
    ],
)
def test_a_vcpu_has_the_cpu_that_it_alone_is_pinned_to(
    vcpus: str, tuned: str, pins: tuple[tuple[int, int], ...]
) -> None:
    found = held(domain(f"<cputune>{tuned}</cputune>", vcpus))
    assert found.pins == pins


@pytest.mark.parametrize(
    ("tuned", "cpu"),
    [
        ("<vcpupin vcpu='0' cpuset='3'/><emulatorpin cpuset='4'/>", 4),
        ("<vcpupin vcpu='0' cpuset='3'/><emulatorpin cpuset='3'/>", None),
        ("<vcpupin vcpu='0' cpuset='3'/><emulatorpin cpuset='4-5'/>", None),
        ("<emulatorpin cpuset='4'/>", None),
    ],
)
def test_qemus_own_threads_have_a_cpu_where_nothing_else_of_the_guest_runs(
    tuned: str, cpu: int | None
) -> None:
    assert held(domain(f"<cputune>{tuned}</cputune>")).emulator_cpu == cpu


def test_a_guest_without_pins_has_its_size() -> None:
    assert held(domain("")) == Placement(vcpus=2, memory_mib=512)


def test_pages_and_cells_of_a_guest_that_is_bound_to_cells() -> None:
    found = held(golden("celled", "live").read_text())
    assert found.page_kib == 2048
    assert found.cells == (CellPlacement(0, 0, 0, 0),)
    assert found.pages == (PagesTaken(0, 2048, 1024),)
    assert (found.vcpus, found.memory_mib) == (0, 0)
    assert found.pins == ((0, 2), (1, 3), (2, 10), (3, 11))


def test_a_guest_with_one_cell_lies_where_its_memory_is_bound() -> None:
    found = held(domain("<numatune><memory mode='strict' nodeset='1'/></numatune>"))
    assert found.cells == (CellPlacement(0, 1, 2, 512),)


@pytest.mark.parametrize("tuned", ["mode='preferred' nodeset='1'", "mode='strict' nodeset='0-1'"])
def test_memory_that_may_lie_elsewhere_is_bound_to_no_cell(tuned: str) -> None:
    assert held(domain(f"<numatune><memory {tuned}/></numatune>")).cells == ()


def test_devices_of_every_kind_are_found_and_others_are_not() -> None:
    found = held(golden("passthrough", "live").read_text())
    pci = [f"0000:03:10.{function}" for function in (1, 3, 5)]
    mediated = "c2177883-f1bb-47f0-914d-32a22e3a8804"
    assert found.devices == tuple(DeviceGiven("", address) for address in (*pci, mediated))


@pytest.mark.parametrize("text", ["", "<domain", "no"])
def test_what_is_no_domain_is_not_guessed_at(text: str) -> None:
    with pytest.raises(ValueError, match="no domain"):
        held(text)
