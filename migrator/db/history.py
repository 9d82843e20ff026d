"""Appending to a migration's history.

The sequence number is counted in the migration's own row, by a statement that locks it. So events
become visible in the order of their numbers and a reader that asks for what follows number n never
misses one that is committed late.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import insert
from sqlalchemy.engine import Connection

from migrator.db.rows import to_column
from migrator.db.tables import migration_events, migrations
from migrator.model import Effect, Tell


def next_events(count: int) -> dict[str, Any]:
    """Among the values of the UPDATE that so many events tell of."""
    return {"event_seq": migrations.c.event_seq + count} if count else {}


NEXT_EVENT = next_events(1)


def told(effects: Iterable[Effect]) -> Sequence[Tell]:
    """Those effects that are lines of the history."""
    return [effect for effect in effects if isinstance(effect, Tell)]


def append(
    connection: Connection, migration_id: str, last_seq: int, at: datetime, *entries: Tell
) -> None:
    """Write entries of which the last one has number ``last_seq``; one statement."""
    if not entries:
        return
    first = last_seq - len(entries) + 1
    rows = [
        {
            "migration_id": migration_id,
            "seq": first + offset,
            "at": at,
            "kind": entry.kind,
            "text": entry.text,
            "facts": to_column(dict(entry.facts)),
        }
        for offset, entry in enumerate(entries)
    ]
    connection.execute(insert(migration_events).values(rows))
