"""What is recorded of disks, and what contradicts it."""

from __future__ import annotations

from msgspec.structs import replace

from migrator.messages import DiskFacts
from migrator.model import DiskFormat, DiskLayer
from migrator.storage.records import reconcile

DISK = DiskFacts(
    target="vda",
    device="disk",
    source_type="volume",
    pool="local",
    volume="g-vda",
    format="qcow2",
    bus="virtio",
    chain=[DiskLayer("raw", "base", "debian")],
    virtual_size=1 << 30,
    serial="S1",
)


def test_a_disk_is_recorded_whole_and_once() -> None:
    first = reconcile("i", [], [DISK])
    (record,) = first.records
    assert record.format is DiskFormat.QCOW2
    assert record.chain == (DiskLayer("raw", "base", "debian"),)
    assert (record.virtual_size, record.serial, record.bus) == (1 << 30, "S1", "virtio")
    assert first.differs([])
    again = reconcile("i", first.records, [DISK])
    assert not again.differs(first.records)
    assert not again.refusals


def test_the_format_of_a_volume_never_changes() -> None:
    known = reconcile("i", [], [DISK]).records
    now = reconcile("i", known, [replace(DISK, format="raw", chain=[])])
    (refusal,) = now.refusals
    assert refusal.code == "disk.record_mismatch"
    assert now.records == known


def test_another_volume_may_have_another_format() -> None:
    known = reconcile("i", [], [DISK]).records
    now = reconcile("i", known, [replace(DISK, format="raw", volume="converted", chain=[])])
    assert not now.refusals
    assert [record.format for record in now.records] == [DiskFormat.RAW]
    assert now.differs(known)


def test_a_file_in_no_pool_is_known_by_its_path() -> None:
    file = replace(DISK, source_type="file", pool=None, volume=None, path="/srv/g")
    known = reconcile("i", [], [file]).records
    assert reconcile("i", known, [replace(file, format="raw")]).refusals
    assert not reconcile("i", known, [replace(file, format="raw", path="/srv/h")]).refusals


def test_what_the_guest_has_no_more_is_recorded_no_more() -> None:
    known = reconcile("i", [], [DISK, replace(DISK, target="vdb", volume="b")]).records
    assert [record.target for record in reconcile("i", known, [DISK]).records] == ["vda"]


def test_a_size_that_cannot_be_told_now_stays_as_it_was() -> None:
    known = reconcile("i", [], [DISK]).records
    assert not reconcile("i", known, [replace(DISK, virtual_size=None)]).differs(known)


def test_a_format_nobody_knows_is_not_recorded() -> None:
    assert reconcile("i", [], [replace(DISK, format="vmdk")]).records == ()
