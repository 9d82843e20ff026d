"""What one host is made of, as it is shown."""

from __future__ import annotations

from dataclasses import replace

from migrator.conductor.host_parts import vanished, with_parts
from migrator.conductor.views import host_view
from migrator.cpu_lists import listed, numbers_in
from migrator.model import (
    Claim,
    ClaimPurpose,
    DeviceGiven,
    DeviceKind,
    HostCell,
    HostTopology,
    PagePool,
    PagesTaken,
    PciDevice,
    Placement,
)
from tests.unit.examples import FACTS, NOON, a_host

VF = PciDevice("0000:3b:02.1", "8086", "154c", DeviceKind.VF, numa_node=0, network="red")
TOPOLOGY = HostTopology(
    cells=(HostCell(0, 4096, ((0, 2), (1, 3)), (0,), (PagePool(2048, 512),)),),
    dedicated_cpus=(0, 1, 2, 3),
    shared_cpus=(0, 1, 2, 3),
    devices=(VF,),
)
PLACEMENT = Placement(
    vcpus=0,
    memory_mib=0,
    pins=((0, 2),),
    pages=(PagesTaken(0, 2048, 256),),
    page_kib=2048,
    devices=(DeviceGiven("0000:5e:02.0", VF.address),),
)
CLAIM = Claim(
    id=1,
    host="h1",
    instance_id="u1",
    instance_name="web1",
    purpose=ClaimPurpose.USE,
    vcpus=1,
    memory_mib=512,
    migration_id=None,
    created_at=NOON,
    placement=PLACEMENT,
)


def test_a_host_shows_what_is_left_of_its_cells_and_whose_its_devices_are() -> None:
    host = a_host(facts=replace(FACTS, topology=TOPOLOGY), tags=("ssd",), zone="row-1")
    view = with_parts(host_view(host, [CLAIM], 1), host, [CLAIM])
    assert view.cells == [
        {
            "id": 0,
            "memory_mib": 4096,
            "cpus": "0-3",
            "free_cpus": "0-1,3",
            "pages": [{"size_kib": 2048, "total": 512, "free": 256}],
        }
    ]
    assert view.devices is not None
    assert [(one["address"], one["instance"]) for one in view.devices] == [(VF.address, "web1")]
    assert (view.tags, view.zone, view.alarms) == (["ssd"], "row-1", [])


def test_a_device_that_vanished_from_under_its_guest_needs_attention_and_is_named() -> None:
    host = a_host(facts=replace(FACTS, topology=replace(TOPOLOGY, devices=())))
    view = host_view(host, [CLAIM], 1)
    assert view.alarms == [f"web1 has device {VF.address}, which the host lacks now"]
    assert view.needs_attention == view.alarms[0]
    assert host_view(a_host(facts=replace(FACTS, topology=TOPOLOGY)), [CLAIM], 1).alarms == []


def test_a_domain_that_does_not_live_there_is_shown_with_what_it_has() -> None:
    host = a_host(facts=replace(FACTS, topology=TOPOLOGY))
    stranger = replace(CLAIM, purpose=ClaimPurpose.FOREIGN)
    (sentence,) = with_parts(host_view(host, [stranger], 0), host, [stranger]).foreign
    assert "a domain of web1" in sentence
    assert f"CPU 2, device {VF.address}" in sentence


def test_a_host_that_has_not_described_its_parts_shows_none() -> None:
    view = with_parts(host_view(a_host(), [], 0), a_host(), [])
    assert (view.cells, view.devices) == (None, None)


def test_what_a_guest_has_and_the_host_lacks_is_an_alarm() -> None:
    assert vanished(TOPOLOGY, [CLAIM, replace(CLAIM, placement=None)]) == []
    (sentence,) = vanished(replace(TOPOLOGY, devices=()), [CLAIM])
    assert sentence.startswith("web1 has device 0000:3b:02.1")
    fewer = replace(TOPOLOGY, cells=(HostCell(0, 4096, ((0,), (1,)), (0,)),))
    (sentence,) = vanished(fewer, [CLAIM])
    assert "CPU 2" in sentence


def test_cpu_lists_are_written_as_they_are_read() -> None:
    for text in ("0", "0-3,8", "1,3,5-6", ""):
        assert listed(numbers_in(text)) == text
    assert numbers_in("0-7,^3-4") == (0, 1, 2, 5, 6, 7)
