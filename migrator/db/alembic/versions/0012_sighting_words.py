"""Each sighting has the number of the word that said it.

Revision ID: 0012
Revises: 0011
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False, server_default=sa.text("0"))


def upgrade() -> None:
    with op.batch_alter_table("hosts") as table:
        table.add_column(_number("whole_generation"))
    with op.batch_alter_table("sightings") as table:
        table.alter_column("summary", existing_type=sa.JSON(none_as_null=True), nullable=True)
        table.add_column(_number("word"))
        table.add_column(_number("since"))


def downgrade() -> None:
    op.execute("DELETE FROM sightings WHERE summary IS NULL")
    with op.batch_alter_table("sightings") as table:
        table.drop_column("since")
        table.drop_column("word")
        table.alter_column("summary", existing_type=sa.JSON(none_as_null=True), nullable=False)
    with op.batch_alter_table("hosts") as table:
        table.drop_column("whole_generation")
