"""A disk that is copied into a volume made for it, and everything that may speak against that. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from migrator.messages import DiskFacts
from migrator.model import DiskFormat, DiskMode, DiskMove, Refusal
from migrator.storage.bases import against_bases, bases_of, layers_of
from migrator.storage.chains import fault_of_chain
from migrator.storage.destination import DestinationStorage, DiskWishes, destination_pool
from migrator.storage.refusals import not_shared, refusal
from migrator.storage.room import needed_bytes

VOLUME_SOURCES = frozenset({"file", "block", "volume"})
"""Sources that can become a volume of a pool."""
LARGEST_DISK = 64 * 1024**4
"""Bytes. What no file system of a usual host holds is a mistake, or a trap."""


def copy(disk: DiskFacts, there: DestinationStorage, wishes: DiskWishes, why: str) -> DiskMove:
    asked = disk.target in wishes.pools and disk.pool in there.shared
    name = destination_pool(disk, wishes, there)
    pool = there.pools.get(name or "")
    bases = () if wishes.flatten else bases_of(disk, there, wishes)
    return DiskMove(
        disk.target,
        DiskMode.COPY,
        "another pool was asked for" if asked else f"it {why}",
        format=DiskFormat(disk.format),
        source_pool=disk.pool,
        source_volume=disk.volume,
        pool=name,
        volume=disk.volume,
        virtual_size=disk.virtual_size or 0,
        needs=needed_bytes(disk, there.overcommit),
        backing=layers_of(bases),
        bases=bases,
        path=f"{pool.path}/{disk.volume}" if pool is not None and pool.path else None,
    )


def against_copying(
    disk: DiskFacts, there: DestinationStorage, wishes: DiskWishes
) -> Iterator[Refusal]:
    if disk.source_type not in VOLUME_SOURCES:
        yield refusal(
            disk,
            "disk.not_shared",
            f"has a source of type {disk.source_type}, which is attached where it is and never copied; "
            f"{not_shared(disk, there.not_shared.get(disk.pool or ''))}",
        )
    if disk.shareable or disk.device == "lun":
        what = "is shareable: other guests may write to it" if disk.shareable else "is a LUN"
        yield refusal(
            disk, "disk.not_shared", f"{what}, so it is not copied; put it into a shared pool"
        )
    if known_format(disk) is None:
        known = " and ".join(DiskFormat)
        yield refusal(
            disk,
            "disk.format_unknown",
            f"is of format {disk.format}; only {known} are copied. Convert it while the guest is off",
        )
    if disk.encrypted:
        yield refusal(
            disk, "disk.encrypted", "is encrypted by QEMU; such disks move in shared pools only"
        )
    if disk.tampered is not None:
        yield refusal(
            disk,
            "disk.header_mismatch",
            f"{disk.tampered}; nothing opens it before somebody has looked at it",
        )
    yield from _size(disk)
    yield from _backing(disk, there, wishes)
    yield from _target_pool(disk, there, wishes)


def _size(disk: DiskFacts) -> Iterator[Refusal]:
    size = disk.virtual_size
    if size is None:
        yield refusal(
            disk,
            "disk.size_unknown",
            "has a size that its host cannot tell; see `virsh domblkinfo`",
        )
    elif size > LARGEST_DISK:
        yield refusal(
            disk,
            "disk.too_large",
            f"has {size} bytes, more than the {LARGEST_DISK} that are ever copied",
        )


def _backing(disk: DiskFacts, there: DestinationStorage, wishes: DiskWishes) -> Iterator[Refusal]:
    fault = fault_of_chain(disk)
    if fault is not None:
        yield refusal(disk, "disk.chain_invalid", fault)
    elif disk.chain and wishes.flatten and wishes.offline:
        yield refusal(
            disk,
            "disk.backing_missing",
            "is copied as it is while its guest is off, and stands on another volume: only a live move "
            "can flatten it",
        )
    elif disk.chain and not wishes.flatten:
        yield from against_bases(disk, there, wishes)


def _target_pool(
    disk: DiskFacts, there: DestinationStorage, wishes: DiskWishes
) -> Iterator[Refusal]:
    name = destination_pool(disk, wishes, there)
    pool = there.pools.get(name or "")
    if pool is None:
        missing = name or disk.pool
        why = there.not_shared.get(disk.pool or "")
        told = f" ({why.message})" if why is not None and missing == disk.pool else ""
        yield refusal(
            disk,
            "pool.missing",
            f"would be copied into pool {missing}, and the destination has no such active pool{told}; "
            f"choose one with --map-disk {disk.target}=POOL",
        )
        return
    form = known_format(disk)
    if form is not None and form not in pool.formats:
        yield refusal(
            disk,
            "pool.cannot",
            f"({form}) cannot be copied into pool {pool.name}: {'; '.join(pool.lacks)}; choose "
            f"another with --map-disk {disk.target}=POOL",
        )
    if (pool.name, disk.volume) in there.present:
        yield refusal(
            disk,
            "volume.exists",
            f"would be copied into pool {pool.name}, which has a volume {disk.volume} that is none of "
            "this migration's; it is left alone. Rename or delete it if nobody needs it, or choose "
            f"another pool with --map-disk {disk.target}=POOL",
        )


def known_format(disk: DiskFacts) -> DiskFormat | None:
    return DiskFormat(disk.format) if disk.format in set(DiskFormat) else None
