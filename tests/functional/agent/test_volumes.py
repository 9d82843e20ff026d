"""Volumes an agent makes for a migration, knows again, and takes away; each op twice."""

from __future__ import annotations

import pytest

from migrator.errors import Refused, Transient
from migrator.messages import PlannedVolume
from migrator.model import DiskFormat
from tests.fakes.hypervisor_pools import FakePool, FakeStorage, FakeVolume
from tests.functional.agent.world import World

MIB = 1024 * 1024
OTHER = "7a52c0de-0000-4000-8000-000000000002"
WANTED = PlannedVolume(pool="local", volume="web1-vda", format=DiskFormat.RAW, virtual_size=8 * MIB)
DISK = {"create": [WANTED], "disk_address": "10.2.0.2"}


@pytest.fixture
def there(world: World) -> FakeStorage:
    """What is behind the destination's pool."""
    storage = FakeStorage()
    world.h2.host.pools.add(FakePool("local", storage, "dir", "/local"))
    return storage


def test_volumes_are_made_once_and_disks_have_an_address_of_their_own(
    world: World, there: FakeStorage
) -> None:
    for _ in range(2):
        assert world.h2.prepare(**DISK).disks_uri == "tcp://10.2.0.2"
    assert there.volumes["web1-vda"].size == 8 * MIB
    assert world.h2.prepare().disks_uri is None


def test_an_agent_that_restarted_knows_the_volumes_of_its_migration_again(
    world: World, there: FakeStorage
) -> None:
    world.h2.prepare(**DISK)
    world.h2.restart()
    world.h2.prepare(**DISK)
    assert world.h2.undo(created=[WANTED]).removed == ["volume web1-vda in pool local"]
    assert there.volumes == {}
    assert world.h2.undo(created=[WANTED]).removed == []


def test_a_volume_that_was_there_before_is_refused_and_survives(
    world: World, there: FakeStorage
) -> None:
    mine = there.volumes["web1-vda"] = FakeVolume(content=b"precious")
    for _ in range(2):
        with pytest.raises(Refused) as refusal:
            world.h2.prepare(**DISK)
        assert refusal.value.code == "volume.exists"
    assert world.h2.undo(created=[WANTED]).removed == []
    assert there.volumes == {"web1-vda": mine}


def test_a_volume_of_another_migration_is_refused_and_survives(
    world: World, there: FakeStorage
) -> None:
    world.h2.prepare(**DISK)
    with pytest.raises(Refused) as refusal:
        world.h2.prepare(migration_id=OTHER, **DISK)
    assert refusal.value.code == "volume.exists"
    assert world.h2.undo(migration_id=OTHER, created=[WANTED]).removed == []
    assert "web1-vda" in there.volumes


def test_a_volume_that_could_not_be_made_leaves_nothing_to_be_found(
    world: World, there: FakeStorage
) -> None:
    there.read_only = True
    with pytest.raises(Transient):
        world.h2.prepare(**DISK)
    there.read_only = False
    assert world.h2.undo(created=[WANTED]).removed == []
    assert there.volumes == {}


def test_a_pool_that_cannot_hold_it_is_refused_and_nothing_is_left(world: World) -> None:
    storage = FakeStorage()
    world.h2.host.pools.add(FakePool("vg", storage, "logical"))
    cow = PlannedVolume(pool="vg", volume="v", format=DiskFormat.QCOW2, virtual_size=MIB)
    with pytest.raises(Refused) as refusal:
        world.h2.prepare(create=[cow], disk_address="10.2.0.2")
    assert refusal.value.code == "pool.cannot"
    assert storage.volumes == {}


def test_room_that_somebody_took_meanwhile_is_a_stale_claim_and_nothing_is_made(
    world: World, there: FakeStorage
) -> None:
    there.capacity = 16 * MIB
    world.h2.prepare(**DISK, pool_bytes={"local": 16 * MIB})
    world.h2.undo(created=[WANTED])
    there.volumes["strangers"] = FakeVolume(size=MIB, allocated=MIB)
    with pytest.raises(Refused) as refusal:
        world.h2.prepare(**DISK, pool_bytes={"local": 16 * MIB})
    assert refusal.value.code == "claim.stale"
    assert "pool local" in refusal.value.message
    assert list(there.volumes) == ["strangers"]


def test_what_was_made_with_room_for_it_is_not_counted_against_itself(
    world: World, there: FakeStorage
) -> None:
    there.capacity = 16 * MIB
    world.h2.prepare(**DISK, pool_bytes={"local": 16 * MIB})
    there.volumes["web1-vda"].allocated = 8 * MIB
    world.h2.restart()
    assert world.h2.prepare(**DISK, pool_bytes={"local": 16 * MIB}).disks_uri


def test_what_arrived_is_kept_whatever_comes_later(world: World, there: FakeStorage) -> None:
    world.h2.prepare(**DISK)
    world.h1.start(world.h2)
    world.until(world.arrived)
    for _ in range(2):
        world.h2.finish(created=[WANTED])
    assert list(there.volumes) == ["web1-vda"]
    world.h2.undo(created=[WANTED])
    assert list(there.volumes) == ["web1-vda"]


def test_a_guest_brought_by_other_hands_keeps_the_volumes_it_runs_from(
    world: World, there: FakeStorage
) -> None:
    world.h2.prepare(**DISK)
    world.add_guest(world.h2, id=world.guest)
    world.h2.undo(created=[WANTED])
    assert "web1-vda" in there.volumes


def test_a_pool_that_is_gone_holds_nothing_to_undo(world: World) -> None:
    assert world.h2.undo(created=[WANTED]).removed == []


def test_volumes_that_were_copied_away_are_deleted_once(world: World, there: FakeStorage) -> None:
    there.volumes["web1-vda"] = FakeVolume()
    there.volumes["other"] = FakeVolume()
    volume = ("local", "web1-vda")
    assert world.h2.delete_volumes(volume).removed == ["volume web1-vda in pool local"]
    assert world.h2.delete_volumes(volume).removed == []
    assert list(there.volumes) == ["other"]


def test_no_volume_is_deleted_while_the_guest_has_a_domain_here(world: World) -> None:
    storage = FakeStorage({"web1-vda": FakeVolume()})
    world.h1.host.pools.add(FakePool("local", storage, "dir", "/local"))
    with pytest.raises(Refused) as refusal:
        world.h1.delete_volumes(("local", "web1-vda"))
    assert refusal.value.code == "volume.in_use"
    assert "web1-vda" in storage.volumes
