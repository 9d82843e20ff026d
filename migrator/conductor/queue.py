"""Which queued migrations may start now: limits as data, judged purely."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from migrator.model import InLine, Migration

Waiting = Migration | InLine
"""Of a whole migration no more is looked at."""


@dataclass(frozen=True)
class Limits:
    """Migrations at once, and what they may plan for on each host's link."""

    fleet: int
    outgoing: int
    """Leaving one host."""
    incoming: int
    """Arriving at one host, where the operator named it; elsewhere the claim sees to it."""
    link_mib_s: int | None = None
    """Of every host's link to the migration network; None where nobody said."""
    links_mib_s: Mapping[str, int] = field(default_factory=dict)
    """Of the hosts that differ."""

    def link(self, host: str) -> int | None:
        """MiB/s of one host's link; None when it is not limited."""
        return self.links_mib_s.get(host, self.link_mib_s)


@dataclass(frozen=True)
class Place:
    """One queued migration's place in the line."""

    migration: Waiting
    position: int
    """1 is next."""
    limit: str | None
    """The limit that holds it; None when it may start now."""


def in_turn(queued: Sequence[Waiting], busy: Sequence[Waiting]) -> list[Waiting]:
    """The line: highest priority first; within one priority sources take turns, each with its oldest,
    and one that has migrations under way has had those turns. So a host that is being emptied does
    not keep the others waiting."""
    turns = Counter(migration.source for migration in busy)
    turn: dict[str, int] = {}
    for migration in sorted(queued, key=lambda each: (-each.priority, each.created_at, each.id)):
        turn[migration.id] = turns[migration.source]
        turns[migration.source] += 1
    return sorted(
        queued, key=lambda each: (-each.priority, turn[each.id], each.created_at, each.id)
    )


def line_up(queued: Sequence[Waiting], busy: Sequence[Waiting], limits: Limits) -> list[Place]:
    """Judge the line in its order; each that may start counts as busy for those behind it.

    :param queued: as :func:`in_turn` has ordered it.
    :param busy: under way, anywhere in the fleet.
    """
    load = _Load(limits)
    for migration in busy:
        load.add(migration)
    places = []
    for position, migration in enumerate(queued, start=1):
        limit = load.holds(migration)
        if limit is None:
            load.add(migration)
        places.append(Place(migration, position, limit))
    return places


class _Load:
    """What is under way, counted."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._total = 0
        self._leaving = Counter[str]()
        self._arriving = Counter[str]()
        self._planned = Counter[str]()

    def add(self, migration: Waiting) -> None:
        source, goal = migration.source, _goal(migration)
        self._total += 1
        if source is not None:
            self._leaving[source] += 1
        if goal is not None:
            self._arriving[goal] += 1
        for host in _ends(migration):
            self._planned[host] += self._plan(migration, host)

    def holds(self, migration: Waiting) -> str | None:
        """The first limit that leaves no room for one more like this."""
        limits, source, goal = self._limits, migration.source, _goal(migration)
        if self._total >= limits.fleet:
            return f"fleet: {self._total} of {limits.fleet} under way"
        if source is not None and self._leaving[source] >= limits.outgoing:
            return f"leaving {source}: {self._leaving[source]} of {limits.outgoing}"
        if goal is not None and self._arriving[goal] >= limits.incoming:
            return f"arriving at {goal}: {self._arriving[goal]} of {limits.incoming}"
        for host in _ends(migration):
            link, planned = limits.link(host), self._planned[host]
            wanted = self._plan(migration, host)
            # One that plans for more than the link has must still be able to go, alone.
            if link is not None and planned and planned + wanted > link:
                return f"link of {host}: {planned} of {link} MiB/s planned, {wanted} more wanted"
        return None

    def _plan(self, migration: Waiting, host: str) -> int:
        """MiB/s of a host's link; without a cap of its own a migration takes all it can get."""
        link = self._limits.link(host)
        if link is None:
            return 0
        cap = migration.bandwidth_mib_s
        if cap is None and migration.profile is not None:
            cap = migration.profile.bandwidth_mib_s
        return link if cap is None else cap


def _goal(migration: Waiting) -> str | None:
    """One that is still being placed has no destination yet, and will take the one it was given."""
    return migration.destination or migration.requested_host


def _ends(migration: Waiting) -> list[str]:
    """Hosts whose links it uses, as far as they are known."""
    return [host for host in (migration.source, _goal(migration)) if host is not None]
