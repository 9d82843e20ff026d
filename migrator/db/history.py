"""Appending to a migration's history.

The sequence number is counted in the migration's own row, by a statement that locks it. So events
become visible in the order of their numbers and a reader that asks for what follows number n never
misses one that is committed late.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import insert
from sqlalchemy.engine import Connection

from migrator.db.rows import to_column
from migrator.db.tables import migration_events, migrations

NEXT_EVENT = {"event_seq": migrations.c.event_seq + 1}
"""Among the values of the UPDATE that an event tells of."""


@dataclass(frozen=True)
class Entry:
    """One line to be: ``kind`` is one of those of :class:`migrator.model.MigrationEvent`."""

    kind: str
    text: str
    facts: Mapping[str, Any] = field(default_factory=dict)


def append(
    connection: Connection, migration_id: str, last_seq: int, at: datetime, *entries: Entry
) -> None:
    """Write entries of which the last one has number ``last_seq``; one statement."""
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
