"""What becomes of each disk of a guest that moves, judged on facts of both hosts.

Pure. What is shared was proven by the agents; a pool nobody proved shared is not shared. A disk that is
not shared is copied into a volume made for it, unless something speaks against that: then the guest
does not move, and the refusal says what mends it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from migrator.messages import DiskFacts
from migrator.model import BaseHow, DiskFormat, DiskMode, DiskMove, Refusal
from migrator.storage.bases import against_medium, against_one_name, medium_of
from migrator.storage.copying import VOLUME_SOURCES, against_copying, copy, known_format
from migrator.storage.destination import DestinationStorage, DiskWishes, Volume
from migrator.storage.moves import bytes_by_pool
from migrator.storage.refusals import (
    FILTER,
    REMOVABLE,
    mend,
    mend_medium,
    not_shared,
    refusal,
)
from migrator.storage.room import free_bytes

SAFE_CACHES = frozenset({"none", "directsync"})
"""Cache modes that keep nothing of a writable disk in the source host's page cache: the destination
reads what the guest wrote. libvirt holds the same two safe. A copied disk is read by its own QEMU."""


FULL = "pool.full"


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
    refusals += against_one_name(moves)
    refusals += _too_full(moves, there)
    shared = list(_shared_volumes(moves))
    volumes = tuple(dict.fromkeys(shared))
    return DiskPlan(
        refusals=tuple(refusals),
        needs_unsafe=any(move.mode is DiskMode.SHARED for move in moves),
        pools=tuple(dict.fromkeys(pool for pool, _ in volumes)),
        volumes=volumes,
        moves=moves,
    )


def in_the_room_left(plan: DiskPlan, there: DestinationStorage) -> DiskPlan:
    """The same plan, its copies judged once more by the room in ``there``: nothing else of it depends on
    that."""
    others = [each for each in plan.refusals if each.code != FULL]
    return replace(plan, refusals=(*others, *_too_full(plan.moves, there)))


def _shared_volumes(moves: Sequence[DiskMove]) -> Iterator[Volume]:
    for move in moves:
        if move.mode is DiskMode.SHARED and move.pool and move.volume:
            yield move.pool, move.volume
        for layer in move.backing if move.mode is DiskMode.SHARED else ():
            yield layer.pool or "", layer.volume or ""
        for base in move.bases:
            if base.how is BaseHow.SHARED:
                yield base.pool, base.volume


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
        return _no(disk, "disk.not_in_pool", f"is in no storage pool; {mend(disk)}")
    wanted = wishes.pools.get(disk.target, disk.pool)
    if disk.pool in there.shared and wanted == disk.pool:
        return _shared(disk, there, wishes.offline)
    why_not = not_shared(disk, there.not_shared.get(disk.pool))
    if disk.read_only or disk.device in REMOVABLE:
        return _medium(disk, there, wishes, why_not)
    if disk.target in wishes.scratch and wishes.offline:
        return _recreate(disk, there, wishes)
    refusals = tuple(against_copying(disk, there, wishes))
    if refusals:
        return _Verdict(refusals=refusals)
    return _Verdict(copy(disk, there, wishes, why_not))


def _medium(
    disk: DiskFacts, there: DestinationStorage, wishes: DiskWishes, why_not: str
) -> _Verdict:
    """Nobody writes to it: it is there before its guest, and nothing of it is copied."""
    if not disk.read_only:
        return _no(disk, "disk.not_shared", f"{why_not}; {mend_medium(disk)}")
    if disk.tampered is not None:
        return _no(disk, "disk.header_mismatch", f"{disk.tampered}; {mend_medium(disk)}")
    against = against_medium(disk, there, wishes)
    if against is not None:
        told = f"{why_not}; and it cannot be brought along: {against}; {mend_medium(disk)}"
        return _no(disk, "disk.not_shared", told)
    base = medium_of(disk, there, wishes)
    brought = "is brought along first" if base.how is BaseHow.BRING else "is there"
    return _Verdict(
        DiskMove(
            disk.target,
            DiskMode.SKIP,
            f"it is only read, and {brought}",
            format=base.format,
            source_pool=disk.pool,
            source_volume=disk.volume,
            pool=base.pool,
            volume=base.volume,
            read_only=True,
            bases=(base,),
            path=base.path,
        )
    )


def _recreate(disk: DiskFacts, there: DestinationStorage, wishes: DiskWishes) -> _Verdict:
    alone = replace(wishes, flatten=True, offline=False)
    refusals = tuple(against_copying(disk, there, alone))
    if refusals:
        return _Verdict(refusals=refusals)
    move = copy(disk, there, alone, "")
    why = "it is scratch, and its guest is off"
    return _Verdict(replace(move, mode=DiskMode.RECREATE, why=why))


def _shared(disk: DiskFacts, there: DestinationStorage, offline: bool) -> _Verdict:
    for layer in disk.chain:
        if layer.pool not in there.shared or layer.volume is None:
            name = f"{layer.pool}/{layer.volume}" if layer.pool else layer.path
            return _no(
                disk,
                "disk.backing_missing",
                f"is in a shared pool and stands on {name}, which is not known to be the same on both "
                "hosts; put that into a shared pool as well",
            )
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
            format=known_format(disk) or DiskFormat.RAW,
            source_pool=disk.pool,
            source_volume=disk.volume,
            pool=disk.pool,
            volume=disk.volume,
            virtual_size=disk.virtual_size or 0,
            backing=tuple(disk.chain),
            read_only=disk.read_only,
        )
    )


def _too_full(moves: Sequence[DiskMove], there: DestinationStorage) -> Iterator[Refusal]:
    for name, needed in bytes_by_pool(moves).items():
        free = free_bytes(there.pools[name], there.claimed.get(name, 0), there.overcommit)
        if needed > free:
            targets = ", ".join(
                move.target
                for move in moves
                if (move.pool == name and move.needs) or name in {base.pool for base in move.bases}
            )
            yield Refusal(
                FILTER,
                FULL,
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


def _no(disk: DiskFacts, code: str, sentence: str) -> _Verdict:
    return _Verdict(refusals=(refusal(disk, code, sentence),))
