"""Migrations keep what was asked of them while they run.

Revision ID: 0006
Revises: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

COLUMNS = ("force_method", "force_by", "force_result", "force_why", "tuning", "start_flags")


def upgrade() -> None:
    with op.batch_alter_table("migrations") as table:
        table.add_column(sa.Column("force_method", sa.String(20)))
        table.add_column(sa.Column("force_by", sa.Text))
        table.add_column(sa.Column("force_result", sa.String(20)))
        table.add_column(sa.Column("force_why", sa.Text))
        table.add_column(sa.Column("tuning", sa.JSON(none_as_null=True)))
        table.add_column(sa.Column("start_flags", sa.JSON(none_as_null=True)))


def downgrade() -> None:
    with op.batch_alter_table("migrations") as table:
        for column in COLUMNS:
            table.drop_column(column)
