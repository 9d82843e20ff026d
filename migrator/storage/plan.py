"""What becomes of each disk of a guest that moves, judged on facts of both hosts.

Pure. What is shared was proven by the agents; a pool nobody proved shared is not shared. A disk that is
not shared is copied into a volume made for it, unless something speaks against that: then the guest
does not move, and the refusal says what mends it.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from migrator.messages import DiskFacts
from migrator.model import DiskFormat, DiskMode, DiskMove, PoolFacts, Refusal
from migrator.storage.chains import fault_of_chain
from migrator.storage.room import free_bytes, needed_bytes

FILTER = "disks"
SAFE_CACHES = frozenset({"none", "directsync"})
"""Cache modes that keep nothing of a writable disk in the source host's page cache: the destination
reads what the guest wrote. libvirt holds the same two safe. A copied disk is read by its own QEMU."""
VOLUME_SOURCES = frozenset({"file", "block", "volume"})
"""Sources a pool can hold."""
REMOVABLE = frozenset({"cdrom", "floppy"})
LARGEST_DISK = 64 * 1024**4
"""Bytes. What no file system of a usual host holds is a mistake, or a trap."""

Volume = tuple[str, str]
"""(pool, volume)"""


@dataclass(frozen=True)
class DiskWishes:
    """What an operator asked for besides the move itself."""

    pools: Mapping[str, str] = field(default_factory=dict)
    """target -> pool of the destination."""
    flatten: bool = False
    """A disk that stands on a base image may arrive standing alone."""
    offline: bool = False
    """The guest is off meanwhile: nothing of it is cached, and volumes are copied as they are."""


@dataclass(frozen=True)
class DestinationStorage:
    """What is known of the destination's pools."""

    pools: Mapping[str, PoolFacts] = field(default_factory=dict)
    """Active ones, by name."""
    shared: Collection[str] = ()
    """Pools proven to be the same storage on both hosts."""
    not_shared: Mapping[str, Refusal] = field(default_factory=dict)
    """Why others are not, by pool."""
    present: Collection[Volume] = ()
    """Of the volumes that were asked about, those that are there."""
    claimed: Mapping[str, int] = field(default_factory=dict)
    """Bytes that other migrations will still fill, by pool."""
    classes: Mapping[str, str] = field(default_factory=dict)
    """pool -> class tag, as configured; the same everywhere in the fleet."""
    overcommit: float = 1.0
    """Bytes of disks a pool may promise for each byte it has free."""


@dataclass(frozen=True)
class DiskPlan:
    """The verdict over all disks; pools and volumes are what the destination must have already."""

    refusals: tuple[Refusal, ...]
    needs_unsafe: bool
    """libvirt holds every disk in a plain directory unsafe to move, shared or not. True when there
    are shared disks; meaningful only without refusals: every one is then proven shared, and every
    writable one is written through."""
    pools: tuple[str, ...]
    volumes: tuple[Volume, ...]
    moves: tuple[DiskMove, ...] = ()

    @property
    def bytes_by_pool(self) -> Mapping[str, int]:
        """What must be kept free in each pool of the destination."""
        return bytes_by_pool(self.moves)


def bytes_by_pool(moves: Sequence[DiskMove]) -> dict[str, int]:
    """pool of the destination -> bytes to be kept free in it."""
    needs: dict[str, int] = {}
    for move in copied(moves):
        assert move.pool is not None
        needs[move.pool] = needs.get(move.pool, 0) + move.needs
    return needs


def copied(moves: Sequence[DiskMove]) -> tuple[DiskMove, ...]:
    """Those that get a volume made for them."""
    return tuple(move for move in moves if move.mode is DiskMode.COPY)


def pools_to_check(
    disks: Sequence[DiskFacts],
) -> tuple[tuple[str, ...], tuple[Volume, ...]]:
    """(pools, volumes) a destination must have if all disks are shared, each once, in the guest's
    order."""
    volumes = dict.fromkeys(
        (disk.pool, disk.volume)
        for disk in disks
        if disk.pool is not None and disk.volume is not None
    )
    return tuple(dict.fromkeys(pool for pool, _ in volumes)), tuple(volumes)


def volumes_to_look_for(
    disks: Sequence[DiskFacts], wishes: DiskWishes, there: DestinationStorage
) -> tuple[Volume, ...]:
    """What would be in the way of a copy, for every disk that may have to be copied.

    ``there`` may be old: what is overlooked for that is found when the volumes are made.
    """
    found = (
        (pool, disk.volume)
        for disk in disks
        if disk.volume is not None and not disk.read_only
        for pool in (destination_pool(disk, wishes, there), disk.pool)
    )
    return tuple(
        dict.fromkeys((pool, volume) for pool, volume in found if pool is not None and volume)
    )


def destination_pool(disk: DiskFacts, wishes: DiskWishes, there: DestinationStorage) -> str | None:
    """Where a copy would go: the pool asked for, else the one of the same name, else the emptiest of
    the same class; None when there is none."""
    if disk.target in wishes.pools:
        return wishes.pools[disk.target]
    if disk.pool is None or disk.pool in there.pools:
        return disk.pool
    tag = there.classes.get(disk.pool)
    alike = [pool for name, pool in there.pools.items() if tag and there.classes.get(name) == tag]
    return max(alike, key=lambda pool: (pool.available, pool.name)).name if alike else None


def plan_disks(
    disks: Sequence[DiskFacts],
    there: DestinationStorage,
    wishes: DiskWishes | None = None,
) -> DiskPlan:
    """Judge every disk."""
    wanted = wishes or DiskWishes()
    verdicts = [_judge(disk, there, wanted) for disk in disks]
    refusals = [refusal for verdict in verdicts for refusal in verdict.refusals]
    refusals += _strange_wishes(disks, wanted)
    moves = tuple(verdict.move for verdict in verdicts if verdict.move is not None)
    refusals += _too_full(moves, there)
    shared = [
        (move.pool, move.volume)
        for move in moves
        if move.mode is DiskMode.SHARED and move.pool and move.volume
    ]
    volumes = tuple(dict.fromkeys(shared))
    return DiskPlan(
        refusals=tuple(refusals),
        needs_unsafe=bool(volumes),
        pools=tuple(dict.fromkeys(pool for pool, _ in volumes)),
        volumes=volumes,
        moves=moves,
    )


@dataclass(frozen=True)
class _Verdict:
    """One disk's: a move, or why not."""

    move: DiskMove | None = None
    refusals: tuple[Refusal, ...] = ()


def _judge(disk: DiskFacts, there: DestinationStorage, wishes: DiskWishes) -> _Verdict:
    if not disk.source_type:
        return _Verdict(DiskMove(disk.target, DiskMode.SKIP, "the drive is empty"))
    if disk.source_type not in VOLUME_SOURCES and disk.pool is None:
        return _no(
            disk,
            "disk.not_shared",
            f"has a source of type {disk.source_type}, which is not known to be the same storage on "
            "both hosts; use a volume in a storage pool",
        )
    if disk.pool is None or disk.volume is None:
        return _no(disk, "disk.not_in_pool", f"is in no storage pool; {_mend(disk)}")
    wanted = wishes.pools.get(disk.target, disk.pool)
    if disk.pool in there.shared and wanted == disk.pool:
        return _shared(disk, wishes.offline)
    why_not = _not_shared(disk, there.not_shared.get(disk.pool))
    if disk.read_only or disk.device in REMOVABLE:
        return _no(disk, "disk.not_shared", f"{why_not}; {_mend_medium(disk)}")
    refusals = tuple(_against_copying(disk, there, wishes))
    if refusals:
        return _Verdict(refusals=refusals)
    return _Verdict(_copy(disk, there, wishes, why_not))


def _shared(disk: DiskFacts, offline: bool) -> _Verdict:
    # QEMU itself caches what is on the network, and drops that when its guest moves.
    written_through = disk.cache in SAFE_CACHES or disk.source_type == "network"
    if not (offline or disk.read_only or written_through):
        return _no(
            disk,
            "disk.cache_unsafe",
            f"is writable with cache mode {disk.cache or 'default (writeback)'}: what the source "
            "host still caches would be missing at the destination; set cache='none' on its "
            "<driver> with `virsh edit` and restart the guest",
        )
    return _Verdict(
        DiskMove(
            disk.target,
            DiskMode.SHARED,
            f"pool {disk.pool} is the same storage on both hosts",
            format=_format(disk) or DiskFormat.RAW,
            source_pool=disk.pool,
            source_volume=disk.volume,
            pool=disk.pool,
            volume=disk.volume,
            virtual_size=disk.virtual_size or 0,
            read_only=disk.read_only,
        )
    )


def _copy(disk: DiskFacts, there: DestinationStorage, wishes: DiskWishes, why: str) -> DiskMove:
    asked = disk.target in wishes.pools and disk.pool in there.shared
    return DiskMove(
        disk.target,
        DiskMode.COPY,
        "another pool was asked for" if asked else f"it {why}",
        format=DiskFormat(disk.format),
        source_pool=disk.pool,
        source_volume=disk.volume,
        pool=destination_pool(disk, wishes, there),
        volume=disk.volume,
        virtual_size=disk.virtual_size or 0,
        needs=needed_bytes(disk, there.overcommit),
    )


def _against_copying(
    disk: DiskFacts, there: DestinationStorage, wishes: DiskWishes
) -> Iterator[Refusal]:
    if disk.source_type not in VOLUME_SOURCES:
        yield _refusal(
            disk,
            "disk.not_shared",
            f"has a source of type {disk.source_type}, which is attached where it is and never copied; "
            f"{_not_shared(disk, there.not_shared.get(disk.pool or ''))}",
        )
    if disk.shareable or disk.device == "lun":
        what = "is shareable: other guests may write to it" if disk.shareable else "is a LUN"
        yield _refusal(
            disk, "disk.not_shared", f"{what}, so it is not copied; put it into a shared pool"
        )
    if _format(disk) is None:
        known = " and ".join(DiskFormat)
        yield _refusal(
            disk,
            "disk.format_unknown",
            f"is of format {disk.format}; only {known} are copied. Convert it while the guest is off",
        )
    if disk.encrypted:
        yield _refusal(
            disk, "disk.encrypted", "is encrypted by QEMU; such disks move in shared pools only"
        )
    if disk.tampered is not None:
        yield _refusal(
            disk,
            "disk.header_mismatch",
            f"{disk.tampered}; nothing opens it before somebody has looked at it",
        )
    yield from _size(disk)
    yield from _backing(disk, wishes)
    yield from _target_pool(disk, there, wishes)


def _size(disk: DiskFacts) -> Iterator[Refusal]:
    size = disk.virtual_size
    if size is None:
        yield _refusal(
            disk,
            "disk.size_unknown",
            "has a size that its host cannot tell; see `virsh domblkinfo`",
        )
    elif size > LARGEST_DISK:
        yield _refusal(
            disk,
            "disk.too_large",
            f"has {size} bytes, more than the {LARGEST_DISK} that are ever copied",
        )


def _backing(disk: DiskFacts, wishes: DiskWishes) -> Iterator[Refusal]:
    fault = fault_of_chain(disk)
    if fault is not None:
        yield _refusal(disk, "disk.chain_invalid", fault)
    elif disk.chain and wishes.offline:
        base = disk.chain[0].volume or disk.chain[0].path or "?"
        yield _refusal(
            disk,
            "disk.backing_missing",
            f"stands on {base}, which a cold move does not bring along; move the guest live with "
            "--flatten, or put both into a shared pool",
        )
    elif disk.chain and not wishes.flatten:
        base = disk.chain[0].volume or disk.chain[0].path or "?"
        yield _refusal(
            disk,
            "disk.backing_missing",
            f"stands on {base}, which would have to be at the destination too; add --flatten to have "
            "the copy stand alone",
        )


def _target_pool(
    disk: DiskFacts, there: DestinationStorage, wishes: DiskWishes
) -> Iterator[Refusal]:
    name = destination_pool(disk, wishes, there)
    pool = there.pools.get(name or "")
    if pool is None:
        missing = name or disk.pool
        why = there.not_shared.get(disk.pool or "")
        told = f" ({why.message})" if why is not None and missing == disk.pool else ""
        yield _refusal(
            disk,
            "pool.missing",
            f"would be copied into pool {missing}, and the destination has no such active pool{told}; "
            f"choose one with --map-disk {disk.target}=POOL",
        )
        return
    form = _format(disk)
    if form is not None and form not in pool.formats:
        yield _refusal(
            disk,
            "pool.cannot",
            f"({form}) cannot be copied into pool {pool.name}: {'; '.join(pool.lacks)}; choose "
            f"another with --map-disk {disk.target}=POOL",
        )
    if (pool.name, disk.volume) in there.present:
        yield _refusal(
            disk,
            "volume.exists",
            f"would be copied into pool {pool.name}, which has a volume {disk.volume} that is none of "
            "this migration's; it is left alone. Rename or delete it if nobody needs it, or choose "
            f"another pool with --map-disk {disk.target}=POOL",
        )


def _too_full(moves: Sequence[DiskMove], there: DestinationStorage) -> Iterator[Refusal]:
    for name, needed in bytes_by_pool(moves).items():
        free = free_bytes(there.pools[name], there.claimed.get(name, 0), there.overcommit)
        if needed > free:
            targets = ", ".join(move.target for move in copied(moves) if move.pool == name)
            yield Refusal(
                FILTER,
                "pool.full",
                f"pool {name} of the destination has {max(free, 0)} bytes for new disks, and {targets} "
                f"would need {needed}; free some, or choose another pool with --map-disk",
                {"pool": name, "needed": needed, "free": max(free, 0)},
            )


def _strange_wishes(disks: Sequence[DiskFacts], wishes: DiskWishes) -> Iterator[Refusal]:
    known = [disk.target for disk in disks]
    for target in wishes.pools:
        if target not in known:
            yield Refusal(
                FILTER,
                "disk.unknown",
                f"the guest has no disk {target!r}; it has {', '.join(known) or 'none'}",
                {"target": target},
            )


def _format(disk: DiskFacts) -> DiskFormat | None:
    return DiskFormat(disk.format) if disk.format in set(DiskFormat) else None


def _not_shared(disk: DiskFacts, why: Refusal | None) -> str:
    reason = "nobody has judged it" if why is None else why.message
    return f"is in pool {disk.pool}, which is not proven to be the same on both hosts: {reason}"


def _mend_medium(disk: DiskFacts) -> str:
    if disk.device in REMOVABLE:
        return f"eject it with `virsh change-media DOMAIN {disk.target} --eject --live`"
    return "move the volume to a shared pool, or detach the disk"


def _mend(disk: DiskFacts) -> str:
    """What makes the disk a volume of a pool, ready to be pasted into a shell."""
    eject = (
        f"eject it with `virsh change-media DOMAIN {disk.target} --eject --live`, or "
        if disk.device in REMOVABLE
        else ""
    )
    if disk.source_type == "block" or disk.path is None or not disk.path.startswith("/"):
        return f"{eject}define the pool that holds it on both hosts with `virsh pool-define`"
    directory = posixpath.dirname(posixpath.normpath(disk.path))
    name = re.sub(r"[^A-Za-z0-9._-]", "-", posixpath.basename(directory)).lstrip("-.") or "root"
    return (
        f"{eject}define one over its directory on both hosts: `virsh pool-define-as {name} dir "
        f"--target {shlex.quote(directory)} && virsh pool-start {name} && virsh pool-autostart "
        f"{name}`"
    )


def _no(disk: DiskFacts, code: str, sentence: str) -> _Verdict:
    return _Verdict(refusals=(_refusal(disk, code, sentence),))


def _refusal(disk: DiskFacts, code: str, sentence: str) -> Refusal:
    kind = "disk" if disk.device == "disk" else f"{disk.device} drive"
    return Refusal(
        FILTER,
        code,
        f"{kind} {disk.target} {sentence}",
        {"target": disk.target, "pool": disk.pool, "volume": disk.volume, "path": disk.path},
    )
