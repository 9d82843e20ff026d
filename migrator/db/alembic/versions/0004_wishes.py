"""What instances need and wish for, and what hosts are told to be.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_JSON = sa.JSON(none_as_null=True)


def upgrade() -> None:
    op.add_column("instances", sa.Column("spec", _JSON, nullable=True))
    op.add_column(
        "instances",
        sa.Column("wishes", _JSON, nullable=False, server_default=sa.text("'{}'")),
    )
    op.add_column("hosts", sa.Column("tags", _JSON, nullable=False, server_default=sa.text("'[]'")))
    op.add_column("hosts", sa.Column("zone", sa.String(length=255), nullable=True))
    op.add_column(
        "hosts",
        sa.Column("revision", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
    )


def downgrade() -> None:
    for column in ("revision", "zone", "tags"):
        op.drop_column("hosts", column)
    for column in ("wishes", "spec"):
        op.drop_column("instances", column)
