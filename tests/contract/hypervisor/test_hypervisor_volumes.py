"""What every Hypervisor does with pools and volumes: the fake, and libvirt itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from migrator.errors import Refused
from migrator.messages import PlannedVolume
from migrator.model import DiskFormat, DiskLayer
from tests.contract.hypervisor_fixtures import (
    GuestWish,
    World,
)

MIB = 1024 * 1024


def wanted(**fields: Any) -> PlannedVolume:
    """A volume to be made in pool ``local``."""
    made = {"pool": "local", "volume": "contract-made", "format": DiskFormat.RAW}
    return PlannedVolume(**{**made, "virtual_size": 8 * MIB, **fields})


@pytest.fixture
def made(world: World) -> Iterator[PlannedVolume]:
    """One that is there, and is not afterwards."""
    volume = wanted()
    assert world.destination.hypervisor.create_volume(volume)
    yield volume
    world.destination.hypervisor.delete_volume(volume.pool, volume.volume)


def test_a_volume_is_made_sparse_with_its_exact_size_and_deleted(world: World) -> None:
    host, volume = world.destination.hypervisor, wanted()
    assert host.volume_info("local", "contract-made") is None
    assert host.create_volume(volume)
    info = host.volume_info("local", "contract-made")
    assert info is not None
    assert info.length == 8 * MIB
    assert info.allocated < MIB
    assert host.delete_volume("local", "contract-made")
    assert not host.delete_volume("local", "contract-made")
    assert host.volume_info("local", "contract-made") is None


def test_a_volume_of_that_name_is_neither_made_again_nor_touched(
    world: World, made: PlannedVolume
) -> None:
    host = world.destination.hypervisor
    assert not host.create_volume(msgspec.structs.replace(made, virtual_size=MIB))
    info = host.volume_info(made.pool, made.volume)
    assert info is not None
    assert info.length == 8 * MIB


def test_a_volume_another_host_made_is_seen_before_it_is_made_again(world: World) -> None:
    volume = wanted(pool="shared")
    world.destination.hypervisor.refresh_pool("shared")
    assert world.source.hypervisor.create_volume(volume)
    assert not world.destination.hypervisor.create_volume(volume)
    assert world.destination.hypervisor.delete_volume("shared", volume.volume)
    assert not world.source.hypervisor.delete_volume("shared", volume.volume)


def test_a_qcow2_volume_is_small_while_it_is_empty(world: World) -> None:
    host = world.destination.hypervisor
    assert host.create_volume(wanted(format=DiskFormat.QCOW2, virtual_size=1024 * MIB))
    info = host.volume_info("local", "contract-made")
    assert info is not None
    assert info.length < MIB
    assert host.delete_volume("local", "contract-made")


def test_the_bytes_of_a_volume_are_read_where_they_are_asked_for(
    world: World, made: PlannedVolume
) -> None:
    host = world.destination.hypervisor
    assert host.read_volume(made.pool, made.volume, 4096, 512) == bytes(512)
    with pytest.raises(Refused) as refusal:
        host.read_volume(made.pool, "contract-nope", 0, 1)
    assert refusal.value.code == "volume.missing"


def test_a_volume_that_shall_stand_on_one_that_is_not_there_is_refused(world: World) -> None:
    base = DiskLayer("raw", "local", "contract-nope")
    with pytest.raises(Refused) as refusal:
        world.destination.hypervisor.create_volume(wanted(format=DiskFormat.QCOW2, backing=base))
    assert refusal.value.code == "volume.missing"


def test_pools_tell_their_kind_their_room_and_what_they_cannot_do(world: World) -> None:
    pools = {pool.name: pool for pool in world.source.hypervisor.pool_facts()}
    assert {"local", "shared"} <= pools.keys()
    local = pools["local"]
    assert local.kind == "dir"
    assert local.path
    assert 0 < local.available <= local.capacity
    assert local.formats == (DiskFormat.RAW, DiskFormat.QCOW2)
    assert local.lacks == ()


def test_a_running_guests_disk_has_the_size_its_qemu_sees(world: World) -> None:
    world.make_volume("contract-vda")
    described = world.source.hypervisor.describe(world.start(GuestWish(volume="contract-vda")))
    assert described is not None
    (disk,) = described.disks
    assert disk.virtual_size == 4 * MIB
    assert disk.allocated is not None
    assert disk.written is not None
    assert (disk.format, disk.bus, disk.chain) == ("raw", "virtio", [])


def test_in_a_pool_that_is_not_there_nothing_can_be_done(world: World) -> None:
    host = world.source.hypervisor
    verbs = (
        lambda: host.volume_info("nope", "v"),
        lambda: host.read_volume("nope", "v", 0, 1),
        lambda: host.create_volume(wanted(pool="nope")),
        lambda: host.delete_volume("nope", "v"),
    )
    for verb in verbs:
        with pytest.raises(Refused) as refusal:
            verb()
        assert refusal.value.code == "pool.missing"
