"""Groups count the places that their members take: no two members take theirs unseen by each other.

Revision ID: 0010
Revises: 0009
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "group_marks",
        sa.Column("name", sa.String(255), primary_key=True),
        sa.Column("mark", sa.Integer, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("group_marks")
