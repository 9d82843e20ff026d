"""What a copied disk stands on: where each volume of its chain is at the destination. Pure.

The copy of such a disk holds what its guest wrote and nothing else. What it stands on must be at the
destination, byte for byte; nobody writes to it, so it can be streamed while the guest runs, and stays
for other guests that stand on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from migrator.messages import DiskFacts
from migrator.model import BaseHow, BaseMove, DiskFormat, DiskLayer, DiskMove, Refusal
from migrator.storage.destination import DestinationStorage, DiskWishes, destination_pool
from migrator.storage.refusals import FILTER, refusal

FLATTEN = "add --flatten to have the copy stand alone"


@dataclass(frozen=True)
class _Place:
    """Where a layer is, or will be, at the destination."""

    pool: str | None
    shared: bool
    path: str | None


def bases_of(
    disk: DiskFacts, there: DestinationStorage, wishes: DiskWishes
) -> tuple[BaseMove, ...]:
    """Nearest first; meaningful when :func:`against_bases` says nothing."""
    return tuple(_base(layer, _place(layer, disk, there, wishes), there) for layer in disk.chain)


def _base(layer: DiskLayer, place: _Place, there: DestinationStorage) -> BaseMove:
    how = BaseHow.SHARED if place.shared else BaseHow.BRING
    if not place.shared and (place.pool, layer.volume) in there.present:
        how = BaseHow.PRESENT
    return BaseMove(
        source_pool=layer.pool or "",
        source_volume=layer.volume or "",
        pool=place.pool or "",
        volume=layer.volume or "",
        format=DiskFormat(layer.format),
        length=layer.length or 0,
        how=how,
        path=place.path,
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
    (layer,) = own.chain
    return _against(layer, _place(layer, own, there, wishes), there)


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
        place = _place(layer, disk, there, wishes)
        why = _against(layer, place, there)
        # The header of whatever stands on it goes along as it is, and names it by its path. Only the
        # copy of a disk that is in use gets a header of its own.
        named = wishes.offline or number > 0
        if why is None and named and (layer.path is None or layer.path != place.path):
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


def _against(layer: DiskLayer, place: _Place, there: DestinationStorage) -> str | None:
    if layer.pool is None or layer.volume is None:
        return "which is in no storage pool; define one over its directory on both hosts"
    if place.shared:
        return None
    pool = there.pools.get(place.pool or "")
    if pool is None or pool.path is None or layer.format not in pool.formats:
        return f"which pool {place.pool or layer.pool} of the destination cannot take"
    if layer.length is None:
        return "whose size its host cannot tell"
    return None


def _place(
    layer: DiskLayer, disk: DiskFacts, there: DestinationStorage, wishes: DiskWishes
) -> _Place:
    name = _pool(layer, disk, there, wishes)
    pool = there.pools.get(name or "")
    path = None if pool is None or pool.path is None else f"{pool.path}/{layer.volume}"
    return _Place(name, name == layer.pool and name in there.shared, path)


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
