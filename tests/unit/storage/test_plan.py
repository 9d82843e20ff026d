"""What becomes of each disk of a guest that moves, and what mends those that keep it where it is."""

from __future__ import annotations

import shlex
from dataclasses import replace as with_
from itertools import product
from typing import Any

import pytest
from msgspec.structs import replace

from migrator.errors import CODES
from migrator.messages import DiskFacts
from migrator.model import DiskFormat, DiskLayer, DiskMode, Refusal
from migrator.storage.copying import LARGEST_DISK
from migrator.storage.destination import (
    DestinationStorage,
    DiskWishes,
    destination_pool,
    pools_to_check,
    volumes_to_look_for,
)
from migrator.storage.plan import DiskPlan, in_the_room_left, plan_disks
from migrator.storage.tell import move_view, planned_volumes, told_move
from tests.unit.storage.pools import GIB, a_pool

THERE = DestinationStorage(
    pools={name: a_pool(name) for name in ("shared", "iso", "local", "fast")},
    shared=("shared", "iso"),
    not_shared={"local": Refusal("storage", "disk.not_shared", "its token differs")},
)
DISK = DiskFacts(
    target="vda",
    device="disk",
    source_type="volume",
    pool="shared",
    volume="g-vda",
    path="/srv/shared/g-vda",
    cache="none",
    virtual_size=10 * GIB,
    allocated=GIB,
)
LOCAL = replace(DISK, pool="local", cache="writeback", path="/srv/local/g-vda")
CDROM = DiskFacts(
    target="sda",
    device="cdrom",
    source_type="file",
    pool="iso",
    volume="debian.iso",
    path="/srv/iso/debian.iso",
    read_only=True,
)
EMPTY_CDROM = DiskFacts(target="sdb", device="cdrom", source_type="", read_only=True)
BASE = DiskLayer("raw", "base", "debian", "/srv/base/debian")


def plan(
    *disks: DiskFacts, there: DestinationStorage = THERE, wishes: DiskWishes | None = None
) -> DiskPlan:
    return plan_disks(disks, there, wishes)


def codes(planned: DiskPlan) -> list[str]:
    return [refusal.code for refusal in planned.refusals]


def only(planned: DiskPlan) -> Refusal:
    (refusal,) = planned.refusals
    assert refusal.code in CODES
    return refusal


def modes(planned: DiskPlan) -> dict[str, str]:
    assert not planned.refusals
    return {move.target: move.mode for move in planned.moves}


# ---------------------------------------------------------------- shared


def test_a_guest_without_disks_moves_without_further_ado() -> None:
    assert plan() == DiskPlan((), needs_unsafe=False, pools=(), volumes=())
    assert modes(plan(EMPTY_CDROM)) == {"sdb": DiskMode.SKIP}
    assert not plan(EMPTY_CDROM).needs_unsafe


@pytest.mark.parametrize("cache", ["none", "directsync"])
def test_a_shared_disk_that_is_written_through_moves_and_needs_unsafe(cache: str) -> None:
    planned = plan(replace(DISK, cache=cache), CDROM, EMPTY_CDROM)
    assert modes(planned) == {"vda": "shared", "sda": "shared", "sdb": "skip"}
    assert planned.needs_unsafe
    assert planned.pools == ("shared", "iso")
    assert planned.volumes == (("shared", "g-vda"), ("iso", "debian.iso"))
    assert planned.bytes_by_pool == {}


@pytest.mark.parametrize("cache", [None, "default", "writeback", "writethrough", "unsafe"])
def test_a_writable_shared_disk_with_another_cache_is_refused(cache: str | None) -> None:
    refusal = only(plan(replace(DISK, cache=cache)))
    assert refusal.code == "disk.cache_unsafe"
    assert "cache='none'" in refusal.message


def test_the_cache_of_a_read_only_disk_does_not_matter() -> None:
    assert plan(replace(DISK, cache="writeback", read_only=True)).refusals == ()


def test_a_medium_that_stays_behind_shall_be_ejected() -> None:
    refusal = only(plan(replace(CDROM, pool="local")))
    assert refusal.code == "disk.not_shared"
    assert "virsh change-media DOMAIN sda --eject" in refusal.message
    assert "eject" in only(plan(replace(CDROM, pool=None))).message


def test_a_read_only_disk_that_is_not_shared_is_refused() -> None:
    refusal = only(plan(replace(LOCAL, read_only=True)))
    assert refusal.code == "disk.not_shared"
    assert "its token differs" in refusal.message


# ---------------------------------------------------------------- copied


def test_a_local_disk_is_copied_into_the_pool_of_the_same_name() -> None:
    planned = plan(LOCAL, replace(DISK, target="vdb", volume="g-vdb"))
    assert modes(planned) == {"vda": "copy", "vdb": "shared"}
    (copy, _) = planned.moves
    assert (copy.source_pool, copy.source_volume) == ("local", "g-vda")
    assert (copy.pool, copy.volume, copy.format) == ("local", "g-vda", DiskFormat.RAW)
    assert copy.virtual_size == 10 * GIB
    assert "its token differs" in copy.why
    assert planned.volumes == (("shared", "g-vdb"),)
    (made,) = planned_volumes(planned.moves)
    assert (made.pool, made.volume, made.virtual_size) == ("local", "g-vda", 10 * GIB)
    assert "copied from local/g-vda to local/g-vda (raw, 10240 MiB)" in told_move(copy)
    assert move_view(copy).destination == "local/g-vda"


def test_only_copied_disks_do_not_need_unsafe() -> None:
    """libvirt itself holds disks safe that it copies."""
    assert not plan(LOCAL).needs_unsafe


def test_the_cache_of_a_copied_disk_does_not_matter() -> None:
    for cache in (None, "none", "writeback", "unsafe"):
        assert modes(plan(replace(LOCAL, cache=cache))) == {"vda": "copy"}


def test_a_pool_nobody_judged_is_not_shared() -> None:
    there = with_(THERE, pools={**THERE.pools, "new": a_pool("new")})
    assert modes(plan(replace(LOCAL, pool="new"), there=there)) == {"vda": "copy"}


def test_a_disk_goes_where_it_was_asked_to_even_from_a_shared_pool() -> None:
    wishes = DiskWishes({"vda": "fast"})
    for disk in (LOCAL, DISK):
        planned = plan(disk, wishes=wishes)
        assert modes(planned) == {"vda": "copy"}
        assert planned.moves[0].pool == "fast"
    assert modes(plan(DISK, wishes=DiskWishes({"vda": "shared"}))) == {"vda": "shared"}


def test_where_the_name_is_missing_the_emptiest_pool_of_the_class_takes_it() -> None:
    pools = {"a": a_pool("a", GIB), "b": a_pool("b", 2 * GIB), "c": a_pool("c", 3 * GIB)}
    classes = {"local": "ssd", "a": "ssd", "b": "ssd", "c": "disk"}
    there = DestinationStorage(pools=pools, classes=classes)
    assert destination_pool(LOCAL, DiskWishes(), there) == "b"
    assert destination_pool(LOCAL, DiskWishes(), with_(there, classes={})) is None
    assert only(plan(LOCAL, there=with_(there, classes={}))).code == "pool.missing"


def test_a_pool_that_is_not_there_is_refused_with_the_option_that_mends_it() -> None:
    refusal = only(plan(LOCAL, wishes=DiskWishes({"vda": "nope"})))
    assert refusal.code == "pool.missing"
    assert "--map-disk vda=POOL" in refusal.message


def test_a_wish_for_a_disk_the_guest_has_not_is_refused() -> None:
    refusal = only(plan(DISK, wishes=DiskWishes({"vdz": "fast"})))
    assert refusal.code == "disk.unknown"
    assert "vda" in refusal.message


def test_a_volume_that_is_in_the_way_is_refused() -> None:
    there = with_(THERE, present={("local", "g-vda")})
    assert only(plan(LOCAL, there=there)).code == "volume.exists"
    assert modes(plan(LOCAL, there=there, wishes=DiskWishes({"vda": "fast"}))) == {"vda": "copy"}


def test_a_pool_that_cannot_hold_the_format_is_refused() -> None:
    pools = {"local": a_pool("local", formats=(DiskFormat.RAW,), kind="logical")}
    there = with_(THERE, pools=pools)
    assert only(plan(replace(LOCAL, format="qcow2"), there=there)).code == "pool.cannot"
    assert modes(plan(LOCAL, there=there)) == {"vda": "copy"}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"format": "vmdk"}, "disk.format_unknown"),
        ({"encrypted": True}, "disk.encrypted"),
        ({"tampered": "has a header that names /etc/shadow"}, "disk.header_mismatch"),
        ({"virtual_size": None}, "disk.size_unknown"),
        ({"virtual_size": 1024**5}, "disk.too_large"),
        ({"shareable": True}, "disk.not_shared"),
        ({"device": "lun"}, "disk.not_shared"),
        ({"chain": [BASE]}, "disk.chain_invalid"),
        ({"format": "qcow2", "chain": [BASE]}, "disk.backing_missing"),
        ({"format": "qcow2", "chain": [BASE] * 2}, "disk.chain_invalid"),
        (
            {
                "format": "qcow2",
                "chain": [DiskLayer("qcow2", "p", str(number)) for number in range(100)],
            },
            "disk.chain_invalid",
        ),
        (
            {"format": "qcow2", "chain": [DiskLayer("qcow2", "local", "g-vda")]},
            "disk.chain_invalid",
        ),
        (
            {"format": "qcow2", "chain": [DiskLayer("vdi", "base", "x", "/x")]},
            "disk.chain_invalid",
        ),
    ],
)
def test_what_cannot_be_copied_is_refused_before_anything_opens_it(
    changes: dict[str, Any], code: str
) -> None:
    there = with_(THERE, pools={"local": a_pool("local", 1024**6)})
    assert code in codes(plan(replace(LOCAL, **changes), there=there))


def test_a_header_that_looks_like_another_format_stops_nothing() -> None:
    assert modes(plan(replace(LOCAL, header="qcow2"))) == {"vda": "copy"}


def test_a_disk_on_a_base_image_arrives_standing_alone_when_asked_to() -> None:
    disk = replace(LOCAL, format="qcow2", chain=[BASE])
    planned = plan(disk, wishes=DiskWishes(flatten=True))
    assert modes(planned) == {"vda": "copy"}
    assert planned.moves[0].backing == ()
    assert "--flatten" in only(plan(disk)).message


# ---------------------------------------------------------------- room


def test_a_pool_with_too_little_room_for_all_that_goes_there_is_refused() -> None:
    second = replace(LOCAL, target="vdb", volume="g-vdb")
    there = with_(THERE, pools={"local": a_pool("local", 15 * GIB)})
    assert modes(plan(LOCAL, there=there)) == {"vda": "copy"}
    refusal = only(plan(LOCAL, second, there=there))
    assert refusal.code == "pool.full"
    assert refusal.facts == {"pool": "local", "needed": 20 * GIB, "free": 15 * GIB}
    assert "vda, vdb" in refusal.message


def test_what_others_have_claimed_is_not_free() -> None:
    there = with_(THERE, pools={"local": a_pool("local", 15 * GIB)}, claimed={"local": 6 * GIB})
    assert only(plan(LOCAL, there=there)).code == "pool.full"


def test_with_overcommit_a_disk_counts_with_what_was_written_and_some() -> None:
    there = with_(THERE, pools={"local": a_pool("local", GIB)}, overcommit=1.5)
    (move,) = plan(LOCAL, there=there).moves
    assert GIB < move.needs < 1.2 * GIB
    assert plan(LOCAL, there=there).bytes_by_pool == {"local": move.needs}
    unmeasured = replace(LOCAL, allocated=None)
    assert only(plan(unmeasured, there=there)).code == "pool.full"


def test_the_largest_disk_is_copied_where_there_is_room_for_it() -> None:
    there = with_(THERE, pools={"local": a_pool("local", LARGEST_DISK)})
    assert modes(plan(replace(LOCAL, virtual_size=LARGEST_DISK), there=there)) == {"vda": "copy"}


# ---------------------------------------------------------------- in no pool


@pytest.mark.parametrize(
    ("path", "command"),
    [
        ("/srv/images/g.img", "virsh pool-define-as images dir --target /srv/images"),
        ("/srv/my images/g.img", "virsh pool-define-as my-images dir --target '/srv/my images'"),
        ("/srv/a/../b;reboot/g.img", "virsh pool-define-as b-reboot dir --target '/srv/b;reboot'"),
        ("/g.img", "virsh pool-define-as root dir --target /"),
        ("/srv/-x/g.img", "virsh pool-define-as x dir --target /srv/-x"),
    ],
)
def test_a_disk_in_no_pool_is_refused_with_the_command_that_mends_it(
    path: str, command: str
) -> None:
    refusal = only(plan(replace(DISK, source_type="file", pool=None, volume=None, path=path)))
    assert refusal.code == "disk.not_in_pool"
    assert f"`{command} && virsh pool-start" in refusal.message
    assert shlex.split(command)[:2] == ["virsh", "pool-define-as"]


@pytest.mark.parametrize(
    "disk",
    [
        replace(DISK, source_type="block", pool=None, volume=None, path="/dev/vg/g"),
        replace(DISK, source_type="file", pool=None, volume=None, path=None),
        replace(DISK, source_type="volume", volume=None, path=None),
    ],
)
def test_a_disk_whose_directory_is_not_known_is_refused_without_a_guess(disk: DiskFacts) -> None:
    refusal = only(plan(disk))
    assert refusal.code == "disk.not_in_pool"
    assert "--target" not in refusal.message


@pytest.mark.parametrize("kind", ["network", "nvme", "vhostuser", "vhostvdpa", "dir", "new-kind"])
def test_a_source_that_is_no_volume_is_not_known_to_be_shared(kind: str) -> None:
    refusal = only(plan(replace(DISK, source_type=kind, pool=None, volume=None)))
    assert refusal.code == "disk.not_shared"
    assert kind in refusal.message


def test_an_image_of_a_ceph_pool_is_attached_where_it_is_proven_shared_and_never_copied() -> None:
    image = replace(DISK, source_type="network", cache=None, path="vms/g-vda")
    (move,) = plan(image).moves
    assert move.mode is DiskMode.SHARED
    refusal = only(plan(replace(image, pool="local")))
    assert refusal.code == "disk.not_shared"
    assert "never copied" in refusal.message
    assert "its token differs" in refusal.message


def test_every_disk_is_judged_and_every_reason_told() -> None:
    planned = plan(
        replace(DISK, cache="writeback"),
        replace(DISK, target="vdb", pool=None, volume=None),
        replace(LOCAL, target="vdc", encrypted=True, shareable=True),
    )
    assert codes(planned) == [
        "disk.cache_unsafe",
        "disk.not_in_pool",
        "disk.not_shared",
        "disk.encrypted",
    ]


# ---------------------------------------------------------------- what is asked


def test_what_a_destination_must_have_is_asked_for_once_and_in_order() -> None:
    disks = [CDROM, DISK, DISK, EMPTY_CDROM, replace(DISK, volume="b"), replace(DISK, pool=None)]
    assert pools_to_check(disks) == (
        ("iso", "shared"),
        (("iso", "debian.iso"), ("shared", "g-vda"), ("shared", "b")),
    )


def test_what_may_be_in_the_way_is_looked_for_also_where_the_copy_is_asked_to_go() -> None:
    disks = [LOCAL, CDROM, EMPTY_CDROM]
    wishes = DiskWishes({"vda": "fast"})
    assert volumes_to_look_for(disks, wishes, DestinationStorage()) == (
        ("fast", "g-vda"),
        ("local", "g-vda"),
        ("iso", "debian.iso"),
    )


def test_without_refusals_every_writable_disk_is_copied_or_shared_and_written_through() -> None:
    kinds = ["", "file", "block", "volume", "network"]
    caches = [None, "none", "directsync", "writeback"]
    devices = ["disk", "cdrom", "floppy", "lun"]
    for kind, pool, cache, device, read_only in product(
        kinds, ["shared", "local", None], caches, devices, [False, True]
    ):
        disk = replace(
            DISK, source_type=kind, pool=pool, cache=cache, device=device, read_only=read_only
        )
        planned = plan(disk)
        if planned.refusals or not kind:
            continue
        (move,) = planned.moves
        if pool == "local":
            assert move.mode is DiskMode.COPY
            assert not read_only
            assert device == "disk"
            assert kind != "network"
        else:
            assert move.mode is DiskMode.SHARED
            assert planned.needs_unsafe
            assert read_only or cache in ("none", "directsync") or kind == "network"


@pytest.mark.parametrize("claimed", [0, 6 * GIB, 20 * GIB])
def test_judged_by_the_room_left_a_plan_is_what_it_would_have_been(claimed: int) -> None:
    there = with_(THERE, pools={"local": a_pool("local", 15 * GIB)})
    less = with_(there, claimed={"local": claimed})
    assert in_the_room_left(plan_disks([LOCAL], there), less) == plan_disks([LOCAL], less)
