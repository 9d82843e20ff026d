"""Putting a migration into the queue: once per request, one unfinished per instance."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import insert, select
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from migrator.db.engine import Database
from migrator.db.history import append
from migrator.db.migration_rows import MIGRATION
from migrator.db.rows import migration_from, to_columns
from migrator.db.tables import instances, migrations
from migrator.errors import Broken, Refused
from migrator.model import Migration, Tell
from migrator.states import MigrationState


def submit(
    database: Database, migration: Migration, told: Sequence[Tell], now: datetime
) -> Migration:
    """Insert it, or find out which rule of the tables it met."""
    queued = dataclasses.replace(
        migration, state=MigrationState.QUEUED, epoch=0, leader=None, abort_by=None
    )

    def work(connection: Connection) -> Migration:
        columns = to_columns(queued)
        connection.execute(insert(migrations).values(**columns, event_seq=len(told) + 1))
        facts = {"to": queued.state.value, "mode": queued.mode.value, "host": queued.requested_host}
        text = "accepted and queued"
        if queued.force_reason is not None:
            text += f", forced: {queued.force_reason}"
        append(connection, queued.id, len(told) + 1, now, Tell("state", text, facts), *told)
        return queued

    try:
        return database.write(work)
    except Broken as error:
        if not isinstance(error.__cause__, IntegrityError):
            raise
        return _existing(database, migration, error)


def _existing(database: Database, migration: Migration, error: Broken) -> Migration:
    same_request = migrations.c.request_id == migration.request_id
    same_instance = migrations.c.instance_id == migration.instance_id
    query = select(*MIGRATION)
    with database.reader() as connection:
        if migration.request_id is not None:
            row = connection.execute(query.where(same_request)).first()
            if row is not None:
                return migration_from(row)
        row = connection.execute(
            query.where(same_instance, migrations.c.finished_at.is_(None))
        ).first()
        known = select(instances.c.id).where(instances.c.id == migration.instance_id)
        is_known = connection.execute(known).first() is not None
    if row is not None:
        running = migration_from(row)
        raise Refused(
            "migration.exists",
            f"{running.instance_name} is being migrated already: {running.id} is {running.state}; "
            f"wait for it or `migrator migration abort {running.id}`",
            id=running.id,
            state=running.state.value,
        ) from error
    if not is_known:
        raise Refused(
            "instance.unknown",
            f"there is no instance {migration.instance_id}",
            instance=migration.instance_id,
        ) from error
    raise error
