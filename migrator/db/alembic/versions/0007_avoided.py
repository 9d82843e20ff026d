"""Which hosts a migration no longer tries.

Revision ID: 0007
Revises: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("migrations") as table:
        table.add_column(
            sa.Column(
                "avoided",
                sa.JSON(none_as_null=True),
                nullable=False,
                server_default=sa.text("'[]'"),
            )
        )


def downgrade() -> None:
    with op.batch_alter_table("migrations") as table:
        table.drop_column("avoided")
