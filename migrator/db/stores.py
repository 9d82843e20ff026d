"""All stores of one database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from migrator.conductor.ports import Stores
from migrator.db.claim_store import SqlClaimStore
from migrator.db.disk_store import SqlDiskStore
from migrator.db.engine import Database
from migrator.db.host_store import SILENT_S, SqlHostStore
from migrator.db.instance_store import SqlInstanceStore
from migrator.db.journal import SqlJournal
from migrator.db.migration_store import TODO_LEASE_S, SqlMigrationStore
from migrator.db.profile_store import SqlProfileStore


@dataclass(frozen=True)
class Patience:
    """How long the database's clock is waited for, in seconds."""

    silent_host_s: float = SILENT_S
    todo_lease_s: float = TODO_LEASE_S


def open_stores(
    database: Database, now: Callable[[], datetime], patience: Patience | None = None
) -> Stores:
    """Stores over a database that :func:`migrator.db.schema.check` found current.

    :param now: the conductors' clock, for the times in records.
    """
    wait = patience or Patience()
    return Stores(
        journal=SqlJournal(database, now),
        migrations=SqlMigrationStore(database, wait.todo_lease_s),
        hosts=SqlHostStore(database, wait.silent_host_s),
        instances=SqlInstanceStore(database, now),
        claims=SqlClaimStore(database, now),
        disks=SqlDiskStore(database),
        profiles=SqlProfileStore(database),
    )
