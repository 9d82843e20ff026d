"""How many bytes a copy needs in a pool, and how many a pool can promise. Pure."""

from __future__ import annotations

from migrator.messages import DiskFacts
from migrator.model import PoolFacts

GROWTH = 1.1
"""A disk goes on growing while it is copied."""
METADATA = 1024**2
"""Bytes a file format may take on top of what the guest wrote."""


def needed_bytes(disk: DiskFacts, overcommit: float) -> int:
    """All the guest may ever write, unless pools may promise more than they have: then what it has
    written by now, and some."""
    size = disk.virtual_size or 0
    if overcommit <= 1.0 or disk.allocated is None:
        return size
    return min(size, int(disk.allocated * GROWTH) + METADATA)


def promised_bytes(pool: PoolFacts, overcommit: float) -> int:
    """What it can promise altogether."""
    return int(pool.available * overcommit)


def free_bytes(pool: PoolFacts, claimed: int, overcommit: float) -> int:
    """What it can still promise; negative when it has promised too much."""
    return promised_bytes(pool, overcommit) - claimed
