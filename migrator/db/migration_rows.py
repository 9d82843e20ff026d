"""What writers of a migration's row share."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from migrator.db.rows import model_columns
from migrator.db.tables import migrations
from migrator.model import Migration
from migrator.states import TERMINAL, MigrationState

MIGRATION = model_columns(migrations, Migration)

RETURNED = (*MIGRATION, migrations.c.event_seq)
"""What a write answers with: the migration, and the number of the event that tells of the write."""


def milestones(old: MigrationState, new: MigrationState, now: datetime) -> dict[str, Any]:
    """The columns that old -> new sets of itself."""
    columns: dict[str, Any] = {}
    if old is MigrationState.QUEUED:
        columns["started_at"] = now
    if new is MigrationState.SWITCHED:
        columns["switched_at"] = now
    if new in TERMINAL:
        columns |= {"finished_at": now, "leader": None, "lease_until": None}
        if new is not MigrationState.CANCELLED:
            # It came to nothing; who asked is in the history.
            columns["abort_by"] = None
    return columns
