"""What a copied disk stands on: where each volume of its chain is at the destination. Pure.

The copy of such a disk holds what its guest wrote and nothing else. What it stands on must be at the
destination, byte for byte; nobody writes to it, so it can be streamed while the guest runs, and stays
for other guests that stand on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from migrator.messages import DiskFacts
from migrator.model import BaseHow, BaseMove, DiskFormat, DiskLayer, DiskMove, Refusal
from migrator.storage.destination import DestinationStorage, DiskWishes, destination_pool
from migrator.storage.refusals import FILTER, refusal

FLATTEN = "add --flatten to have the copy stand alone"


def bases_of(
    disk: DiskFacts, there: DestinationStorage, wishes: DiskWishes
) -> tuple[BaseMove, ...]:
    """Nearest first; meaningful when :func:`against_bases` says nothing."""
    return tuple(
        BaseMove(
            source_pool=layer.pool or "",
            source_volume=layer.volume or "",
            pool=_pool(layer, disk, there, wishes) or "",
            volume=layer.volume or "",
            format=DiskFormat(layer.format),
            length=layer.length or 0,
            how=_how(layer, disk, there, wishes),
            path=_path(layer, disk, there, wishes),
        )
        for layer in disk.chain
    )


def medium_of(disk: DiskFacts, there: DestinationStorage, wishes: DiskWishes) -> BaseMove:
    """A disk that is only read is its own base; meaningful when :func:`against_medium` says nothing."""
    (base,) = bases_of(_on_itself(disk), there, wishes)
    return base


def against_medium(disk: DiskFacts, there: DestinationStorage, wishes: DiskWishes) -> str | None:
    """Why what is only read cannot be had there; None when it can."""
    if disk.chain:
        return "it stands on another volume"
    if disk.encrypted:
        return "it is encrypted by QEMU"
    if disk.format not in set(DiskFormat):
        return f"it is of format {disk.format}"
    own = _on_itself(disk)
    return _against(own.chain[0], own, there, wishes)


def _on_itself(disk: DiskFacts) -> DiskFacts:
    layer = DiskLayer(disk.format, disk.pool, disk.volume, disk.path, length=disk.length)
    return msgspec.structs.replace(disk, chain=[layer])


def layers_of(bases: Sequence[BaseMove]) -> tuple[DiskLayer, ...]:
    """The chain as it is at the destination."""
    return tuple(
        DiskLayer(base.format, base.pool, base.volume, base.path, length=base.length)
        for base in bases
    )


def against_bases(
    disk: DiskFacts, there: DestinationStorage, wishes: DiskWishes
) -> Iterator[Refusal]:
    """Why the chain cannot be had there; every layer's reason."""
    mend = "move the guest live with --flatten" if wishes.offline else FLATTEN
    for number, layer in enumerate(disk.chain):
        why = _against(layer, disk, there, wishes)
        # The header of whatever stands on it goes along as it is, and names it by its path. Only the
        # copy of a disk that is in use gets a header of its own.
        named = wishes.offline or number > 0
        if why is None and named and not _same_path(layer, disk, there, wishes):
            why = (
                "which has another path there than the header that names it says; give the pool the "
                "same target on both hosts"
            )
        if why is not None:
            name = f"{layer.pool}/{layer.volume}" if layer.pool else layer.path
            yield refusal(disk, "disk.backing_missing", f"stands on {name}, {why}, or {mend}")


def against_one_name(moves: Sequence[DiskMove]) -> Iterator[Refusal]:
    """Two volumes of the source would be one at the destination."""
    sources: dict[tuple[str, str], tuple[str, str]] = {}
    for move in moves:
        for base in move.bases:
            source = (base.source_pool, base.source_volume)
            first = sources.setdefault((base.pool, base.volume), source)
            if first != source:
                yield Refusal(
                    FILTER,
                    "disk.backing_missing",
                    f"disk {move.target} stands on {'/'.join(source)}, and another on "
                    f"{'/'.join(first)}: both would be {base.volume} in pool {base.pool} of the "
                    f"destination; {FLATTEN}",
                    {"target": move.target, "pool": base.pool, "volume": base.volume},
                )


def to_be_there(moves: Sequence[DiskMove]) -> tuple[BaseMove, ...]:
    """Those that are no shared storage, each once."""
    found = {
        (base.pool, base.volume): base
        for move in moves
        for base in move.bases
        if base.how is not BaseHow.SHARED
    }
    return tuple(found.values())


def _against(
    layer: DiskLayer, disk: DiskFacts, there: DestinationStorage, wishes: DiskWishes
) -> str | None:
    if layer.pool is None or layer.volume is None:
        return "which is in no storage pool; define one over its directory on both hosts"
    name = _pool(layer, disk, there, wishes)
    if name == layer.pool and name in there.shared:
        return None
    pool = there.pools.get(name or "")
    if pool is None or pool.path is None or layer.format not in pool.formats:
        return f"which pool {name or layer.pool} of the destination cannot take"
    if layer.length is None:
        return "whose size its host cannot tell"
    return None


def _pool(
    layer: DiskLayer, disk: DiskFacts, there: DestinationStorage, wishes: DiskWishes
) -> str | None:
    """The one that was asked for, of a disk that is only read; the one of the same name, else where the
    disk itself goes."""
    if layer.volume == disk.volume and disk.target in wishes.pools:
        return wishes.pools[disk.target]
    if layer.pool in there.shared or layer.pool in there.pools:
        return layer.pool
    return destination_pool(disk, wishes, there)


def _how(
    layer: DiskLayer, disk: DiskFacts, there: DestinationStorage, wishes: DiskWishes
) -> BaseHow:
    name = _pool(layer, disk, there, wishes)
    if name == layer.pool and name in there.shared:
        return BaseHow.SHARED
    place = (name, layer.volume)
    return BaseHow.PRESENT if place in there.present else BaseHow.BRING


def _path(
    layer: DiskLayer, disk: DiskFacts, there: DestinationStorage, wishes: DiskWishes
) -> str | None:
    pool = there.pools.get(_pool(layer, disk, there, wishes) or "")
    return None if pool is None or pool.path is None else f"{pool.path}/{layer.volume}"


def _same_path(
    layer: DiskLayer, disk: DiskFacts, there: DestinationStorage, wishes: DiskWishes
) -> bool:
    return layer.path is not None and layer.path == _path(layer, disk, there, wishes)
