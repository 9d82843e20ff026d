"""Where what a copied disk stands on is, and what keeps its guest where it is."""

from __future__ import annotations

from dataclasses import replace as with_
from typing import Any

import pytest
from msgspec.structs import replace

from migrator.messages import DiskFacts
from migrator.model import (
    BaseHow,
    DiskFormat,
    DiskLayer,
    DiskMode,
    RangeDigest,
    VolumeDigest,
    VolumeRef,
)
from migrator.storage.bases import to_be_there
from migrator.storage.content import content_digest
from migrator.storage.destination import DestinationStorage, DiskWishes, volumes_to_look_for
from migrator.storage.plan import DiskPlan, plan_disks
from migrator.storage.tell import move_view, planned_bases, planned_volumes, told_move
from tests.unit.storage.pools import GIB, a_pool

THERE = DestinationStorage(
    pools={name: a_pool(name) for name in ("shared", "local", "images")}, shared=("shared",)
)
BASE = DiskLayer("raw", "images", "debian", "/srv/images/debian", length=2 * GIB)
MIDDLE = DiskLayer("qcow2", "local", "middle", "/srv/local/middle", length=GIB)
DISK = DiskFacts(
    target="vda",
    device="disk",
    source_type="volume",
    pool="local",
    volume="g-vda",
    path="/srv/local/g-vda",
    format="qcow2",
    virtual_size=10 * GIB,
    allocated=GIB,
    chain=[BASE],
)
LIVE, COLD = DiskWishes(), DiskWishes(offline=True)


def plan(
    *disks: DiskFacts, there: DestinationStorage = THERE, wishes: DiskWishes = LIVE
) -> DiskPlan:
    return plan_disks(disks, there, wishes)


def why_not(*disks: DiskFacts, **more: Any) -> str:
    (refusal,) = plan(*disks, **more).refusals
    assert refusal.code == "disk.backing_missing"
    return refusal.message


@pytest.mark.parametrize("wishes", [LIVE, COLD])
def test_a_base_the_destination_lacks_is_brought_and_needs_its_room(wishes: DiskWishes) -> None:
    planned = plan(DISK, wishes=wishes)
    assert planned.refusals == ()
    (move,) = planned.moves
    (base,) = move.bases
    assert (base.how, base.pool, base.volume, base.path) == (
        BaseHow.BRING,
        "images",
        "debian",
        "/srv/images/debian",
    )
    assert planned.bytes_by_pool == {"local": 10 * GIB, "images": 2 * GIB}
    assert move.path == "/srv/local/g-vda"
    (volume,) = planned_volumes(planned.moves)
    assert volume.backing == DiskLayer(
        "raw", "images", "debian", "/srv/images/debian", length=2 * GIB
    )
    (empty,) = planned_bases(planned.moves)
    assert (empty.format, empty.virtual_size) == (DiskFormat.RAW, 2 * GIB)
    assert "images/debian (raw), which is brought along" in told_move(move)
    assert move_view(move).bases == ["images/debian (raw), which is brought along"]


def test_a_base_that_is_there_takes_no_room() -> None:
    planned = plan(DISK, there=with_(THERE, present={("images", "debian")}))
    assert planned.moves[0].bases[0].how is BaseHow.PRESENT
    assert planned.bytes_by_pool == {"local": 10 * GIB}


def test_a_base_in_a_shared_pool_is_looked_up_and_not_brought() -> None:
    base = DiskLayer("qcow2", "shared", "base", "/srv/shared/base", length=GIB)
    planned = plan(replace(DISK, chain=[base]))
    assert planned.moves[0].bases[0].how is BaseHow.SHARED
    assert to_be_there(planned.moves) == ()
    assert planned.volumes == (("shared", "base"),)
    assert not planned.needs_unsafe, "no disk is shared"


def test_a_base_whose_pool_the_destination_lacks_goes_where_its_disk_goes() -> None:
    there = with_(THERE, pools={"local": a_pool("local")})
    assert plan(DISK, there=there).moves[0].bases[0].pool == "local"
    assert ("local", "debian") in volumes_to_look_for([DISK], LIVE, there)


def test_one_base_of_two_disks_is_brought_once() -> None:
    planned = plan(DISK, replace(DISK, target="vdb", volume="g-vdb"))
    assert len(to_be_there(planned.moves)) == 1
    assert planned.bytes_by_pool == {"local": 20 * GIB, "images": 2 * GIB}


def test_two_bases_that_would_have_one_name_are_refused() -> None:
    there = with_(THERE, pools={"local": a_pool("local")})
    other = with_(BASE, pool="more")
    disks = DISK, replace(DISK, target="vdb", volume="g-vdb", chain=[other])
    assert "both would be debian in pool local" in why_not(*disks, there=there)


@pytest.mark.parametrize(
    ("layer", "there", "said"),
    [
        (with_(BASE, pool=None, volume=None), THERE, "in no storage pool"),
        (with_(BASE, length=None), THERE, "size its host cannot tell"),
        (BASE, with_(THERE, pools={"images": a_pool("images", formats=())}), "cannot take"),
        (BASE, with_(THERE, pools={"images": a_pool("images", path=None)}), "cannot take"),
    ],
)
def test_a_base_that_cannot_be_had_keeps_its_guest(
    layer: DiskLayer, there: DestinationStorage, said: str
) -> None:
    pools = {**there.pools, "local": a_pool("local")}
    told = why_not(replace(DISK, chain=[layer]), there=with_(there, pools=pools))
    assert said in told
    assert "--flatten" in told


def test_what_a_copied_header_names_must_have_the_same_path_there() -> None:
    elsewhere = with_(THERE, pools={**THERE.pools, "images": a_pool("images", path="/mnt")})
    assert plan(DISK, there=elsewhere).refusals == (), "a live copy gets a header of its own"
    assert "another path" in why_not(DISK, there=elsewhere, wishes=COLD)
    deep = replace(DISK, chain=[MIDDLE, BASE])
    assert plan(deep).refusals == ()
    assert "another path" in why_not(deep, there=elsewhere)


def test_flattened_it_stands_on_nothing_and_only_while_it_runs() -> None:
    planned = plan(DISK, wishes=DiskWishes(flatten=True))
    assert (planned.moves[0].bases, planned.moves[0].backing) == ((), ())
    assert "only a live move" in why_not(DISK, wishes=DiskWishes(flatten=True, offline=True))


def test_a_shared_disk_stands_on_what_is_shared_as_well() -> None:
    shared = replace(DISK, pool="shared", cache="none")
    assert "shared pool as well" in why_not(shared)
    base = DiskLayer("raw", "shared", "base", "/srv/shared/base")
    planned = plan(replace(shared, chain=[base]))
    assert planned.moves[0].mode is DiskMode.SHARED
    assert planned.volumes == (("shared", "g-vda"), ("shared", "base"))


def test_the_digest_of_a_volume_is_of_what_it_holds_and_how_long_it_is() -> None:
    def volume(size: int, *digests: str | None) -> VolumeDigest:
        ranges = tuple(RangeDigest(n * 64, 64, each) for n, each in enumerate(digests))
        return VolumeDigest(VolumeRef("p", "v"), size, ranges)

    same = content_digest(volume(128, "a", None))
    assert same == content_digest(
        with_(volume(128, "a", None), allocated=7, ref=VolumeRef("q", "w"))
    )
    others = [volume(129, "a", None), volume(128, None, "a"), volume(128, "a", "b")]
    assert same not in {content_digest(each) for each in others}


# ---------------------------------------------------------------- what is only read

CD = DiskFacts(
    target="sda",
    device="cdrom",
    source_type="file",
    pool="images",
    volume="debian.iso",
    path="/srv/images/debian.iso",
    read_only=True,
    length=GIB,
)


@pytest.mark.parametrize("wishes", [LIVE, COLD])
def test_what_is_only_read_is_there_before_its_guest_and_never_copied(wishes: DiskWishes) -> None:
    planned = plan(CD, wishes=wishes)
    assert planned.refusals == ()
    (move,) = planned.moves
    assert (move.mode, move.pool, move.volume) == (DiskMode.SKIP, "images", "debian.iso")
    assert move.backing == ()
    assert planned.bytes_by_pool == {"images": GIB}
    assert planned_volumes(planned.moves) == []
    (volume,) = planned_bases(planned.moves)
    assert (volume.volume, volume.virtual_size) == ("debian.iso", GIB)
    assert "brought along first" in told_move(move)
    assert move_view(move).destination == "images/debian.iso"
    there = with_(THERE, present={("images", "debian.iso")})
    assert plan(CD, there=there, wishes=wishes).bytes_by_pool == {}


def test_what_is_only_read_goes_into_the_pool_that_is_asked_for() -> None:
    (move,) = plan(CD, wishes=DiskWishes({"sda": "local"})).moves
    assert (move.pool, move.path) == ("local", "/srv/local/debian.iso")


@pytest.mark.parametrize(
    ("disk", "code", "said"),
    [
        (replace(CD, read_only=False), "disk.not_shared", "--eject"),
        (replace(CD, length=None), "disk.not_shared", "size"),
        (replace(CD, format="vmdk"), "disk.not_shared", "format vmdk"),
        (replace(CD, encrypted=True), "disk.not_shared", "encrypted"),
        (replace(CD, format="qcow2", chain=[BASE]), "disk.not_shared", "another volume"),
        (replace(CD, format="qcow2", tampered="lies"), "disk.header_mismatch", "lies"),
        (replace(CD, pool="elsewhere"), "disk.not_shared", "cannot take"),
    ],
)
def test_a_medium_that_cannot_be_brought_along_keeps_its_guest(
    disk: DiskFacts, code: str, said: str
) -> None:
    (refusal,) = plan(disk).refusals
    assert refusal.code == code
    assert said in refusal.message


# ---------------------------------------------------------------- scratch

SCRATCH = DiskWishes(offline=True, scratch=("vda",))


def test_a_scratch_disk_of_a_guest_that_is_off_is_made_anew_and_stands_alone() -> None:
    planned = plan(DISK, wishes=SCRATCH)
    assert planned.refusals == ()
    (move,) = planned.moves
    assert (move.mode, move.bases, move.backing) == (DiskMode.RECREATE, (), ())
    assert planned.bytes_by_pool == {"local": 10 * GIB}
    (volume,) = planned_volumes(planned.moves)
    assert (volume.format, volume.virtual_size) == (DiskFormat.QCOW2, 10 * GIB)
    assert volume.backing is None
    assert "made anew, empty, as local/g-vda" in told_move(move)


def test_a_running_guest_needs_what_is_on_its_scratch_disk() -> None:
    (move,) = plan(DISK, wishes=with_(SCRATCH, offline=False)).moves
    assert move.mode is DiskMode.COPY


def test_a_shared_scratch_disk_is_attached() -> None:
    alone = replace(DISK, pool="shared", chain=[])
    assert plan(alone, wishes=SCRATCH).moves[0].mode is DiskMode.SHARED


def test_a_scratch_disk_is_made_in_no_ones_place() -> None:
    there = with_(THERE, present={("local", "g-vda")})
    (refusal,) = plan(DISK, there=there, wishes=SCRATCH).refusals
    assert refusal.code == "volume.exists"
