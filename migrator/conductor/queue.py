"""Which queued migrations may start now: limits as data, judged purely."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from migrator.model import Migration


@dataclass(frozen=True)
class Limits:
    """Migrations at once."""

    fleet: int
    outgoing: int
    """Leaving one host."""
    incoming: int
    """Arriving at one host, where the operator named it."""


@dataclass(frozen=True)
class Place:
    """One queued migration's place in the line."""

    migration: Migration
    position: int
    """1 is next."""
    limit: str | None
    """The limit that holds it; None when it may start now."""


def line_up(queued: Sequence[Migration], busy: Sequence[Migration], limits: Limits) -> list[Place]:
    """Judge the line in its order; each that may start counts as busy for those behind it.

    :param queued: highest priority first, then oldest.
    :param busy: under way, anywhere in the fleet.
    """
    total = len(busy)
    leaving = Counter(migration.source for migration in busy)
    # One that is still being placed has no destination yet, and will take the one it was given.
    goals = (migration.destination or migration.requested_host for migration in busy)
    arriving = Counter(goal for goal in goals if goal is not None)
    places = []
    for position, migration in enumerate(queued, start=1):
        target = migration.requested_host
        limit = None
        if total >= limits.fleet:
            limit = f"fleet: {total} of {limits.fleet} under way"
        elif leaving[migration.source] >= limits.outgoing:
            limit = f"leaving {migration.source}: {leaving[migration.source]} of {limits.outgoing}"
        elif target is not None and arriving[target] >= limits.incoming:
            limit = f"arriving at {target}: {arriving[target]} of {limits.incoming}"
        else:
            total += 1
            leaving[migration.source] += 1
            if target is not None:
                arriving[target] += 1
        places.append(Place(migration, position, limit))
    return places
