"""Disk records, what migrations do with disks, and room kept in pools.

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def _json() -> sa.JSON:
    return sa.JSON(none_as_null=True)


def upgrade() -> None:
    op.create_table(
        "instance_disks",
        sa.Column("instance_id", sa.String(length=36), nullable=False),
        sa.Column("target", sa.String(length=64), nullable=False),
        sa.Column("device", sa.String(length=20), nullable=False),
        sa.Column("bus", sa.String(length=20), nullable=False),
        sa.Column("source_type", sa.String(length=20), nullable=False),
        sa.Column("pool", sa.Text(), nullable=True),
        sa.Column("volume", sa.Text(), nullable=True),
        sa.Column("path", sa.Text(), nullable=True),
        sa.Column("format", sa.String(length=20), nullable=False),
        sa.Column("virtual_size", sa.BigInteger(), nullable=True),
        sa.Column("chain", _json(), nullable=False),
        sa.Column("cache", sa.String(length=20), nullable=True),
        sa.Column("discard", sa.String(length=20), nullable=True),
        sa.Column("detect_zeroes", sa.String(length=20), nullable=True),
        sa.Column("read_only", sa.Boolean(), nullable=False),
        sa.Column("shareable", sa.Boolean(), nullable=False),
        sa.Column("serial", sa.Text(), nullable=True),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.ForeignKeyConstraint(
            ["instance_id"], ["instances.id"], name="fk_instance_disks_instance_id"
        ),
        sa.PrimaryKeyConstraint("instance_id", "target", name="pk_instance_disks"),
    )
    op.create_table(
        "pool_claims",
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("pool", sa.String(length=255), nullable=False),
        sa.Column("migration_id", sa.String(length=36), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["host"], ["hosts.name"], name="fk_pool_claims_host"),
        sa.ForeignKeyConstraint(
            ["migration_id"], ["migrations.id"], name="fk_pool_claims_migration_id"
        ),
        sa.PrimaryKeyConstraint("host", "pool", "migration_id", name="pk_pool_claims"),
    )
    op.create_index("ix_pool_claims_migration_id", "pool_claims", ["migration_id"], unique=False)
    with op.batch_alter_table("migrations") as table:
        table.add_column(sa.Column("disk_pools", _json(), nullable=True))
        table.add_column(sa.Column("flatten", sa.Boolean(), nullable=True))
        table.add_column(sa.Column("disks", _json(), nullable=True))
    # What an earlier release accepted copies no disks.
    op.execute("UPDATE migrations SET disk_pools = '{}', flatten = false, disks = '[]'")
    with op.batch_alter_table("migrations") as table:
        table.alter_column("disk_pools", existing_type=_json(), nullable=False)
        table.alter_column("flatten", existing_type=sa.Boolean(), nullable=False)
        table.alter_column("disks", existing_type=_json(), nullable=False)


def downgrade() -> None:
    with op.batch_alter_table("migrations") as table:
        table.drop_column("disks")
        table.drop_column("flatten")
        table.drop_column("disk_pools")
    op.drop_table("pool_claims")
    op.drop_table("instance_disks")
