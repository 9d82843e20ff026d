"""Migrations, their history and their to-dos, read."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

from migrator.messages import ListMigrations
from migrator.model import InLine, Migration, MigrationEvent, Todo


class MigrationStore(Protocol):
    """Reading migrations."""

    def get(self, migration_id: str) -> Migration:
        """By id or unambiguous beginning. :raises Refused: ``migration.unknown``,
        ``migration.ambiguous``."""
        ...

    def by_request(self, request_id: str) -> Migration | None:
        """The migration that a client's request id has made."""
        ...

    def find(self, wanted: ListMigrations) -> Sequence[Migration]: ...

    def unfinished(self) -> Sequence[Migration]: ...

    def line(self) -> Sequence[InLine]:
        """The same, oldest first, read for every decision about what may start."""
        ...

    def resumable(self, leader: str) -> Sequence[InLine]:
        """Those with an active flow whose lease has run out or is ``leader``'s own."""
        ...

    def events(self, migration_id: str, after: int, limit: int) -> Sequence[MigrationEvent]: ...

    def due_todos(self, leader: str) -> Sequence[Todo]:
        """Not done, due now by the database's clock, of migrations led by ``leader`` or by nobody alive,
        oldest first."""
        ...

    def keep_todos(self, leader: str, ids: Collection[int]) -> None:
        """``leader`` still works on these; nobody else is handed them meanwhile."""
        ...

    def hasten_todos(self, host: str) -> bool:
        """What could not be done on ``host`` before is due now; False when there was nothing."""
        ...

    def next_todo_in(self, leader: str | None = None) -> float | None:
        """Seconds until the next to-do is due; None when there is none. With ``leader`` those of
        migrations that another living conductor leads do not count."""
        ...

    def ended_since(
        self, since: datetime | None, but: Sequence[str], limit: int
    ) -> Sequence[Migration]:
        """Ended at or after ``since``, ``but`` for these ids; oldest end first."""
        ...

    def todo_retries(self) -> int:
        """How often to-dos were tried in vain, altogether."""
        ...

    def open_todos(self, migration_id: str) -> Sequence[Todo]: ...
