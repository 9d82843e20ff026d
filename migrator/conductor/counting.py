"""Keeps the tally of ended migrations, reading each once."""

from __future__ import annotations

from datetime import datetime, timedelta

from migrator.conductor.context import Context
from migrator.conductor.tally import Distribution, Tally
from migrator.messages import Counted, DistributionView

OVERLAP = timedelta(seconds=60)
"""A migration's end is written down a moment after the time it bears, by whichever conductor."""
AT_ONCE = 1000


class Counting:
    """The first call after a start reads the whole history, each later one what is new."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lock = context.concurrency.lock()
        self._tally = Tally()
        self._until: datetime | None = None
        self._lately: dict[str, datetime] = {}

    def count(self) -> Counted:
        with self._lock:
            while self._read() == AT_ONCE:
                continue
            tally = self._tally
            return Counted(
                ended=dict(tally.ended),
                failed=dict(tally.failed),
                attempts=tally.attempts,
                todo_retries=self._context.stores.migrations.todo_retries(),
                phase_seconds={name: _view(each) for name, each in tally.phases.items()},
                downtime_seconds=_view(tally.downtime),
            )

    def _read(self) -> int:
        """Add what has ended since; how many rows that were read."""
        since = None if self._until is None else self._until - OVERLAP
        ended = self._context.stores.migrations.ended_since(since, tuple(self._lately), AT_ONCE)
        for migration in ended:
            assert migration.finished_at is not None
            self._tally.add(migration)
            self._lately[migration.id] = migration.finished_at
            self._until = max(self._until or migration.finished_at, migration.finished_at)
        if self._until is not None:
            edge = self._until - OVERLAP
            self._lately = {id: at for id, at in self._lately.items() if at >= edge}
        return len(ended)


def _view(distribution: Distribution) -> DistributionView:
    return DistributionView(
        bounds=list(distribution.bounds), counts=list(distribution.counts), sum=distribution.sum
    )
