"""Migrations keep the profile they were accepted with.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("migrations") as table:
        table.add_column(sa.Column("profile", sa.JSON(none_as_null=True)))


def downgrade() -> None:
    with op.batch_alter_table("migrations") as table:
        table.drop_column("profile")
