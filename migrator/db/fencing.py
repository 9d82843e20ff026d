"""The comparison that keeps a leader that was replaced from writing."""

from __future__ import annotations

from sqlalchemy import and_, select
from sqlalchemy.engine import Connection
from sqlalchemy.sql.elements import ColumnElement

from migrator.conductor.ports import Lead
from migrator.db.tables import migrations
from migrator.errors import Fenced


def led(lead: Lead) -> ColumnElement[bool]:
    """The migration's row, if ``lead`` still leads it."""
    return and_(migrations.c.id == lead.migration_id, migrations.c.epoch == lead.epoch)


def superseded(connection: Connection, lead: Lead, what: str) -> Fenced:
    """What a leader is told whose write found another epoch, or another state."""
    query = select(migrations.c.epoch, migrations.c.state, migrations.c.leader)
    row = connection.execute(query.where(migrations.c.id == lead.migration_id)).first()
    now = "does not exist" if row is None else f"is {row.state}, led by {row.leader or 'nobody'}"
    epoch = None if row is None else row.epoch
    return Fenced(
        "command.stale",
        f"migration {lead.migration_id} {now} (epoch {epoch}): {what} by {lead.leader} "
        f"in epoch {lead.epoch} came too late and changed nothing",
        migration_id=lead.migration_id,
        epoch=epoch,
    )
