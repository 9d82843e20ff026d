"""Disks that stand on base images arrive standing on the same, and the base travels once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from migrator.compute_agent.disk_xml import disk_facts
from migrator.conductor.settings import ConductorSettings
from migrator.errors import Refused
from migrator.messages import AbortMigration, MigrationRef, WishInstance
from migrator.model import DiskFormat, DiskLayer
from migrator.rpc import Bus
from tests.fakes.hypervisor import FakeDisk
from tests.fakes.hypervisor_pools import FakePool, FakeStorage, FakeVolume
from tests.fakes.qcow2 import HEAD_BYTES, qcow2_head
from tests.functional.stories.fleet import ServiceUnderTest

MIB = 1024 * 1024
BASE = FakeVolume(b"base" * 1000, 64 * MIB, MIB)
ON_BASE = (("/local/base.img", "raw"),)


@pytest.fixture
def service(tmp_path: Path, bus: Bus) -> Iterator[ServiceUnderTest]:
    settings = ConductorSettings(
        name="c1", encryption="off", lease_s=3.0, delete_grace_s=0.1, cold_stop_s=0.2
    )
    with ServiceUnderTest(tmp_path, bus, settings=settings) as started:
        for host in started.fleet.hosts.values():
            host.pools.add(FakePool("local", FakeStorage(), "dir", "/local"))
        local(started, "h1")["base.img"] = FakeVolume(BASE.content, BASE.size, BASE.allocated)
        yield started


def local(service: ServiceUnderTest, host: str) -> dict[str, FakeVolume]:
    return service.host(host).pools["local"].storage.volumes


def real(volumes: dict[str, FakeVolume]) -> set[str]:
    """Without tokens and marks."""
    return {name for name in volumes if not name.startswith(".migrator")}


def overlay(written: bytes, base: str = "/local/base.img") -> FakeVolume:
    return FakeVolume(qcow2_head(64 * MIB, base) + written, 64 * MIB, MIB, DiskFormat.QCOW2)


def guest(service: ServiceUnderTest, name: str, **fields: Any) -> str:
    """On h1, with one disk that stands on the base."""
    local(service, "h1")[f"{name}-vda"] = overlay(name.encode())
    for host in service.fleet.hosts.values():
        host.refresh_pool("local")
    disk = FakeDisk("local", f"{name}-vda", format="qcow2", chain=fields.pop("chain", ON_BASE))
    return service.add_guest("h1", name, disks=[disk], **fields)


def moved(service: ServiceUnderTest, name: str, **fields: Any) -> Any:
    ended = service.wait(service.migrate(name, host="h2", **fields).id)
    assert ended.state == "completed", service.events(ended.id)
    return ended


def streamed(service: ServiceUnderTest) -> list[str]:
    """Volumes that left h1 as streams."""
    return [copy.source.volume for copy in service.host("h1").copied]


def test_the_base_is_brought_first_and_the_copy_stands_on_it(service: ServiceUnderTest) -> None:
    web1 = guest(service, "web1")
    ended = moved(service, "web1")
    there = local(service, "h2")
    assert set(there) == {"base.img", "web1-vda"}
    assert there["base.img"].content == BASE.content
    assert there["web1-vda"].content == qcow2_head(64 * MIB, "/local/base.img") + b"web1"
    assert real(local(service, "h1")) == {"base.img"}, "others may stand on a base"
    assert streamed(service) == ["base.img"]
    domain = service.host("h2").domains[web1]
    assert domain.live_xml is not None
    (disk,) = disk_facts(domain.live_xml)
    assert (disk.source_type, disk.path) == ("file", "/local/web1-vda")
    assert disk.chain == [DiskLayer("raw", "local", "base.img")]
    assert domain.inactive_xml is not None
    (defined,) = disk_facts(domain.inactive_xml)
    assert (defined.pool, defined.volume) == ("local", "web1-vda")
    assert defined.chain == disk.chain
    (shown,) = service.show_instance("web1").disks
    assert shown.chain == ["local/base.img (raw)"]
    (move,) = service.client.show_disks(MigrationRef(id=ended.id)).disks
    assert move.bases == ["local/base.img (raw), which is brought along"]


def test_a_base_that_is_there_is_proven_and_not_sent_again(service: ServiceUnderTest) -> None:
    for name in ("web1", "web2"):
        guest(service, name)
    moved(service, "web1")
    ended = moved(service, "web2")
    assert streamed(service) == ["base.img"]
    assert set(local(service, "h2")) == {"base.img", "web1-vda", "web2-vda"}
    (move,) = service.client.show_disks(MigrationRef(id=ended.id)).disks
    assert move.bases == ["local/base.img (raw), which is there"]
    assert any("holds the same" in line for line in service.events(ended.id))


def test_another_volume_of_the_bases_name_is_refused_and_survives(
    service: ServiceUnderTest,
) -> None:
    web1 = guest(service, "web1")
    local(service, "h2")["base.img"] = FakeVolume(b"precious", BASE.size, MIB)
    ended = service.wait(service.migrate("web1", host="h2").id)
    assert (ended.state, ended.error_code) == ("failed", "disk.base_differs")
    assert "--flatten" in (ended.error or "")
    assert local(service, "h2")["base.img"].content == b"precious"
    assert real(local(service, "h2")) == {"base.img"}
    assert service.running_on(web1) == ["h1"]
    assert real(local(service, "h1")) == {"base.img", "web1-vda"}


def test_a_whole_chain_goes_along_where_its_pools_have_the_same_paths(
    service: ServiceUnderTest,
) -> None:
    middle = qcow2_head(64 * MIB, "/local/base.img")
    local(service, "h1")["middle"] = FakeVolume(middle, 64 * MIB, MIB, DiskFormat.QCOW2)
    chain = (("/local/middle", "qcow2"), *ON_BASE)
    guest(service, "web1", chain=chain)
    local(service, "h1")["web1-vda"] = overlay(b"top", "/local/middle")
    ended = moved(service, "web1")
    assert not [line for line in service.events(ended.id) if "taken up again" in line]
    assert set(local(service, "h2")) == {"base.img", "middle", "web1-vda"}
    assert local(service, "h2")["middle"].content == middle
    (shown,) = service.show_instance("web1").disks
    assert shown.chain == ["local/middle (qcow2)", "local/base.img (raw)"]


def test_a_layer_whose_header_names_something_else_is_opened_by_nobody(
    service: ServiceUnderTest,
) -> None:
    middle = qcow2_head(64 * MIB, "/etc/shadow")
    local(service, "h1")["middle"] = FakeVolume(middle, 64 * MIB, MIB, DiskFormat.QCOW2)
    guest(service, "web1", chain=(("/local/middle", "qcow2"), *ON_BASE))
    local(service, "h1")["web1-vda"] = overlay(b"top", "/local/middle")
    with pytest.raises(Refused) as refusal:
        service.migrate("web1", host="h2")
    assert refusal.value.code == "disk.header_mismatch"
    assert "/etc/shadow" in refusal.value.message


def test_asked_to_the_copy_stands_alone_and_no_base_travels(service: ServiceUnderTest) -> None:
    web1 = guest(service, "web1")
    moved(service, "web1", flatten=True)
    assert set(local(service, "h2")) == {"web1-vda"}
    domain = service.host("h2").domains[web1]
    assert domain.live_xml is not None
    assert disk_facts(domain.live_xml)[0].chain == []


def test_an_abort_while_the_base_is_streamed_leaves_none_of_it(service: ServiceUnderTest) -> None:
    web1 = guest(service, "web1")
    service.fleet.hold()
    moving = service.migrate("web1", host="h2")
    service.until(lambda: "base.img" in local(service, "h2"))
    service.client.abort(AbortMigration(id=moving.id))
    assert service.wait(moving.id).state == "cancelled"
    assert real(local(service, "h2")) == set()
    assert not [name for name in local(service, "h2") if "made" in name]
    assert service.running_on(web1) == ["h1"]


def test_switched_off_it_moves_with_the_base_that_was_recorded_while_it_ran(
    service: ServiceUnderTest,
) -> None:
    """Its definition does not say what its disk stands on: libvirt finds that out at each start."""
    web1 = guest(service, "web1", persistent=True)
    domain = service.host("h1").domains[web1]
    assert domain.inactive_xml is not None
    head, _, rest = domain.inactive_xml.partition("<backingStore type")
    domain.inactive_xml = head + rest.partition("</backingStore>")[2]
    assert not disk_facts(domain.inactive_xml)[0].chain_stated
    service.until(lambda: bool(service.show_instance("web1").disks))
    service.host("h1").power_off(web1)
    service.until(lambda: service.show_instance("web1").status == "shutoff")
    moved(service, "web1", kind="cold")
    there = local(service, "h2")
    assert set(there) == {"base.img", "web1-vda"}
    assert there["web1-vda"].content[:HEAD_BYTES] == qcow2_head(64 * MIB, "/local/base.img")
    assert streamed(service) == ["base.img", "web1-vda"]
    defined = service.host("h2").domains[web1].inactive_xml
    assert defined is not None
    assert disk_facts(defined)[0].chain == [DiskLayer("raw", "local", "base.img")]


def test_switched_off_it_stays_where_the_pools_have_other_paths(
    service: ServiceUnderTest,
) -> None:
    guest(service, "web1")
    service.host("h2").pools["local"].path = "/mnt/local"
    with pytest.raises(Refused) as refusal:
        service.migrate("web1", host="h2", kind="cold")
    assert refusal.value.code == "disk.backing_missing"
    assert "another path" in refusal.value.message
    moved(service, "web1")
    head = local(service, "h2")["web1-vda"].content[:HEAD_BYTES]
    assert head == qcow2_head(64 * MIB, "/mnt/local/base.img")


def test_what_cannot_be_had_at_the_destination_is_refused_before_anything_starts(
    service: ServiceUnderTest,
) -> None:
    guest(service, "web1", chain=(("/elsewhere/base.img", "raw"),))
    local(service, "h1")["web1-vda"] = overlay(b"", "/elsewhere/base.img")
    with pytest.raises(Refused) as refusal:
        service.migrate("web1", host="h2")
    assert refusal.value.code == "disk.backing_missing"
    assert "no storage pool" in refusal.value.message
    assert real(local(service, "h2")) == set()


CD = """
    <disk type='file' device='cdrom'>
      <driver name='qemu' type='raw'/>
      <source file='/local/debian.iso'/>
      <target dev='sda' bus='sata'/>
      <readonly/>
    </disk>"""


def test_a_medium_only_its_host_has_is_brought_along_and_stays_on_both(
    service: ServiceUnderTest,
) -> None:
    local(service, "h1")["debian.iso"] = FakeVolume(b"iso", MIB, MIB)
    web1 = guest(service, "web1", devices=CD)
    ended = moved(service, "web1")
    assert local(service, "h2")["debian.iso"].content == b"iso"
    assert local(service, "h1")["debian.iso"].content == b"iso"
    domain = service.host("h2").domains[web1]
    assert domain.live_xml is not None
    disks = {disk.target: disk for disk in disk_facts(domain.live_xml)}
    assert (disks["sda"].pool, disks["sda"].volume) == ("local", "debian.iso")
    assert disks["sda"].read_only
    moves = service.client.show_disks(MigrationRef(id=ended.id)).disks
    assert [(move.target, move.mode) for move in moves] == [("vda", "copy"), ("sda", "skip")]
    records = {disk.target: disk for disk in service.show_instance("web1").disks}
    assert (records["sda"].pool, records["sda"].volume) == ("local", "debian.iso")


def test_a_scratch_disk_is_made_anew_when_its_guest_is_off_and_copied_when_it_runs(
    service: ServiceUnderTest,
) -> None:
    web1 = guest(service, "web1", persistent=True)
    service.until(lambda: bool(service.show_instance("web1").disks))
    service.client.wish(WishInstance(instance="web1", scratch=["vda"]))
    assert service.show_instance("web1").wishes.scratch == ("vda",)
    moved(service, "web1")
    assert local(service, "h2")["web1-vda"].content.endswith(b"web1")
    ended = service.wait(service.migrate("web1", host="h1", kind="cold").id)
    assert ended.state == "completed", service.events(ended.id)
    assert local(service, "h1")["web1-vda"].content == qcow2_head(64 * MIB)
    assert "web1-vda" not in local(service, "h2")
    assert [copy.source.volume for copy in service.host("h2").copied] == []
    (move,) = service.client.show_disks(MigrationRef(id=ended.id)).disks
    assert move.mode == "recreate"
    assert service.running_on(web1) == ["h1"]
    (shown,) = service.show_instance("web1").disks
    assert shown.chain == []
