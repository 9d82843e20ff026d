"""Migrations keep what their hosts allow and what was expected of them.

Revision ID: 0009
Revises: 0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_JSON = sa.JSON(none_as_null=True)


def upgrade() -> None:
    op.add_column(
        "migrations",
        sa.Column("means", _JSON, nullable=False, server_default=sa.text("'[]'")),
    )
    op.add_column("migrations", sa.Column("forecast", _JSON, nullable=True))


def downgrade() -> None:
    op.drop_column("migrations", "forecast")
    op.drop_column("migrations", "means")
