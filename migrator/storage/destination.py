"""What is known of a destination's pools, and where in them a copy goes. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from migrator.messages import DiskFacts
from migrator.model import PoolFacts, Refusal

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
    scratch: Collection[str] = ()
    """Targets of disks whose content nobody needs."""


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


def pools_to_check(
    disks: Sequence[DiskFacts],
) -> tuple[tuple[str, ...], tuple[Volume, ...]]:
    """(pools, volumes) a destination must have if all disks are shared, each once, in the guest's
    order: theirs, and those of what they stand on."""
    volumes = dict.fromkeys(
        (pool, volume)
        for disk in disks
        for pool, volume in _places(disk)
        if pool is not None and volume is not None
    )
    return tuple(dict.fromkeys(pool for pool, _ in volumes)), tuple(volumes)


def volumes_to_look_for(
    disks: Sequence[DiskFacts], wishes: DiskWishes, there: DestinationStorage
) -> tuple[Volume, ...]:
    """What would be in the way of a copy, for every disk that may have to be copied; and what it may
    stand on, which need not be brought then.

    ``there`` may be old: what is overlooked for that is found when the volumes are made.
    """
    found = (
        (pool, volume)
        for disk in disks
        if disk.volume is not None
        for own, volume in _places(disk)
        for pool in (destination_pool(disk, wishes, there), own)
    )
    return tuple(
        dict.fromkeys((pool, volume) for pool, volume in found if pool is not None and volume)
    )


def _places(disk: DiskFacts) -> Iterator[tuple[str | None, str | None]]:
    """Pool and volume of the disk and of what it stands on."""
    yield disk.pool, disk.volume
    yield from ((layer.pool, layer.volume) for layer in disk.chain)


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
