"""What is recorded of an instance's disks, and whether what its host shows still agrees. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from migrator.messages import DiskFacts
from migrator.model import DiskFormat, DiskLayer, DiskRecord, Refusal


@dataclass(frozen=True)
class Reconciled:
    """The records as they are to be, and what contradicts those that were."""

    records: tuple[DiskRecord, ...]
    refusals: tuple[Refusal, ...]

    def differs(self, known: Sequence[DiskRecord]) -> bool:
        """Whether anything is to be written."""
        return sorted(self.records, key=_target) != sorted(known, key=_target)


def reconcile(
    instance_id: str, known: Sequence[DiskRecord], disks: Sequence[DiskFacts]
) -> Reconciled:
    """A disk keeps the format it was recorded with for as long as it is the same volume; everything else
    follows the guest. A format nobody knows is not recorded: such a disk is refused when it would move.
    """
    before = {record.target: record for record in known}
    records = []
    refusals = []
    for disk in disks:
        if disk.format not in set(DiskFormat):
            continue
        now = _record(instance_id, disk)
        old = before.get(disk.target)
        if old is not None and _same_volume(old, now) and old.format is not now.format:
            refusals.append(_changed(old, now))
            now = old
        elif old is not None and _same_volume(old, now):
            now = _with_what_was_read(old, now)
        records.append(now)
    return Reconciled(tuple(records), tuple(refusals))


def _record(instance_id: str, disk: DiskFacts) -> DiskRecord:
    return DiskRecord(
        instance_id=instance_id,
        target=disk.target,
        device=disk.device,
        bus=disk.bus,
        source_type=disk.source_type,
        pool=disk.pool,
        volume=disk.volume,
        path=disk.path,
        format=DiskFormat(disk.format),
        virtual_size=disk.virtual_size,
        chain=tuple(disk.chain),
        cache=disk.cache,
        discard=disk.discard,
        detect_zeroes=disk.detect_zeroes,
        read_only=disk.read_only,
        shareable=disk.shareable,
        serial=disk.serial,
    )


def _with_what_was_read(old: DiskRecord, now: DiskRecord) -> DiskRecord:
    """What a look at the guest does not tell again: the size of a disk that nobody runs, and what layers
    hold."""
    size = now.virtual_size if now.virtual_size is not None else old.virtual_size
    digests = {_layer(each): each.sha256 for each in old.chain}
    chain = tuple(replace(each, sha256=digests.get(_layer(each))) for each in now.chain)
    return replace(now, virtual_size=size, chain=chain)


def _layer(layer: DiskLayer) -> tuple[str | None, str | None, str, int | None]:
    return layer.pool, layer.volume, layer.format, layer.length


def _same_volume(one: DiskRecord, other: DiskRecord) -> bool:
    if one.pool is not None and other.pool is not None:
        return (one.pool, one.volume) == (other.pool, other.volume)
    return one.path is not None and one.path == other.path


def _changed(old: DiskRecord, now: DiskRecord) -> Refusal:
    return Refusal(
        "disks",
        "disk.record_mismatch",
        f"disk {old.target} was recorded as {old.format} and its host now runs the same volume "
        f"{now.volume or now.path} as {now.format}: reading one as the other destroys it or opens what "
        "it names. If it was converted on purpose, give the result a name of its own in the guest's "
        "definition",
        {"target": old.target, "recorded": str(old.format), "now": str(now.format)},
    )


def _target(record: DiskRecord) -> str:
    return record.target
