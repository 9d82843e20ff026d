"""A disk plan in words, for events and views, and as the volumes it makes. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from migrator.messages import DiskMoveView, PlannedVolume
from migrator.model import BaseHow, BaseMove, DiskFormat, DiskMode, DiskMove
from migrator.storage.bases import to_be_there
from migrator.storage.moves import made

MIB = 1024 * 1024


def planned_volumes(moves: Sequence[DiskMove]) -> list[PlannedVolume]:
    """What the destination has to make."""
    return [
        PlannedVolume(
            pool=move.pool or "",
            volume=move.volume or "",
            format=move.format,
            virtual_size=move.virtual_size,
            backing=move.backing[0] if move.backing else None,
        )
        for move in made(moves)
    ]


def planned_bases(moves: Sequence[DiskMove]) -> list[PlannedVolume]:
    """What copies stand on, as it is made where it is not there: so many bytes, whatever is in them."""
    return [
        PlannedVolume(
            pool=base.pool, volume=base.volume, format=DiskFormat.RAW, virtual_size=base.length
        )
        for base in to_be_there(moves)
    ]


def told_move(move: DiskMove) -> str:
    """One line of history."""
    match move.mode:
        case DiskMode.COPY:
            size = f"{move.format}, {-(-move.virtual_size // MIB)} MiB"
            on = "".join(f", on {told_base(base)}" for base in move.bases)
            return (
                f"disk {move.target} is copied from {_place(move.source_pool, move.source_volume)} to"
                f" {_place(move.pool, move.volume)} ({size}{on}): {move.why}"
            )
        case DiskMode.SHARED:
            return f"disk {move.target} is attached where it is: {move.why}"
        case DiskMode.RECREATE:
            place = _place(move.pool, move.volume)
            return f"disk {move.target} is made anew, empty, as {place}: {move.why}"
        case DiskMode.SKIP if move.bases:
            return f"nothing of {move.target} is copied: {move.why}"
        case DiskMode.SKIP:
            return f"nothing is to be brought for {move.target}: {move.why}"


_HOW = {
    BaseHow.SHARED: "which both hosts share",
    BaseHow.PRESENT: "which is there",
    BaseHow.BRING: "which is brought along",
}


def told_base(base: BaseMove) -> str:
    """What a copy will stand on."""
    return f"{base.pool}/{base.volume} ({base.format}), {_HOW[base.how]}"


def move_view(move: DiskMove, remaining: int | None = None) -> DiskMoveView:
    """For people and programs."""
    real = move.pool is not None
    return DiskMoveView(
        target=move.target,
        mode=move.mode,
        source=_place(move.source_pool, move.source_volume),
        destination=_place(move.pool, move.volume),
        format=move.format if real else None,
        virtual_size=move.virtual_size or None,
        why=move.why,
        remaining=remaining,
        bases=[told_base(base) for base in move.bases],
    )


def view_of_move(move: DiskMove) -> dict[str, Any]:
    """As an event's facts."""
    document: dict[str, Any] = msgspec.to_builtins(move_view(move))
    return document


def _place(pool: str | None, volume: str | None) -> str | None:
    return f"{pool}/{volume}" if pool and volume else None
