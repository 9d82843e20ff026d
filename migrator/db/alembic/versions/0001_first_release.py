"""Everything the first release keeps.

Revision ID: 0001
Revises:
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "hosts",
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("libvirt_uri", sa.Text(), nullable=False),
        sa.Column("peer_uri", sa.Text(), nullable=False),
        sa.Column("control_address", sa.Text(), nullable=False),
        sa.Column("migration_address", sa.Text(), nullable=False),
        sa.Column("disk_address", sa.Text(), nullable=False),
        sa.Column("incarnation", sa.String(length=64), nullable=False),
        sa.Column("agent_version", sa.String(length=64), nullable=False),
        sa.Column("why_down", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("facts", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("inventory_generation", sa.BigInteger(), nullable=False),
        sa.Column("claims_generation", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_hosts"),
    )
    op.create_table(
        "instances",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=True),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("vcpus", sa.Integer(), nullable=False),
        sa.Column("memory_mib", sa.BigInteger(), nullable=False),
        sa.Column("persistent", sa.Boolean(), nullable=False),
        sa.Column("candidates", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["host"], ["hosts.name"], name="fk_instances_host"),
        sa.PrimaryKeyConstraint("id", name="pk_instances"),
    )
    op.create_index("ix_instances_host", "instances", ["host"], unique=False)
    op.create_index("ix_instances_name", "instances", ["name"], unique=False)
    op.create_table(
        "sightings",
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("instance_id", sa.String(length=36), nullable=False),
        sa.Column("summary", sa.JSON(none_as_null=True), nullable=False),
        sa.ForeignKeyConstraint(["host"], ["hosts.name"], name="fk_sightings_host"),
        sa.PrimaryKeyConstraint("host", "instance_id", name="pk_sightings"),
    )
    op.create_index("ix_sightings_instance_id", "sightings", ["instance_id"], unique=False)
    op.create_table(
        "migrations",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("instance_id", sa.String(length=36), nullable=False),
        sa.Column("instance_name", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("mode", sa.String(length=20), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("request_id", sa.String(length=255), nullable=True),
        sa.Column("requested_host", sa.Text(), nullable=True),
        sa.Column("force_reason", sa.Text(), nullable=True),
        sa.Column("forced_policies", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("bandwidth_mib_s", sa.BigInteger(), nullable=True),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(length=255), nullable=True),
        sa.Column("destination", sa.String(length=255), nullable=True),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("leader", sa.String(length=255), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("abort_by", sa.Text(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("switched_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("method", sa.String(length=20), nullable=True),
        sa.Column("statistics", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("actions", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("attention", sa.Text(), nullable=True),
        sa.Column("error_code", sa.String(length=64), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("event_seq", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["instance_id"], ["instances.id"], name="fk_migrations_instance_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_migrations"),
        sa.UniqueConstraint("request_id", name="uq_migrations_request_id"),
    )
    op.create_index("ix_migrations_created_at", "migrations", ["created_at"], unique=False)
    op.create_index("ix_migrations_instance_id", "migrations", ["instance_id"], unique=False)
    op.create_index(
        "uq_migrations_unfinished",
        "migrations",
        ["instance_id"],
        unique=True,
        sqlite_where=sa.text("finished_at IS NULL"),
        postgresql_where=sa.text("finished_at IS NULL"),
    )
    op.create_table(
        "claims",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("instance_id", sa.String(length=36), nullable=False),
        sa.Column("purpose", sa.String(length=20), nullable=False),
        sa.Column("vcpus", sa.Integer(), nullable=False),
        sa.Column("memory_mib", sa.BigInteger(), nullable=False),
        sa.Column("migration_id", sa.String(length=36), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["host"], ["hosts.name"], name="fk_claims_host"),
        sa.ForeignKeyConstraint(["instance_id"], ["instances.id"], name="fk_claims_instance_id"),
        sa.ForeignKeyConstraint(["migration_id"], ["migrations.id"], name="fk_claims_migration_id"),
        sa.PrimaryKeyConstraint("id", name="pk_claims"),
        sa.UniqueConstraint("host", "instance_id", name="uq_claims_host_instance_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_claims_instance_id", "claims", ["instance_id"], unique=False)
    op.create_index("ix_claims_migration_id", "claims", ["migration_id"], unique=False)
    op.create_table(
        "migration_events",
        sa.Column("migration_id", sa.String(length=36), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("facts", sa.JSON(none_as_null=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["migration_id"], ["migrations.id"], name="fk_migration_events_migration_id"
        ),
        sa.PrimaryKeyConstraint("migration_id", "seq", name="pk_migration_events"),
    )
    op.create_table(
        "migration_steps",
        sa.Column("migration_id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("uuid", sa.String(length=36), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=True),
        sa.Column("intention", sa.String(length=20), nullable=True),
        sa.Column("version", sa.String(length=64), nullable=True),
        sa.Column("results", sa.Text(), nullable=True),
        sa.Column("revert_results", sa.Text(), nullable=True),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.Column("revert_failure", sa.Text(), nullable=True),
        sa.Column("meta", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["migration_id"], ["migrations.id"], name="fk_migration_steps_migration_id"
        ),
        sa.PrimaryKeyConstraint("migration_id", "name", name="pk_migration_steps"),
    )
    op.create_table(
        "todos",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("migration_id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("payload", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_try_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("worker", sa.String(length=255), nullable=True),
        sa.Column("worker_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("done", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["migration_id"], ["migrations.id"], name="fk_todos_migration_id"),
        sa.PrimaryKeyConstraint("id", name="pk_todos"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_todos_migration_id", "todos", ["migration_id"], unique=False)
    op.create_index(
        "ix_todos_open",
        "todos",
        ["next_try_at"],
        unique=False,
        sqlite_where=sa.text("done IS 0"),
        postgresql_where=sa.text("done IS false"),
    )


def downgrade() -> None:
    # In the reverse order, for the foreign keys.
    op.drop_table("todos")
    op.drop_table("migration_steps")
    op.drop_table("migration_events")
    op.drop_table("claims")
    op.drop_table("migrations")
    op.drop_table("sightings")
    op.drop_table("instances")
    op.drop_table("hosts")
