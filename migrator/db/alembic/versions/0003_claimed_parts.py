"""Claims of particular CPUs and devices, and of everything else a placement gives.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("claims", sa.Column("placement", sa.JSON(none_as_null=True), nullable=True))
    for table, part in (
        ("claim_cpus", sa.Column("cpu", sa.Integer(), autoincrement=False, nullable=False)),
        ("claim_devices", sa.Column("address", sa.String(length=64), nullable=False)),
    ):
        op.create_table(
            table,
            sa.Column("host", sa.String(length=255), nullable=False),
            part,
            sa.Column("claim_id", sa.Integer(), nullable=False),
            sa.Column("use", sa.String(length=20), nullable=False),
            sa.ForeignKeyConstraint(["host"], ["hosts.name"], name=f"fk_{table}_host"),
            sa.ForeignKeyConstraint(
                ["claim_id"], ["claims.id"], name=f"fk_{table}_claim_id", ondelete="CASCADE"
            ),
            sa.PrimaryKeyConstraint("host", part.name, name=f"pk_{table}"),
        )
        op.create_index(f"ix_{table}_claim_id", table, ["claim_id"], unique=False)


def downgrade() -> None:
    op.drop_table("claim_devices")
    op.drop_table("claim_cpus")
    op.drop_column("claims", "placement")
