"""The journal: the one writer of migrations.

What keeps two conductors apart is the epoch in the migration's row. Whoever takes the lead raises
it; every later write compares it in the statement that writes (or locks the row first), so that a
leader that was replaced changes nothing any more, however late its write arrives. The lease only
says when the lead may be taken: it is a time of the database's clock
(:mod:`migrator.db.columns`), prolonged by :meth:`SqlJournal.renew`, and nothing rests on it.
Times in records are the database's as well (:mod:`migrator.db.clock`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import case, select, update
from sqlalchemy.engine import Connection
from sqlalchemy.sql.dml import ReturningUpdate

from migrator.conductor.ports import Lead, RecordMark
from migrator.db import confirmation, submission, todo_work
from migrator.db.columns import database_now
from migrator.db.effects import Effects
from migrator.db.engine import Database
from migrator.db.fencing import led, superseded
from migrator.db.flow_persistence import FlowBackend
from migrator.db.history import NEXT_EVENT, append, next_events, told
from migrator.db.migration_rows import MIGRATION, RETURNED, milestones
from migrator.db.migration_store import led_by_nobody_but, unknown_migration
from migrator.db.rows import AnyRow, change_columns, migration_from, to_column
from migrator.db.tables import migrations
from migrator.model import ActionRecord, Effect, ForceMethod, Migration, Tell, Todo, Tuning
from migrator.states import MigrationState, check_transition

_TOLD = {"destination", "error_code"}
"""Changes worth a place in the history of states."""

ANSWERED_NOT_YET = {"force_result": None, "force_why": None}

FIRST_EPOCH = 1
"""Of whoever leads first; that a later one began is told in the history."""


@functools.cache
def _renewal(leader: str, lease_s: float) -> ReturningUpdate[Any]:
    """Built once: it is sent all the time."""
    mine = migrations.c.leader == leader, migrations.c.finished_at.is_(None)
    prolong = update(migrations).where(*mine).values(lease_until=database_now(lease_s))
    return prolong.returning(migrations.c.id, migrations.c.epoch, migrations.c.event_seq)


class SqlJournal:
    """:class:`migrator.conductor.ports.Journal` in SQL.

    :param now: the conductors' clock, for the times in records.
    """

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now

    def submit(self, migration: Migration, told: Sequence[Tell] = ()) -> Migration:
        """Insert it as ``queued``, with its first events."""
        return submission.submit(self._database, migration, told, self._now())

    # -- leading

    def lead(self, migration_id: str, leader: str, lease_s: float) -> tuple[Lead, Migration] | None:
        """Take the lead, unless another leader's lease runs or there is nothing left to lead."""
        take = (
            update(migrations)
            .where(
                migrations.c.id == migration_id,
                migrations.c.finished_at.is_(None),
                led_by_nobody_but(leader),
            )
            .values(
                epoch=migrations.c.epoch + 1,
                leader=leader,
                lease_until=database_now(lease_s),
                event_seq=case(
                    (migrations.c.epoch < FIRST_EPOCH, migrations.c.event_seq),
                    else_=migrations.c.event_seq + 1,
                ),
            )
            .returning(*RETURNED)
        )

        def work(connection: Connection) -> Migration | None:
            row = connection.execute(take).first()
            if row is None:
                return None
            led = migration_from(row)
            if led.epoch == FIRST_EPOCH:
                return led
            facts = {"leader": leader, "epoch": led.epoch}
            self._append(connection, row, Tell("observed", f"taken up by {leader}", facts))
            return led

        led = self._database.write(work)
        return None if led is None else (Lead(led.id, led.epoch, leader), led)

    def renew(self, leader: str, lease_s: float) -> Sequence[RecordMark]:
        """Prolong the lease of every unfinished migration this leader leads; how their records stand."""
        with self._database.writer() as connection:
            return [RecordMark(*row) for row in connection.execute(_renewal(leader, lease_s))]

    def move(
        self,
        lead: Lead,
        old: MigrationState,
        new: MigrationState,
        why: str,
        effects: Sequence[Effect] = (),
        **changes: Any,
    ) -> Migration:
        """old -> new with all its effects, or nothing at all."""
        check_transition(old, new)
        columns = {**milestones(old, new, self._now()), **change_columns(changes)}
        write = (
            update(migrations)
            .where(led(lead), migrations.c.state == old.value)
            .values(state=new.value, **columns, **next_events(1 + len(told(effects))))
            .returning(*RETURNED)
        )
        facts: dict[str, Any] = {name: columns[name] for name in _TOLD & columns.keys()}
        entry = Tell("state", why, {"from": old.value, "to": new.value, **facts})

        def work(connection: Connection) -> Migration:
            row = self._fenced(connection, lead, write, f"{old} -> {new}")
            moved = migration_from(row)
            Effects(self._database, connection, moved, self._now()).apply(effects)
            self._append(connection, row, *told(effects), entry)
            return moved

        return self._database.write(work)

    def update(self, lead: Lead, effects: Sequence[Effect] = (), **changes: Any) -> Migration:
        """Change fields that are not the state, with effects, fenced by the epoch."""
        entries = told(effects)
        columns = change_columns(changes) | next_events(len(entries)) or {"epoch": lead.epoch}
        write = update(migrations).where(led(lead)).values(columns).returning(*RETURNED)

        def work(connection: Connection) -> Migration:
            row = self._fenced(connection, lead, write, "an update")
            updated = migration_from(row)
            Effects(self._database, connection, updated, self._now()).apply(effects)
            self._append(connection, row, *entries)
            return updated

        return self._database.write(work)

    def flow_backend(self, lead: Lead) -> FlowBackend:
        """Where the flow of this migration keeps its steps, every write fenced by ``lead``."""
        return FlowBackend(self._database, lead)

    # -- without the lead

    def cancel_queued(self, migration_id: str, by: str) -> Migration | None:
        """queued -> cancelled; None when it is queued no longer."""
        old, new = MigrationState.QUEUED, MigrationState.CANCELLED
        write = (
            update(migrations)
            .where(migrations.c.id == migration_id, migrations.c.state == old.value)
            .values(
                state=new.value,
                abort_by=by,
                error_code="migration.aborted",
                error=f"aborted by {by} while it was queued; nothing had been touched",
                **milestones(old, new, self._now()),
                **NEXT_EVENT,
            )
            .returning(*RETURNED)
        )
        facts = {"from": old.value, "to": new.value, "by": by}
        entry = Tell("state", f"aborted by {by} while it was queued", facts)
        return self._write_and_tell(write, entry)

    def ask_abort(self, migration_id: str, by: str) -> Migration:
        """Record who asked first; of a migration that has ended nothing changes.

        :raises Refused: ``migration.unknown``.
        """
        write = (
            update(migrations)
            .where(
                migrations.c.id == migration_id,
                migrations.c.abort_by.is_(None),
                migrations.c.finished_at.is_(None),
            )
            .values(abort_by=by, **NEXT_EVENT)
            .returning(*RETURNED)
        )
        entry = Tell("action", f"{by} asked for an abort", {"action": "abort", "by": by})
        asked = self._write_and_tell(write, entry)
        return asked or self._read(migration_id)

    def _read(self, migration_id: str) -> Migration:
        with self._database.reader() as connection:
            query = select(*MIGRATION).where(migrations.c.id == migration_id)
            row = connection.execute(query).first()
        if row is None:
            raise unknown_migration(migration_id)
        return migration_from(row)

    def ask_force(self, migration_id: str, method: ForceMethod, by: str) -> Migration:
        """Record how it is to be brought to its end; of one that has ended nothing changes."""
        write = (
            update(migrations)
            .where(migrations.c.id == migration_id, migrations.c.finished_at.is_(None))
            .values(force_method=method.value, force_by=by, **ANSWERED_NOT_YET, **NEXT_EVENT)
            .returning(*RETURNED)
        )
        text = f"{by} asked for it to be brought to its end (method {method})"
        facts = {"action": "force_complete", "method": method.value, "by": by}
        asked = self._write_and_tell(write, Tell("action", text, facts))
        return asked or self._read(migration_id)

    def ask_tuning(self, migration_id: str, tuning: Tuning, by: str) -> Migration:
        """Record limits on top of those asked for before; of one that has ended nothing changes."""
        unfinished = migrations.c.id == migration_id, migrations.c.finished_at.is_(None)
        locked = select(migrations.c.tuning).where(*unfinished).with_for_update()
        facts = {"action": "tune", "by": by, **to_column(tuning)}

        def work(connection: Connection) -> Migration | None:
            found = connection.execute(locked).first()
            if found is None:
                return None
            grown = Tuning(**(found.tuning or {})).plus(tuning)
            values = {"tuning": to_column(grown), **NEXT_EVENT}
            write = update(migrations).where(*unfinished).values(values).returning(*RETURNED)
            row = connection.execute(write).one()
            self._append(connection, row, Tell("action", f"{by} set other limits", facts))
            return migration_from(row)

        return self._database.write(work) or self._read(migration_id)

    def note(
        self, migration_id: str, kind: str, text: str, facts: Mapping[str, Any] | None = None
    ) -> None:
        """Append one event; nothing for an unknown migration."""
        count = update(migrations).where(migrations.c.id == migration_id).values(NEXT_EVENT)
        self._write_and_tell(count.returning(*RETURNED), Tell(kind, text, facts or {}))

    def record_action(self, migration_id: str, action: ActionRecord) -> None:
        """Append to the migration's ``actions``, and an event that tells of it."""
        mine = migrations.c.id == migration_id
        # Two that append at once must not each keep only their own.
        locked = select(migrations.c.actions).where(mine).with_for_update()
        text = _told(action)

        def work(connection: Connection) -> None:
            actions = connection.execute(locked).scalar()
            if actions is not None and not _recorded(actions, action):
                grown = {"actions": [*actions, to_column(action)], **NEXT_EVENT}
                write = update(migrations).where(mine).values(grown).returning(*RETURNED)
                row = connection.execute(write).one()
                self._append(connection, row, Tell("action", text, to_column(action)))

        self._database.write(work)

    # -- to-dos

    def finish_todo(
        self,
        todo: Todo,
        effects: Sequence[Effect] = (),
        *,
        before: Sequence[Todo] = (),
        **changes: Any,
    ) -> Migration | None:
        """Mark it done, and those ``before`` it; with the last one of a ``switched`` migration that is
        ``completed``, and whatever it still claims is released."""
        done = todo_work.Done(todo, effects, changes, before)
        return todo_work.finish(self._database, self._now, done)

    def postpone_todo(self, todo: Todo, error: str, delay_s: float, attention: str | None) -> None:
        """Due again after ``delay_s``. Only an error that is new makes an event: a host may be away
        for hours."""
        changes = {} if attention is None else {"attention": attention}
        todo_work.postpone(
            self._database, self._now, todo, todo_work.Delay(error, delay_s, changes)
        )

    # -- a cold move's last word

    def confirm(self, migration_id: str, by: str) -> Migration | None:
        """Let the source go now; None when it does not wait for that, or not any more."""
        return confirmation.confirm(self._database, self._now, migration_id, by)

    def revert(self, migration_id: str, by: str) -> Migration | None:
        """awaiting_confirm -> reverting; None when it does not wait for that, or not any more."""
        return confirmation.revert(self._database, self._now, migration_id, by)

    # -- writing

    def _write_and_tell(self, write: Any, entry: Tell) -> Migration | None:
        def work(connection: Connection) -> Migration | None:
            row = connection.execute(write).first()
            if row is None:
                return None
            self._append(connection, row, entry)
            return migration_from(row)

        return self._database.write(work)

    def _append(self, connection: Connection, row: AnyRow, *entries: Tell) -> None:
        append(connection, row.id, row.event_seq, self._now(), *entries)

    def _fenced(self, connection: Connection, lead: Lead, write: Any, what: str) -> AnyRow:
        row: AnyRow | None = connection.execute(write).first()
        if row is None:
            raise superseded(connection, lead, what)
        return row


def _told(action: ActionRecord) -> str:
    """In the history: what a monitor did stands there with the numbers it was decided on."""
    if action.sequence == 0:
        return f"{action.action}, asked by {action.by} ({action.rule}): {action.result}"
    numbers = ", ".join(f"{name} {value:g}" for name, value in action.facts.items())
    told = f"{action.action}, decided by {action.by} ({action.rule}): {action.result}"
    return f"{told} [{numbers}]" if numbers else told


def _recorded(actions: Sequence[Mapping[str, Any]], action: ActionRecord) -> bool:
    """A monitor sends an action until it is heard; only the first of them counts."""
    this = (action.attempt, action.sequence)
    return action.sequence > 0 and any(
        (each.get("attempt", 0), each.get("sequence", 0)) == this for each in actions
    )
