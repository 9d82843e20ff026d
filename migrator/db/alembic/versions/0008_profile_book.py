"""Profiles that operators make, and which of them an instance has.

Revision ID: 0008
Revises: 0007
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "profiles",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("max_downtime_ms", sa.BigInteger(), nullable=False),
        sa.Column("allow_throttle", sa.Boolean(), nullable=False),
        sa.Column("allow_postcopy", sa.Boolean(), nullable=False),
        sa.Column("allow_pause", sa.Boolean(), nullable=False),
        sa.Column("deadline_s", sa.BigInteger(), nullable=True),
        sa.Column("deadline_per_gib", sa.BigInteger(), nullable=True),
        sa.Column("on_deadline", sa.String(length=20), nullable=False),
        sa.Column("bandwidth_mib_s", sa.BigInteger(), nullable=True),
        sa.Column("postcopy_bandwidth_mib_s", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_profiles")),
    )
    op.add_column("instances", sa.Column("profile", sa.String(length=64), nullable=True))


def downgrade() -> None:
    op.drop_column("instances", "profile")
    op.drop_table("profiles")
