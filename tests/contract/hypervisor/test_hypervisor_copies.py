"""What every Hypervisor does with the contents of volumes: the fake, and libvirt on two hosts."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import pytest

from migrator.errors import MigratorError
from migrator.messages import PlannedVolume
from migrator.model import CopySample, DiskFormat, Range, VolumeCopy, VolumeDigest, VolumeRef
from migrator.storage.ranges import difference, plan_ranges
from tests.contract.hypervisor_fixtures import (
    World,
    eventually,
)

MIB = 1024 * 1024
SIZE = 160 * MIB
"""Three ranges."""
PARTS = {0: b"begin" * 1000, 70 * MIB: b"x" * 3 * MIB, SIZE - 512: b"end!" * 128}
SOURCE, COPY = VolumeRef("local", "copied"), VolumeRef("local", "copied")


class Watch:
    """What a copy tells; and the sign to end it."""

    def __init__(self) -> None:
        self.stopped = False
        self.bandwidth: int | None = None
        self.samples: list[CopySample] = []

    def moved(self, sample: CopySample) -> None:
        self.samples.append(sample)


@pytest.fixture
def world(world: World) -> Iterator[World]:
    """A volume with content on the source, an empty one of its size on the destination."""
    for side in (world.source, world.destination):
        side.hypervisor.create_volume(
            PlannedVolume(pool="local", volume="copied", format=DiskFormat.RAW, virtual_size=SIZE)
        )
    world.fill(world.source, SOURCE, PARTS)
    yield world
    for side in (world.source, world.destination):
        eventually(side.connected)
        side.hypervisor.delete_volume("local", "copied")


def copies(proven: VolumeDigest | None = None) -> list[VolumeCopy]:
    known = None if proven is None else proven.ranges
    return [VolumeCopy(SOURCE, COPY, plan_ranges(SIZE), known)]


def copy(world: World, wanted: Sequence[VolumeCopy], watch: Watch | None = None) -> VolumeDigest:
    source, peer = world.source.hypervisor, world.destination.peer_uri
    (held,) = source.copy_volumes(peer, wanted, watch or Watch())
    return held


def digest(world: World) -> VolumeDigest:
    """Of the copy, read at the destination."""
    wanted: list[tuple[VolumeRef, tuple[Range, ...]]] = [(COPY, plan_ranges(SIZE))]
    (found,) = world.destination.hypervisor.digest_volumes(wanted, Watch())
    return found


def test_a_copy_holds_what_the_source_holds_and_is_as_sparse(world: World) -> None:
    held = copy(world, copies())
    arrived = digest(world)
    assert difference(held, arrived) is None
    assert held.size == SIZE
    assert arrived.allocated <= held.allocated + 64 * 1024


def test_nothing_is_a_copy_before_it_is_copied(world: World) -> None:
    (held,) = world.source.hypervisor.digest_volumes([(SOURCE, plan_ranges(SIZE))], Watch())
    assert difference(held, digest(world)) is not None


def test_progress_ends_at_the_whole(world: World) -> None:
    watch = Watch()
    copy(world, copies(), watch)
    assert watch.samples[-1].total == SIZE
    assert max(sample.done for sample in watch.samples) == SIZE


def test_a_copy_taken_up_again_repairs_what_differs(world: World) -> None:
    copy(world, copies())
    world.fill(world.destination, COPY, {MIB: b"damage" * 100, 80 * MIB: b"stray"})
    proven = digest(world)
    held = copy(world, copies(proven))
    assert difference(held, digest(world)) is None


def test_a_copy_taken_up_again_sends_only_what_is_missing(world: World) -> None:
    copy(world, copies())
    watch = Watch()
    copy(world, copies(digest(world)), watch)
    assert watch.samples[-1].sent == 0


def test_a_copy_that_is_told_to_end_ends(world: World) -> None:
    watch = Watch()
    watch.stopped = True
    with pytest.raises(MigratorError) as caught:
        copy(world, copies(), watch)
    assert caught.value.code == "migration.aborted"


def test_a_copy_is_as_fast_as_it_may_be_at_the_moment(world: World) -> None:
    """It would take an hour at the first bandwidth."""
    watch = Watch()
    watch.bandwidth = 1024
    held: list[VolumeDigest] = []
    thread = threading.Thread(target=lambda: held.append(copy(world, copies(), watch)), daemon=True)
    thread.start()
    eventually(lambda: bool(watch.samples))
    watch.bandwidth = None
    eventually(lambda: not thread.is_alive(), 60)
    assert difference(held[0], digest(world)) is None


def test_a_copy_into_what_is_not_there_is_refused(world: World) -> None:
    wanted = VolumeCopy(SOURCE, VolumeRef("local", "nowhere"), plan_ranges(SIZE))
    with pytest.raises(MigratorError) as caught:
        copy(world, [wanted])
    assert caught.value.code == "volume.missing"


def test_a_peer_that_is_away_ends_a_copy_as_transient(world: World) -> None:
    world.kill_libvirtd(world.destination)
    with pytest.raises(MigratorError) as caught:
        copy(world, copies())
    assert caught.value.code == "libvirt.unreachable"
    world.start_libvirtd(world.destination)


def test_a_destination_that_dies_during_a_copy_ends_it(world: World) -> None:
    world.slow()
    watch = Watch()
    watch.bandwidth = MIB
    errors: list[str] = []

    def run() -> None:
        source, peer = world.source.hypervisor, world.destination.peer_uri
        try:
            source.copy_volumes(peer, copies(), watch)
        except MigratorError as error:
            errors.append(error.code)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    eventually(lambda: bool(watch.samples))
    world.kill_libvirtd(world.destination)
    eventually(lambda: not thread.is_alive(), 60)
    assert errors == ["libvirt.unreachable"]
    world.start_libvirtd(world.destination)
