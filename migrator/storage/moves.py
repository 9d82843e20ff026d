"""Lines of a disk plan, taken together. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from migrator.model import BaseHow, DiskMode, DiskMove
from migrator.storage.bases import to_be_there

_MADE = frozenset({DiskMode.COPY, DiskMode.RECREATE})


def bytes_by_pool(moves: Sequence[DiskMove]) -> dict[str, int]:
    """pool of the destination -> bytes to be kept free in it."""
    needs: dict[str, int] = {}
    for move in made(moves):
        assert move.pool is not None
        needs[move.pool] = needs.get(move.pool, 0) + move.needs
    for base in to_be_there(moves):
        if base.how is BaseHow.BRING:
            needs[base.pool] = needs.get(base.pool, 0) + base.length
    return needs


def made(moves: Sequence[DiskMove]) -> tuple[DiskMove, ...]:
    """Those that get a volume made for them, whatever comes into it."""
    return tuple(move for move in moves if move.mode in _MADE)


def relocated(moves: Sequence[DiskMove]) -> tuple[DiskMove, ...]:
    """Those that are other volumes at the destination; what is only read among them."""
    return tuple(move for move in moves if move.mode in _MADE or move.bases)


def copied(moves: Sequence[DiskMove]) -> tuple[DiskMove, ...]:
    """Those whose content is copied into the volume made for them."""
    return tuple(move for move in moves if move.mode is DiskMode.COPY)
