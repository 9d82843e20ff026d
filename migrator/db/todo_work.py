"""What becomes of a to-do that was handed out.

The migration's row is written first, then the to-do's: so two to-dos of one migration that are
finished at once see each other, and the later one completes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.engine import Connection

from migrator.db.columns import database_now
from migrator.db.effects import Effects
from migrator.db.engine import Database
from migrator.db.history import NEXT_EVENT, append, next_events, told
from migrator.db.migration_rows import RETURNED, milestones
from migrator.db.rows import AnyRow, change_columns, migration_from
from migrator.db.tables import migrations, todos
from migrator.model import AddTodo, DropClaim, Effect, Migration, Tell, Todo, TodoKind
from migrator.states import AFTER_TODOS, TERMINAL, MigrationState, check_transition

_RELEASED = {"worker": None, "worker_until": None}


@dataclass(frozen=True)
class Delay:
    """Why a to-do could not be done, and what that changes of its migration."""

    error: str
    seconds: float
    changes: Mapping[str, Any]


@dataclass(frozen=True)
class Done:
    """A to-do with what its doing changes, and those done before it that have not been written yet."""

    todo: Todo
    effects: Sequence[Effect]
    changes: Mapping[str, Any]
    before: Sequence[Todo] = ()


class _DoneBefore(Exception):
    """Leaves a transaction without a trace."""


def finish(database: Database, now: Callable[[], datetime], done: Done) -> Migration | None:
    """Done: the migration afterwards, None when it had been done before."""
    lines = [_line(todo) for todo in (*done.before, done.todo)]
    entries = [*told(done.effects), *lines]
    write = (
        update(migrations)
        .where(migrations.c.id == done.todo.migration_id)
        .values(**change_columns(done.changes), **next_events(len(entries)))
        .returning(*RETURNED)
    )
    settle = _settle(done)

    def work(connection: Connection) -> Migration:
        row = connection.execute(write).first()
        if row is None:
            raise _DoneBefore
        settled = connection.execute(settle).all()
        if done.todo.id not in {each.id for each in settled}:
            raise _DoneBefore
        migration = migration_from(row)
        new = _next(migration, settled[0], done.effects)
        last_seq = row.event_seq
        if new is not None:
            old = migration.state
            row = connection.execute(_moved(migration, new, now())).one()
            migration, last_seq = migration_from(row), row.event_seq
            facts = {"from": old.value, "to": new.value}
            entries.append(Tell("state", check_transition(old, new), facts))
        _apply(Effects(database, connection, migration, now()), done.effects)
        append(connection, row.id, last_seq, now(), *entries)
        return migration

    try:
        return database.write(work)
    except _DoneBefore:
        return None


def _line(todo: Todo) -> Tell:
    return Tell("todo", f"{todo.kind} on {todo.host} is done", {"attempts": todo.attempts + 1})


def _settle(done: Done) -> Any:
    """Mark them, and tell what is left to do for the migration besides."""
    ids = [todo.id for todo in (*done.before, done.todo)]
    others = todos.alias("others")
    besides = (
        select(func.count())
        .select_from(others)
        .where(
            others.c.migration_id == done.todo.migration_id,
            others.c.done.is_(False),
            others.c.id.not_in(ids),
        )
    )
    waits = besides.where(others.c.kind == TodoKind.CONFIRM.value)
    return (
        update(todos)
        .where(todos.c.id.in_(ids), todos.c.done.is_(False))
        .values(done=True, **_RELEASED)
        .returning(
            todos.c.id,
            besides.scalar_subquery().label("besides"),
            waits.scalar_subquery().label("waits"),
        )
    )


def _next(migration: Migration, left: AnyRow, effects: Sequence[Effect]) -> MigrationState | None:
    """Where it goes when nothing is left to do for it, or nothing but to wait for a person."""
    if any(isinstance(effect, AddTodo) for effect in effects):
        return None
    old = migration.state
    if not left.besides:
        return AFTER_TODOS.get(old)
    if left.waits == left.besides and old is MigrationState.SWITCHED:
        return MigrationState.AWAITING_CONFIRM
    return None


def _moved(migration: Migration, new: MigrationState, at: datetime) -> Any:
    return (
        update(migrations)
        .where(migrations.c.id == migration.id)
        .values(state=new.value, **milestones(migration.state, new, at), **NEXT_EVENT)
        .returning(*RETURNED)
    )


def _apply(applied: Effects, effects: Sequence[Effect]) -> None:
    if applied.migration.state in TERMINAL:
        # Whatever it still claims, anywhere.
        applied.apply([each for each in effects if not isinstance(each, DropClaim)])
        applied.drop_claims()
    else:
        applied.apply(effects)


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
            entry = Tell("todo", text, {"attempts": todo.attempts + 1})
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
