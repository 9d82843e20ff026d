"""Lines of a disk plan, taken together. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from migrator.model import BaseHow, DiskMode, DiskMove
from migrator.storage.bases import to_be_there


def bytes_by_pool(moves: Sequence[DiskMove]) -> dict[str, int]:
    """pool of the destination -> bytes to be kept free in it."""
    needs: dict[str, int] = {}
    for move in copied(moves):
        assert move.pool is not None
        needs[move.pool] = needs.get(move.pool, 0) + move.needs
    for base in to_be_there(moves):
        if base.how is BaseHow.BRING:
            needs[base.pool] = needs.get(base.pool, 0) + base.length
    return needs


def copied(moves: Sequence[DiskMove]) -> tuple[DiskMove, ...]:
    """Those that get a volume made for them."""
    return tuple(move for move in moves if move.mode is DiskMode.COPY)
