"""What a host is made of, as libvirt writes it and as it is configured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import libvirt
import pytest

from migrator.compute_agent import libvirt_host
from migrator.compute_agent.capabilities import machines
from migrator.compute_agent.host_limits import limited_topology
from migrator.compute_agent.host_topology import pci_device, topology
from migrator.errors import Refused
from migrator.model import (
    DeviceKind,
    DevicePattern,
    HostLimits,
    HostTopology,
    Machines,
    PagePool,
    PciDevice,
)

RECORDED = Path(__file__).with_name("recorded")
CAPABILITIES = (RECORDED / "capabilities-two-sockets.xml").read_text()


@pytest.fixture(scope="module")
def sriov() -> Iterator[HostTopology]:
    """A libvirt whose host has these devices."""
    connection = libvirt.open(f"test://{RECORDED / 'sriov-host.xml'}")
    yield libvirt_host.topology(connection)
    connection.close()


def devices(of: HostTopology) -> dict[str, PciDevice]:
    return {device.address: device for device in of.devices}


def test_cells_have_their_cores_sockets_and_huge_pages() -> None:
    first, second = topology(CAPABILITIES, ()).cells
    assert first.cores == ((0, 8), (2, 10), (4, 12), (6, 14))
    assert (first.sockets, second.sockets) == ((0,), (1,))
    assert first.pages == (PagePool(2048, 4096), PagePool(1048576, 8))
    assert second.pages == ()
    assert first.memory_mib == 65677180 // 1024


def test_a_cpu_that_is_switched_off_is_nobodys_and_no_sibling() -> None:
    read = topology(CAPABILITIES, ())
    assert 15 not in read.dedicated_cpus
    assert (7,) in read.cells[1].cores
    assert len(read.dedicated_cpus) == 15


def test_without_huge_pages_there_is_no_pool() -> None:
    """libvirt's test driver has cells with 4 and with 8 KiB pages, and none of the larger sizes."""
    connection = libvirt.open("test:///default")
    cells = libvirt_host.topology(connection).cells
    connection.close()
    assert [len(cell.cores) for cell in cells] == [8, 8]
    assert cells[0].pages == ()


def test_machine_types_are_told_by_virtualisation_type() -> None:
    names = ("pc-i440fx-7.2", "pc-q35-7.2", "q35")
    assert machines(CAPABILITIES, "x86_64") == (
        Machines("x86_64", "kvm", names),
        Machines("x86_64", "qemu", names),
    )
    assert machines(CAPABILITIES, "aarch64") == ()


@pytest.mark.parametrize(
    "file",
    ["sriov-host.xml", "sriov-second-host.xml", "mediated-host.xml", "mediated-second-host.xml"],
)
def test_a_recorded_device_is_read_as_libvirt_writes_it(file: str) -> None:
    """But for its driver, which the test driver does not tell."""
    connection = libvirt.open(f"test://{RECORDED / file}")
    told = libvirt_host.topology(connection).devices
    connection.close()
    found = ElementTree.parse(RECORDED / file).iterfind("device")
    texts = [ElementTree.tostring(each, encoding="unicode") for each in found]
    recorded = topology(CAPABILITIES, texts).devices
    assert told == tuple(replace(device, driver=None) for device in recorded)


def test_every_pci_device_is_read_and_nothing_else(sriov: HostTopology) -> None:
    assert list(devices(sriov)) == [
        "0000:00:1f.2",
        "0000:3b:00.0",
        "0000:3b:02.0",
        "0000:3b:02.1",
        "0000:3b:0a.3",
        "0000:d8:00.0",
    ]


def test_a_virtual_function_knows_its_parent_and_its_cell(sriov: HostTopology) -> None:
    assert devices(sriov)["0000:3b:0a.3"] == PciDevice(
        address="0000:3b:0a.3",
        vendor="8086",
        product="154c",
        kind=DeviceKind.VF,
        parent="0000:3b:00.0",
        device_class="020000",
        numa_node=0,
        iommu_group=83,
    )


def test_a_device_says_which_driver_holds_it() -> None:
    """Read from the recorded text: libvirt's test driver forgets it."""
    written = ElementTree.parse(RECORDED / "sriov-host.xml").iterfind("device")
    read = [pci_device(ElementTree.tostring(device, encoding="unicode")) for device in written]
    drivers = {device.address: device.driver for device in read if device is not None}
    assert drivers["0000:3b:0a.3"] == "iavf"
    assert drivers["0000:3b:02.1"] == "vfio-pci"
    assert drivers["0000:3b:00.0"] == "i40e"


def test_a_physical_function_says_how_far_it_can_be_cut(sriov: HostTopology) -> None:
    network, graphics = devices(sriov)["0000:3b:00.0"], devices(sriov)["0000:d8:00.0"]
    assert (network.kind, network.max_vfs, network.numa_node) == (DeviceKind.PF, 64, 0)
    assert (graphics.kind, graphics.max_vfs, graphics.numa_node) == (DeviceKind.PF, 16, 1)


def test_a_device_without_a_cell_and_group_has_none(sriov: HostTopology) -> None:
    sata = devices(sriov)["0000:00:1f.2"]
    assert (sata.kind, sata.numa_node, sata.iommu_group) == (DeviceKind.PCI, None, None)


def mediated(file: str) -> HostTopology:
    found = ElementTree.parse(RECORDED / file).iterfind("device")
    return topology(
        CAPABILITIES, [ElementTree.tostring(each, encoding="unicode") for each in found]
    )


def test_a_mediated_device_is_of_its_type_and_where_its_parent_is() -> None:
    one = "b0000000-0000-4000-8000-000000000002"
    assert devices(mediated("mediated-second-host.xml"))[one] == PciDevice(
        address=one,
        vendor="10de",
        product="nvidia-230",
        kind=DeviceKind.VF,
        parent="0000:af:00.0",
        device_class="030200",
        numa_node=1,
        iommu_group=141,
    )


def test_mediated_devices_are_given_by_default_and_their_parents_are_not() -> None:
    host = mediated("mediated-second-host.xml")
    assert {device.kind for device in host.devices if device.parent is None} == {DeviceKind.PF}
    started = [f"b0000000-0000-4000-8000-00000000000{number}" for number in (1, 2, 3)]
    assert list(given_away(host)) == started
    assert list(given_away(host, DevicePattern(address="0000:3b:*"))) == [
        "0000:3b:00.0",
        started[0],
        started[2],
    ]


# -- what is configured

HOST = topology(CAPABILITIES, ())


def limits(**configured: object) -> HostTopology:
    return limited_topology(HOST, HostLimits(**configured), "h1")  # type: ignore[arg-type]


def test_reserved_cpus_are_nobodys() -> None:
    left = limits(reserved_cpus=(0, 8))
    assert left.dedicated_cpus == left.shared_cpus
    assert set(HOST.shared_cpus) - set(left.shared_cpus) == {0, 8}


def test_what_is_not_dedicated_is_shared_and_the_other_way_round() -> None:
    one, other = limits(dedicated_cpus=(4, 12)), limits(shared_cpus=(4, 12))
    assert set(one.shared_cpus) == set(HOST.shared_cpus) - {4, 12}
    assert set(other.dedicated_cpus) == set(HOST.shared_cpus) - {4, 12}
    assert (one.dedicated_cpus, other.shared_cpus) == ((4, 12), (4, 12))


def test_reserved_pages_and_memory_are_taken_from_their_cells() -> None:
    first, second = limits(reserved_pages=((0, 2048, 96),), reserved_memory_mib=1001).cells
    assert first.pages[0] == PagePool(2048, 4096, 96)
    assert (first.reserved_memory_mib, second.reserved_memory_mib) == (501, 500)


@pytest.mark.parametrize(
    ("configured", "sentence"),
    [
        ({"dedicated_cpus": (1, 15)}, r"dedicated_cpus: there is no CPU 15"),
        ({"reserved_cpus": (64, 65)}, r"reserved_cpus: there is no CPU 64, 65"),
        ({"reserved_pages": ((1, 2048, 1),)}, r"cell 1 has 0 pages of 2048 KiB"),
        ({"reserved_pages": ((7, 2048, 1),)}, r"cell 7 has 0 pages"),
    ],
)
def test_what_the_host_does_not_have_is_refused(
    configured: dict[str, object], sentence: str
) -> None:
    with pytest.raises(Refused, match=rf"\[host:h1\] .*{sentence}") as caught:
        limits(**configured)
    assert caught.value.code == "config.invalid"


def given_away(host: HostTopology, *patterns: DevicePattern) -> dict[str, str | None]:
    left = limited_topology(host, HostLimits(devices=patterns), "h1")
    return {device.address: device.network for device in left.devices}


def test_virtual_functions_and_what_is_bound_to_vfio_are_given_by_default(
    sriov: HostTopology,
) -> None:
    assert list(given_away(sriov)) == ["0000:3b:02.0", "0000:3b:02.1", "0000:3b:0a.3"]
    bound = tuple(replace(device, driver="vfio-pci") for device in sriov.devices)
    assert len(given_away(replace(sriov, devices=bound))) == len(bound)


def test_an_operators_list_replaces_that_and_names_networks(sriov: HostTopology) -> None:
    patterns = (
        DevicePattern(address="0000:3b:0a.*", network="blue"),
        DevicePattern(vendor="8086", product="154c", network="red"),
        DevicePattern(vendor="10de"),
    )
    assert given_away(sriov, *patterns) == {
        "0000:3b:02.0": "red",
        "0000:3b:02.1": "red",
        "0000:3b:0a.3": "blue",
        "0000:d8:00.0": None,
    }
