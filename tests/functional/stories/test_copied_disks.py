"""Guests whose disks are not shared move with their disks."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from migrator.compute_agent.disk_xml import disk_facts
from migrator.conductor.settings import ConductorSettings
from migrator.errors import Refused
from migrator.messages import AbortMigration, Empty, Migrate, MigrationRef, PoolRef
from migrator.model import DiskFormat
from migrator.rpc import Bus
from tests.fakes.hypervisor import FakeDisk
from tests.fakes.hypervisor_pools import FakePool, FakeStorage, FakeVolume
from tests.fakes.qcow2 import qcow2_head
from tests.functional.stories.fleet import ServiceUnderTest

MIB = 1024 * 1024
COW = qcow2_head(128 * MIB)
MIXED = (
    FakeDisk("local", "web1-vda"),
    FakeDisk("local", "web1-vdb", "vdb", "qcow2", "writeback"),
    FakeDisk("shared", "web1-vdc", "vdc"),
)


@pytest.fixture
def service(tmp_path: Path, bus: Bus) -> Iterator[ServiceUnderTest]:
    settings = ConductorSettings(
        name="c1",
        encryption="off",
        lease_s=3.0,
        delete_grace_s=0.1,
        pool_classes={"local": "slow", "fast": "quick", "swift": "quick"},
    )
    with ServiceUnderTest(tmp_path, bus, settings=settings) as started:
        for host in started.fleet.hosts.values():
            host.pools.add(FakePool("local", FakeStorage(), "dir", "/local"))
        for name in started.fleet.hosts:
            until_known(started, name, "local")
        yield started


@pytest.fixture
def guest(service: ServiceUnderTest) -> str:
    """With two local disks and a shared one, on h1."""
    content = {
        "web1-vda": FakeVolume(b"raw", 64 * MIB, 8 * MIB),
        "web1-vdb": FakeVolume(COW, 128 * MIB, MIB, DiskFormat.QCOW2),
    }
    local(service, "h1").update(content)
    service.host("h1").pools["shared"].storage.volumes["web1-vdc"] = FakeVolume(b"shared")
    for host in service.fleet.hosts.values():
        for pool in ("local", "shared"):
            host.refresh_pool(pool)
    return service.add_guest("h1", "web1", disks=MIXED)


def local(service: ServiceUnderTest, host: str) -> dict[str, FakeVolume]:
    return service.host(host).pools["local"].storage.volumes


def real(volumes: dict[str, FakeVolume]) -> set[str]:
    """Without tokens and marks."""
    return {name for name in volumes if not name.startswith(".migrator")}


def test_local_disks_are_copied_shared_ones_attached_and_the_source_is_cleaned(
    service: ServiceUnderTest, guest: str
) -> None:
    shared = service.host("h1").pools["shared"].storage.volumes
    ended = service.wait(service.migrate("web1", host="h2").id)
    assert ended.state == "completed", service.events(ended.id)
    assert service.running_on(guest) == ["h2"]
    there = local(service, "h2")
    assert set(there) == {"web1-vda", "web1-vdb"}
    assert there["web1-vda"].content == b"raw"
    assert (there["web1-vda"].size, there["web1-vda"].format) == (64 * MIB, DiskFormat.RAW)
    assert there["web1-vdb"].content == COW
    assert (there["web1-vdb"].size, there["web1-vdb"].format) == (128 * MIB, DiskFormat.QCOW2)
    assert real(local(service, "h1")) == set()
    assert real(shared) == {"web1-vdc"}
    disks = service.client.show_disks(MigrationRef(id=ended.id)).disks
    assert [(disk.target, disk.mode, disk.remaining) for disk in disks] == [
        ("vda", "copy", 0),
        ("vdb", "copy", 0),
        ("vdc", "shared", None),
    ]
    assert disks[0].destination == "local/web1-vda"
    assert any(
        "disk vda is copied from local/web1-vda" in line for line in service.events(ended.id)
    )


def test_and_back_again(service: ServiceUnderTest, guest: str) -> None:
    for to in ("h2", "h1"):
        ended = service.wait(service.migrate("web1", host=to).id)
        assert ended.state == "completed", service.events(ended.id)
    assert set(real(local(service, "h1"))) == {"web1-vda", "web1-vdb"}
    assert real(local(service, "h2")) == set()


def test_the_definition_keeps_the_owners_settings_and_the_running_guest_its_holes(
    service: ServiceUnderTest, guest: str
) -> None:
    service.wait(service.migrate("web1", host="h2").id)
    domain = service.host("h2").domains[guest]
    assert domain.live_xml is not None
    assert domain.inactive_xml is not None
    running = [(disk.discard, disk.detect_zeroes) for disk in disk_facts(domain.live_xml)]
    assert running == [("unmap", "unmap"), ("unmap", "unmap"), (None, None)]
    assert {disk.detect_zeroes for disk in disk_facts(domain.inactive_xml)} == {None}


def test_an_abort_in_the_disk_phase_leaves_no_volume_behind(
    service: ServiceUnderTest, guest: str
) -> None:
    service.fleet.hold_disks()
    moving = service.migrate("web1", host="h2")
    service.until(lambda: service.show(moving.id).phase == "disk")
    seen = service.show(moving.id)
    assert seen.disk_total == 192 * MIB
    assert 0 < (seen.disk_remaining or 0) <= 192 * MIB
    disks = service.client.show_disks(MigrationRef(id=moving.id)).disks
    assert [disk.remaining is not None for disk in disks] == [True, True, False]
    service.client.abort(AbortMigration(id=moving.id))
    assert service.wait(moving.id).state == "cancelled"
    assert service.running_on(guest) == ["h1"]
    assert real(local(service, "h2")) == set()
    assert not [name for name in local(service, "h2") if "made" in name]
    assert real(local(service, "h1")) == {"web1-vda", "web1-vdb"}


def test_a_guest_that_outruns_the_copy_of_its_disks_waits_for_it_at_a_second_attempt(
    service: ServiceUnderTest, guest: str
) -> None:
    service.fleet.restless_disks = True
    ended = service.wait(service.migrate("web1", host="h2").id)
    assert ended.state == "completed", service.events(ended.id)
    assert (ended.actions[0].action, ended.actions[0].rule) == ("restart", "mirror_lags")
    assert any("each write waits" in event for event in service.events(ended.id))
    assert service.running_on(guest) == ["h2"]
    assert real(local(service, "h1")) == set()
    assert {n: v.content for n, v in local(service, "h2").items()} == {
        "web1-vda": b"raw",
        "web1-vdb": COW,
    }


def test_a_guest_that_is_known_to_write_fast_waits_at_once_and_is_not_started_again_for_it(
    service: ServiceUnderTest, guest: str
) -> None:
    service.host("h1").disk_writes = lambda _: {"vda": 10**12}  # type: ignore[method-assign]
    service.fleet.hold_disks()
    migration = service.migrate("web1", host="h2").id
    service.wait_for_state(migration, "running")
    transfer = service.agents["h1"][0].transfers.of_instance(guest)
    assert transfer is not None
    service.until(lambda: transfer.policy is not None)
    assert transfer.policy is not None
    assert "non_shared_synchronous_writes" not in transfer.policy.restart_with
    service.fleet.release()
    assert service.wait(migration).state == "completed"
    assert any("each write waits" in event for event in service.events(migration))


def test_a_pool_that_fills_up_rolls_back(service: ServiceUnderTest, guest: str) -> None:
    service.fleet.hold_disks()
    moving = service.migrate("web1", host="h2")
    service.until(lambda: service.show(moving.id).phase == "disk")
    service.host("h2").pools["local"].storage.capacity = MIB
    service.fleet.release()
    ended = service.wait(moving.id)
    assert (ended.state, ended.error_code) == ("failed", "transfer.failed")
    assert service.running_on(guest) == ["h1"]
    assert real(local(service, "h2")) == set()
    assert real(local(service, "h1")) == {"web1-vda", "web1-vdb"}


def test_a_pool_that_is_too_small_is_refused_before_anything_starts(
    service: ServiceUnderTest, guest: str
) -> None:
    service.host("h2").pools["local"].storage.capacity = 100 * MIB
    refusal = refused(service, host="h2")
    assert refusal.code == "pool.full"
    assert real(local(service, "h2")) == set()


def test_a_strangers_volume_is_refused_and_survives(service: ServiceUnderTest, guest: str) -> None:
    mine = local(service, "h2")["web1-vda"] = FakeVolume(b"precious")
    assert refused(service, host="h2").code == "volume.exists"
    assert local(service, "h2")["web1-vda"] is mine


def test_a_disk_goes_to_the_pool_that_was_asked_for(service: ServiceUnderTest, guest: str) -> None:
    fast = FakeStorage()
    service.host("h2").pools.add(FakePool("fast", fast, "dir", "/fast"))
    until_known(service, "h2", "fast")
    ended = service.wait(service.migrate("web1", host="h2", disk_pools={"vda": "fast"}).id)
    assert ended.state == "completed", service.events(ended.id)
    assert real(fast.volumes) == {"web1-vda"}
    assert real(local(service, "h2")) == {"web1-vdb"}


def test_a_shared_disk_is_copied_when_another_pool_is_asked_for(
    service: ServiceUnderTest, guest: str
) -> None:
    ended = service.wait(service.migrate("web1", host="h2", disk_pools={"vdc": "local"}).id)
    assert ended.state == "completed", service.events(ended.id)
    assert "web1-vdc" in local(service, "h2")
    assert real(service.host("h1").pools["shared"].storage.volumes) == set()


def test_a_pool_or_a_disk_that_is_not_there_is_refused(
    service: ServiceUnderTest, guest: str
) -> None:
    assert refused(service, host="h2", disk_pools={"vda": "nope"}).code == "pool.missing"
    assert refused(service, host="h2", disk_pools={"vdz": "local"}).code == "disk.unknown"


def test_a_dry_run_says_what_becomes_of_each_disk(service: ServiceUnderTest, guest: str) -> None:
    answer = service.client.dry_run(Migrate(instance="web1"))
    (verdict,) = [each for each in answer.hosts if each.host == "h2"]
    assert [(disk.target, disk.mode) for disk in verdict.disks] == [
        ("vda", "copy"),
        ("vdb", "copy"),
        ("vdc", "shared"),
    ]


def test_an_instances_disks_are_recorded_when_it_is_adopted_and_follow_it(
    service: ServiceUnderTest, guest: str
) -> None:
    def recorded() -> list[tuple[str, str | None, str | None, str, int | None]]:
        return [
            (disk.target, disk.pool, disk.volume, disk.format, disk.virtual_size)
            for disk in service.show_instance("web1").disks
        ]

    service.until(lambda: bool(recorded()))
    assert recorded() == [
        ("vda", "local", "web1-vda", "raw", 64 * MIB),
        ("vdb", "local", "web1-vdb", "qcow2", 128 * MIB),
        ("vdc", "shared", "web1-vdc", "raw", 4 * MIB),
    ]
    service.host("h2").pools.add(FakePool("fast", FakeStorage(), "dir", "/fast"))
    until_known(service, "h2", "fast")
    ended = service.wait(service.migrate("web1", host="h2", disk_pools={"vda": "fast"}).id)
    assert ended.state == "completed"
    assert [disk[1] for disk in recorded()] == ["fast", "local", "shared"]


def test_a_poisoned_raw_disk_raises_an_alarm_and_stays_raw(
    service: ServiceUnderTest, guest: str
) -> None:
    poison = qcow2_head(1024 * MIB, "/etc/shadow")
    local(service, "h1")["web1-vda"].content = poison
    ended = service.wait(service.migrate("web1", host="h2").id)
    assert ended.state == "completed", service.events(ended.id)
    copy = local(service, "h2")["web1-vda"]
    assert (copy.content, copy.format, copy.size) == (poison, DiskFormat.RAW, 64 * MIB)
    assert any("disk.header_suspicious" in line for line in service.events(ended.id))


def test_a_qcow2_that_names_another_file_than_its_definition_is_refused(
    service: ServiceUnderTest, guest: str
) -> None:
    local(service, "h1")["web1-vdb"].content = qcow2_head(128 * MIB, "/etc/shadow")
    refusal = refused(service, host="h2")
    assert refusal.code == "disk.header_mismatch"
    assert "/etc/shadow" in refusal.message
    assert real(local(service, "h2")) == set()


def test_a_volume_that_is_run_in_another_format_than_recorded_is_refused(
    service: ServiceUnderTest, guest: str
) -> None:
    service.until(lambda: bool(service.show_instance("web1").disks))
    domain = service.host("h1").domains[guest]
    assert domain.live_xml is not None
    domain.live_xml = domain.live_xml.replace("type='qcow2'", "type='raw'").replace(
        'type="qcow2"', 'type="raw"'
    )
    assert refused(service, host="h2").code == "disk.record_mismatch"


def test_pools_are_listed_with_their_room_and_what_is_kept(
    service: ServiceUnderTest, guest: str
) -> None:
    service.host("h1").pools.add(FakePool("vg", FakeStorage(), "logical"))
    until_known(service, "h1", "vg")
    assert len(service.client.list_pools(Empty()).pools) == 5
    (vg,) = service.client.show_pool(PoolRef(name="vg")).hosts
    assert (vg.host, vg.kind, vg.formats) == ("h1", "logical", ["raw"])
    assert vg.lacks
    service.fleet.hold_disks()
    moving = service.migrate("web1", host="h2")
    service.until(lambda: service.show(moving.id).phase == "disk")
    shown = service.client.show_pool(PoolRef(name="local"))
    assert shown.class_tag == "slow"
    assert {pool.host: pool.claimed for pool in shown.hosts} == {"h1": 0, "h2": 192 * MIB}
    service.fleet.release()
    service.wait(moving.id)
    shown = service.client.show_pool(PoolRef(name="local"))
    assert {pool.claimed for pool in shown.hosts} == {0}
    with pytest.raises(Refused) as refusal:
        service.client.show_pool(PoolRef(name="nope"))
    assert refusal.value.code == "pool.unknown"


def test_room_that_a_stranger_takes_at_the_last_moment_makes_it_another_host(
    tmp_path: Path, bus: Bus
) -> None:
    with ServiceUnderTest(tmp_path, bus, hosts=3) as service:
        for host in service.fleet.hosts.values():
            host.pools.add(FakePool("local", FakeStorage(capacity=100 * MIB), "dir", "/local"))
        for name in service.fleet.hosts:
            until_known(service, name, "local")
        local(service, "h1")["web1-vda"] = FakeVolume(b"raw", 64 * MIB, 8 * MIB)
        service.host("h1").refresh_pool("local")
        service.add_guest("h1", "web1", disks=(FakeDisk("local", "web1-vda"),))
        busy = service.host("h2")
        active, looks = busy.active_networks, itertools.count()

        def look() -> Sequence[str]:
            """Asked by each check, and last when the host is made ready."""
            if next(looks) == 2:
                local(service, "h2")["strangers"] = FakeVolume(b"", 64 * MIB, 64 * MIB)
            return active()

        busy.active_networks = look  # type: ignore[method-assign]
        ended = service.wait(service.migrate("web1").id)
        story = "\n".join(service.events(ended.id))
        assert (ended.state, ended.destination) == ("completed", "h3"), story
        assert "the room that was claimed on h2 is taken by now" in story
        assert list(local(service, "h2")) == ["strangers"]


def test_hosts_without_the_pool_or_without_room_in_it_are_left_out_before_they_are_asked(
    service: ServiceUnderTest, guest: str
) -> None:
    service.host("h2").pools.add(FakePool("fast", FakeStorage(capacity=100 * MIB), "dir", "/fast"))
    until_known(service, "h2", "fast")
    service.host("h2").fails["write_pool_identity"] = AssertionError("was asked")
    told = {}
    for pool in ("fast", "nope"):
        wish = {"vda": pool, "vdb": pool}
        (verdict,) = service.client.dry_run(
            Migrate(instance="web1", host="h2", disk_pools=wish)
        ).hosts
        told[pool] = [(refusal.filter, refusal.code) for refusal in verdict.refusals]
    assert told == {"fast": [("pool_bytes", "pool.full")], "nope": [("pools", "pool.missing")]}


def until_known(service: ServiceUnderTest, host: str, pool: str) -> None:
    """A conductor has heard of it."""
    service.until(
        lambda: (
            (host, pool)
            in [(each.host, each.name) for each in service.client.list_pools(Empty()).pools]
        )
    )


def refused(service: ServiceUnderTest, **fields: Any) -> Refused:
    with pytest.raises(Refused) as refusal:
        service.migrate("web1", **fields)
    return refusal.value
