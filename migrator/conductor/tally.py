"""What ended migrations came to, counted: the figures behind ``/metrics``. Pure."""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from migrator.model import Migration

PHASE_S = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 14400.0)
DOWNTIME_S = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0)
QUEUED, MOVING, FINISHING, WHOLE = "queue", "move", "finish", "whole"


@dataclass
class Distribution:
    """How many values were at most each bound, one more place for those above all, and their sum."""

    bounds: tuple[float, ...]
    counts: list[int] = field(default_factory=list)
    sum: float = 0.0

    def __post_init__(self) -> None:
        self.counts = self.counts or [0] * (len(self.bounds) + 1)

    def add(self, value: float) -> None:
        self.counts[bisect.bisect_left(self.bounds, value)] += 1
        self.sum += value


@dataclass
class Tally:
    """Grows with every migration that has ended."""

    ended: Counter[str] = field(default_factory=Counter)
    """By state."""
    failed: Counter[str] = field(default_factory=Counter)
    """By error code, of those that did not complete."""
    attempts: int = 0
    """Destinations claimed; more than one for a migration whose first choice refused."""
    phases: dict[str, Distribution] = field(
        default_factory=lambda: {
            name: Distribution(PHASE_S) for name in (QUEUED, MOVING, FINISHING, WHOLE)
        }
    )
    downtime: Distribution = field(default_factory=lambda: Distribution(DOWNTIME_S))

    def add(self, migration: Migration) -> None:
        """One that has ended."""
        self.ended[migration.state] += 1
        self.attempts += migration.attempt
        if migration.error_code is not None:
            self.failed[migration.error_code] += 1
        for name, seconds in _phases(migration):
            self.phases[name].add(seconds)
        if migration.statistics.downtime_ms is not None:
            self.downtime.add(migration.statistics.downtime_ms / 1000)


def _phases(migration: Migration) -> Iterator[tuple[str, float]]:
    began, left = migration.created_at, migration.started_at
    switched, ended = migration.switched_at, migration.finished_at
    for name, start, end in (
        (QUEUED, began, left),
        (MOVING, left, switched),
        (FINISHING, switched, ended),
        (WHOLE, began, ended),
    ):
        if start is not None and end is not None:
            yield name, _seconds(start, end)


def _seconds(start: datetime, end: datetime) -> float:
    """Never negative: two conductors' clocks may differ."""
    return max((end - start).total_seconds(), 0.0)
