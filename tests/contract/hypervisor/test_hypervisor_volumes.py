"""What every Hypervisor does with pools and volumes: the fake, and libvirt itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest

from migrator.errors import Refused
from migrator.messages import PlannedVolume, TransferPlan
from migrator.model import DiskFormat, DiskLayer
from migrator.storage.headers import HEAD_BYTES, Header, judge_header
from tests.contract.hypervisor_fixtures import (
    GuestWish,
    Transfer,
    World,
    plan,
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


# ---------------------------------------------------------------- what a disk stands on

ON_BASE = """
    <disk type='volume' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source pool='local' volume='contract-top'/>{chain}
      <target dev='vda' bus='virtio'/>
    </disk>"""
CHAIN = """<backingStore type='volume'><format type='raw'/>
<source pool='local' volume='contract-base'/><backingStore/></backingStore>"""
BASE = DiskLayer("raw", "local", "contract-base")


@pytest.fixture
def layered(world: World) -> Iterator[None]:
    """A disk and the base it stands on, on both hosts; empty."""
    top = wanted(volume="contract-top", format=DiskFormat.QCOW2, backing=BASE)
    for side in (world.source, world.destination):
        assert side.hypervisor.create_volume(wanted(volume="contract-base"))
        assert side.hypervisor.create_volume(top)
    yield
    for side in (world.source, world.destination):
        for instance in side.hypervisor.list_domains():
            side.hypervisor.destroy(instance.id)
        for name in ("contract-top", "contract-base"):
            side.hypervisor.delete_volume("local", name)


def with_disk(xml: str, source: str) -> str:
    """The domain's XML with another source for its disk, and what that stands on."""
    root = ElementTree.fromstring(xml)
    disk = root.find("devices/disk")
    assert disk is not None
    for child in [*disk.findall("source"), *disk.findall("backingStore")]:
        disk.remove(child)
    disk.set("type", "file" if "file=" in source else "volume")
    disk.extend([ElementTree.fromstring(source), ElementTree.fromstring(CHAIN)])
    return ElementTree.tostring(root, encoding="unicode")


def layered_plan(world: World, guest: str, source: str) -> TransferPlan:
    described = world.source.hypervisor.describe(guest)
    assert described is not None
    return plan(
        world,
        guest,
        "non_shared_inc",
        destination_xml=with_disk(described.live_xml, source),
        migrate_disks=["vda"],
        disks_uri=f"tcp://{world.destination.address}",
    )


def test_a_disk_on_a_base_moves_alone_into_one_on_the_same_base(
    world: World, layered: None
) -> None:
    guest = world.start(GuestWish(devices=ON_BASE.format(chain=CHAIN)))
    described = world.source.hypervisor.describe(guest)
    assert described is not None
    (disk,) = described.disks
    (layer,) = disk.chain
    assert (layer.format, layer.pool, layer.volume) == ("raw", "local", "contract-base")
    assert layer.path is not None
    head = world.destination.hypervisor.read_volume("local", "contract-top", 0, HEAD_BYTES)
    assert judge_header(head, "qcow2", [layer]) == Header(virtual_size=8 * MIB)
    path = layer.path.replace("contract-base", "contract-top")

    by_name = layered_plan(world, guest, "<source pool='local' volume='contract-top'/>")
    error = Transfer(world.source.hypervisor, guest, by_name).wait()
    assert error is not None
    assert "incremental storage migration is not supported" in error.message

    by_path = layered_plan(world, guest, f"<source file='{path}'/>")
    assert Transfer(world.source.hypervisor, guest, by_path).wait() is None
    there = world.destination.hypervisor.describe(guest)
    assert there is not None
    (arrived,) = there.disks
    assert (arrived.pool, arrived.volume) == ("local", "contract-top")
    assert arrived.chain == [layer]
    head = world.destination.hypervisor.read_volume("local", "contract-top", 0, HEAD_BYTES)
    assert judge_header(head, "qcow2", [layer]).tampered is None


def test_a_definition_that_does_not_say_what_a_disk_stands_on_is_told_from_one_that_does(
    world: World, layered: None
) -> None:
    for name, chain, stated in (("silent", "", False), ("told", CHAIN, True)):
        wish = GuestWish(name, running=False, devices=ON_BASE.format(chain=chain))
        described = world.source.hypervisor.describe(world.start(wish))
        assert described is not None
        assert described.disks[0].chain_stated is stated
