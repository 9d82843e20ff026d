"""What an operator says of a cold move whose source still has the guest: keep it, or bring it back.

Whichever is first wins: both go by the to-do that lets the source go, which is either done or not.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import update
from sqlalchemy.engine import Connection

from migrator.db.columns import database_now
from migrator.db.effects import Effects
from migrator.db.engine import Database
from migrator.db.history import NEXT_EVENT, append
from migrator.db.migration_rows import RETURNED, milestones
from migrator.db.rows import AnyRow, migration_from
from migrator.db.tables import migrations, todos
from migrator.model import AddTodo, Migration, Tell, TodoKind
from migrator.states import MigrationState, check_transition

_WAITING = MigrationState.AWAITING_CONFIRM


class _TooLate(Exception):
    """Leaves a transaction without a trace."""


def confirm(
    database: Database, now: Callable[[], datetime], migration_id: str, by: str
) -> Migration | None:
    """Let the source go now; None when it does not wait for that, or not any more."""
    locked = _waiting(migration_id).values(NEXT_EVENT).returning(*RETURNED)
    hasten = (
        update(todos)
        .where(*_open_confirm(migration_id))
        .values(next_try_at=database_now())
        .returning(todos.c.id)
    )
    entry = Tell("action", f"confirmed by {by}", {"action": "confirm", "by": by})

    def work(connection: Connection) -> Migration:
        row = _one(connection, locked)
        _one(connection, hasten)
        append(connection, row.id, row.event_seq, now(), entry)
        return migration_from(row)

    return _or_none(database, work)


def revert(
    database: Database, now: Callable[[], datetime], migration_id: str, by: str
) -> Migration | None:
    """Begin to bring it back; None when it does not wait for that, or not any more."""
    new = MigrationState.REVERTING
    move = (
        _waiting(migration_id)
        .values(state=new.value, **milestones(_WAITING, new, now()), **NEXT_EVENT)
        .returning(*RETURNED)
    )
    settle = (
        update(todos)
        .where(*_open_confirm(migration_id))
        .values(done=True, worker=None, worker_until=None)
        .returning(todos.c.id, todos.c.host, todos.c.payload)
    )
    why = check_transition(_WAITING, new)
    facts = {"from": _WAITING.value, "to": new.value, "by": by}

    def work(connection: Connection) -> Migration:
        row = _one(connection, move)
        kept = _one(connection, settle)
        reverting = migration_from(row)
        todo = AddTodo(TodoKind.REVERT, kept.host, kept.payload)
        Effects(database, connection, reverting, now()).apply([todo])
        append(connection, row.id, row.event_seq, now(), Tell("state", why, facts))
        return reverting

    return _or_none(database, work)


def _waiting(migration_id: str) -> Any:
    mine = migrations.c.id == migration_id
    return update(migrations).where(mine, migrations.c.state == _WAITING.value)


def _open_confirm(migration_id: str) -> tuple[Any, ...]:
    confirms = todos.c.kind == TodoKind.CONFIRM.value
    return todos.c.migration_id == migration_id, confirms, todos.c.done.is_(False)


def _one(connection: Connection, write: Any) -> AnyRow:
    row: AnyRow | None = connection.execute(write).first()
    if row is None:
        raise _TooLate
    return row


def _or_none(database: Database, work: Callable[[Connection], Migration]) -> Migration | None:
    try:
        return database.write(work)
    except _TooLate:
        return None
