"""Which disks let a guest move, and what mends the others."""

from __future__ import annotations

import shlex
from itertools import product

import pytest
from msgspec.structs import replace

from migrator.errors import CODES
from migrator.messages import DiskFacts
from migrator.model import Refusal
from migrator.storage.plan import DiskPlan, plan_disks, pools_to_check

SHARED = ("shared", "iso")
DISK = DiskFacts(
    target="vda",
    device="disk",
    source_type="volume",
    pool="shared",
    volume="g-vda",
    path="/srv/shared/g-vda",
    cache="none",
)
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


def plan(*disks: DiskFacts, not_shared: dict[str, Refusal] | None = None) -> DiskPlan:
    return plan_disks(disks, SHARED, not_shared or {})


def codes(planned: DiskPlan) -> list[str]:
    return [refusal.code for refusal in planned.refusals]


def only(planned: DiskPlan) -> Refusal:
    (refusal,) = planned.refusals
    assert refusal.code in CODES
    return refusal


def test_a_guest_without_disks_moves_without_further_ado() -> None:
    assert plan() == DiskPlan((), needs_unsafe=False, pools=(), volumes=())
    assert plan(EMPTY_CDROM) == DiskPlan((), needs_unsafe=False, pools=(), volumes=())


@pytest.mark.parametrize("cache", ["none", "directsync"])
def test_a_shared_disk_that_is_written_through_moves_and_needs_unsafe(cache: str) -> None:
    planned = plan(replace(DISK, cache=cache), CDROM, EMPTY_CDROM)
    assert planned == DiskPlan(
        (),
        needs_unsafe=True,
        pools=("shared", "iso"),
        volumes=(("shared", "g-vda"), ("iso", "debian.iso")),
    )


@pytest.mark.parametrize("cache", [None, "default", "writeback", "writethrough", "unsafe"])
def test_a_writable_shared_disk_with_another_cache_is_refused(cache: str | None) -> None:
    refusal = only(plan(replace(DISK, cache=cache)))
    assert refusal.code == "disk.cache_unsafe"
    assert "cache='none'" in refusal.message


def test_the_cache_of_a_read_only_disk_does_not_matter() -> None:
    assert plan(replace(DISK, cache="writeback", read_only=True)).refusals == ()


def test_a_disk_in_a_pool_that_is_not_shared_is_refused_with_the_agents_reason() -> None:
    why = Refusal("storage", "disk.not_shared", "its token differs", {"pool": "local"})
    refusal = only(plan(replace(DISK, pool="local"), not_shared={"local": why}))
    assert refusal.code == "disk.not_shared"
    assert "its token differs" in refusal.message
    assert "move the volume to a shared pool" in refusal.message
    assert refusal.facts["target"] == "vda"


def test_a_pool_nobody_judged_is_not_shared() -> None:
    assert codes(plan(replace(DISK, pool="forgotten"))) == ["disk.not_shared"]


def test_a_medium_that_stays_behind_shall_be_ejected() -> None:
    refusal = only(plan(replace(CDROM, pool="local")))
    assert refusal.code == "disk.not_shared"
    assert "virsh change-media DOMAIN sda --eject" in refusal.message
    assert "eject" in only(plan(replace(CDROM, pool=None))).message


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


def test_every_disk_is_judged_and_every_reason_told() -> None:
    planned = plan(
        replace(DISK, pool="local", cache="writeback"),
        replace(DISK, target="vdb", pool=None, volume=None),
    )
    assert codes(planned) == ["disk.not_shared", "disk.cache_unsafe", "disk.not_in_pool"]


def test_what_a_destination_must_have_is_asked_for_once_and_in_order() -> None:
    disks = [CDROM, DISK, DISK, EMPTY_CDROM, replace(DISK, volume="b"), replace(DISK, pool=None)]
    assert pools_to_check(disks) == (
        ("iso", "shared"),
        (("iso", "debian.iso"), ("shared", "g-vda"), ("shared", "b")),
    )


def test_without_refusals_every_writable_disk_is_shared_and_written_through() -> None:
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
        assert planned.needs_unsafe
        assert pool == "shared"
        assert read_only or cache in ("none", "directsync")
