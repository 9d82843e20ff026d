"""What becomes of a to-do that was handed out.

The migration's row is written first, then the to-do's: so two to-dos of one migration that are
finished at once see each other, and the later one completes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.engine import Connection

from migrator.db.columns import database_now
from migrator.db.effects import Effects
from migrator.db.engine import Database
from migrator.db.history import NEXT_EVENT, Entry, append
from migrator.db.migration_rows import RETURNED, milestones
from migrator.db.rows import change_columns, migration_from
from migrator.db.tables import migrations, todos
from migrator.model import Effect, Migration, Todo, TodoKind
from migrator.states import AFTER_TODOS, TERMINAL, MigrationState, check_transition

_RELEASED = {"worker": None, "worker_until": None}


@dataclass(frozen=True)
class Delay:
    """Why a to-do could not be done, and what that changes of its migration."""

    error: str
    seconds: float
    changes: Mapping[str, Any]


class _DoneBefore(Exception):
    """Leaves a transaction without a trace."""


def finish(
    database: Database,
    now: Callable[[], datetime],
    todo: Todo,
    effects: Sequence[Effect],
    changes: Mapping[str, Any],
) -> Migration | None:
    """Done: the migration afterwards, None when it had been done before."""
    write = (
        update(migrations)
        .where(migrations.c.id == todo.migration_id)
        .values(**change_columns(changes), **NEXT_EVENT)
        .returning(*RETURNED)
    )
    done = update(todos).where(_still_open(todo)).values(done=True, **_RELEASED)
    entry = Entry("todo", f"{todo.kind} on {todo.host} is done", {"attempts": todo.attempts + 1})

    def work(connection: Connection) -> Migration:
        row = connection.execute(write).first()
        if row is None or connection.execute(done).rowcount != 1:
            raise _DoneBefore
        applied = Effects(database, connection, migration_from(row), now())
        applied.apply(effects)
        append(connection, row.id, row.event_seq, applied.now, entry)
        return _complete(applied) or applied.migration

    try:
        return database.write(work)
    except _DoneBefore:
        return None


def postpone(database: Database, now: Callable[[], datetime], todo: Todo, delay: Delay) -> None:
    """Not done; nothing when it is done by now."""
    news = delay.error != todo.last_error
    columns = {**change_columns(delay.changes), **(NEXT_EVENT if news else {})}
    touch = (
        update(migrations)
        .where(migrations.c.id == todo.migration_id)
        # Unchanged, its row is still locked first.
        .values(columns or {"id": migrations.c.id})
        .returning(*RETURNED)
    )
    later = (
        update(todos)
        .where(_still_open(todo))
        .values(
            attempts=todos.c.attempts + 1,
            last_error=delay.error,
            next_try_at=database_now(delay.seconds),
            **_RELEASED,
        )
    )
    text = f"{todo.kind} on {todo.host} could not be done yet: {delay.error}"

    def work(connection: Connection) -> None:
        row = connection.execute(touch).first()
        if row is None or connection.execute(later).rowcount != 1:
            raise _DoneBefore
        connection.execute(_give_back_what_follows(todo))
        if news:
            entry = Entry("todo", text, {"attempts": todo.attempts + 1})
            append(connection, row.id, row.event_seq, now(), entry)

    try:
        database.write(work)
    except _DoneBefore:
        return


def _give_back_what_follows(todo: Todo) -> Any:
    """What was handed out with it and waits for it, is handed out with it again."""
    return (
        update(todos)
        .where(
            todos.c.migration_id == todo.migration_id,
            todos.c.host == todo.host,
            todos.c.id > todo.id,
            todos.c.done.is_(False),
        )
        .values(_RELEASED)
    )


def _still_open(todo: Todo) -> Any:
    return (todos.c.id == todo.id) & todos.c.done.is_(False)


def _complete(applied: Effects) -> Migration | None:
    """Move the migration on when nothing is left to do for it, or nothing but to wait for a person."""
    migration = applied.migration
    query = select(todos.c.kind).where(
        todos.c.migration_id == migration.id, todos.c.done.is_(False)
    )
    left = set(applied.connection.execute(query).scalars())
    old = migration.state
    new = AFTER_TODOS.get(old) if not left else None
    if left == {TodoKind.CONFIRM.value} and old is MigrationState.SWITCHED:
        new = MigrationState.AWAITING_CONFIRM
    if new is None:
        return None
    write = (
        update(migrations)
        .where(migrations.c.id == migration.id)
        .values(state=new.value, **milestones(old, new, applied.now), **NEXT_EVENT)
        .returning(*RETURNED)
    )
    row = applied.connection.execute(write).one()
    if new in TERMINAL:
        applied.drop_claims()
    entry = Entry("state", check_transition(old, new), {"from": old.value, "to": new.value})
    append(applied.connection, row.id, row.event_seq, applied.now, entry)
    return migration_from(row)
