"""Every table. ``alembic/versions`` makes them; a test holds both equal.

Times are UTC. ``finished_at IS NULL`` means unfinished, everywhere and in the index that allows one
unfinished migration per instance.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

from migrator.db.columns import UtcDateTime

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_Json = JSON(none_as_null=True)

hosts = Table(
    "hosts",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("state", String(20), nullable=False),
    Column("libvirt_uri", Text, nullable=False),
    Column("peer_uri", Text, nullable=False),
    Column("control_address", Text, nullable=False),
    Column("migration_address", Text, nullable=False),
    Column("disk_address", Text, nullable=False),
    Column("incarnation", String(64), nullable=False, default=""),
    Column("agent_version", String(64), nullable=False, default=""),
    Column("why_down", Text, nullable=False, default=""),
    Column("seen_at", UtcDateTime),
    Column("facts", _Json),
    Column("inventory_generation", BigInteger, nullable=False, default=0),
    Column("whole_generation", BigInteger, nullable=False, default=0, server_default=text("0")),
    Column("claims_generation", BigInteger, nullable=False, default=0),
    Column("tags", _Json, nullable=False, default=[], server_default=text("'[]'")),
    Column("zone", String(255)),
    Column("revision", BigInteger, nullable=False, default=0, server_default=text("0")),
    # Asked for before each decision; without it every host's facts are gone through for two numbers.
    Index("ix_hosts_mark", "revision", "claims_generation"),
)

instances = Table(
    "instances",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("name", Text, nullable=False, index=True),
    Column("host", ForeignKey("hosts.name"), index=True),
    Column("status", String(20), nullable=False),
    Column("vcpus", Integer, nullable=False),
    Column("memory_mib", BigInteger, nullable=False),
    Column("persistent", Boolean, nullable=False),
    Column("candidates", _Json, nullable=False),
    Column("spec", _Json),
    Column("profile", String(64)),
    Column("wishes", _Json, nullable=False, default={}, server_default=text("'{}'")),
    Column("updated_at", UtcDateTime, nullable=False),
)

sightings = Table(
    "sightings",
    metadata,
    Column("host", ForeignKey("hosts.name"), primary_key=True),
    Column("instance_id", String(36), primary_key=True, index=True),
    Column("summary", _Json),
    Column("word", BigInteger, nullable=False, default=0, server_default=text("0")),
    Column("since", BigInteger, nullable=False, default=0, server_default=text("0")),
)

profiles = Table(
    "profiles",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("max_downtime_ms", BigInteger, nullable=False),
    Column("allow_throttle", Boolean, nullable=False),
    Column("allow_postcopy", Boolean, nullable=False),
    Column("allow_pause", Boolean, nullable=False),
    Column("deadline_s", BigInteger),
    Column("deadline_per_gib", BigInteger),
    Column("on_deadline", String(20), nullable=False),
    Column("bandwidth_mib_s", BigInteger),
    Column("postcopy_bandwidth_mib_s", BigInteger),
)

migrations = Table(
    "migrations",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("instance_id", ForeignKey("instances.id"), nullable=False),
    Column("instance_name", Text, nullable=False),
    Column("kind", String(20), nullable=False),
    Column("mode", String(20), nullable=False),
    Column("state", String(20), nullable=False),
    Column("created_at", UtcDateTime, nullable=False, index=True),
    Column("request_id", String(255)),
    Column("requested_host", Text),
    Column("force_reason", Text),
    Column("forced_policies", _Json, nullable=False),
    Column("bandwidth_mib_s", BigInteger),
    Column("disk_pools", _Json, nullable=False, default=dict),
    Column("flatten", Boolean, nullable=False, default=False),
    Column("disks", _Json, nullable=False, default=list),
    Column("priority", Integer, nullable=False),
    Column("profile", _Json),
    Column("means", _Json, nullable=False, default=[], server_default=text("'[]'")),
    Column("forecast", _Json),
    Column("source", String(255)),
    Column("destination", String(255)),
    Column("avoided", _Json, nullable=False, default=[], server_default=text("'[]'")),
    Column("epoch", BigInteger, nullable=False),
    Column("leader", String(255)),
    Column("lease_until", UtcDateTime),
    Column("attempt", Integer, nullable=False),
    Column("abort_by", Text),
    Column("force_method", String(20)),
    Column("force_by", Text),
    Column("force_result", String(20)),
    Column("force_why", Text),
    Column("tuning", _Json),
    Column("start_flags", _Json),
    Column("started_at", UtcDateTime),
    Column("switched_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    Column("method", String(20)),
    Column("statistics", _Json, nullable=False),
    Column("actions", _Json, nullable=False),
    Column("attention", Text),
    Column("error_code", String(64)),
    Column("error", Text),
    Column("event_seq", BigInteger, nullable=False, default=0),
    UniqueConstraint("request_id"),
)

unfinished_index = Index(
    "uq_migrations_unfinished",
    migrations.c.instance_id,
    unique=True,
    sqlite_where=migrations.c.finished_at.is_(None),
    postgresql_where=migrations.c.finished_at.is_(None),
)

Index("ix_migrations_instance_id", migrations.c.instance_id)

migration_events = Table(
    "migration_events",
    metadata,
    Column("migration_id", ForeignKey("migrations.id"), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at", UtcDateTime, nullable=False),
    Column("kind", String(20), nullable=False),
    Column("text", Text, nullable=False),
    Column("facts", _Json, nullable=False),
)

migration_steps = Table(
    "migration_steps",
    metadata,
    Column("migration_id", ForeignKey("migrations.id"), primary_key=True),
    Column("name", String(255), primary_key=True),
    Column("uuid", String(36), nullable=False),
    Column("position", Integer, nullable=False),
    Column("state", String(20)),
    Column("intention", String(20)),
    Column("version", String(64)),
    Column("results", Text),
    Column("revert_results", Text),
    Column("failure", Text),
    Column("revert_failure", Text),
    Column("meta", Text),
)

claims = Table(
    "claims",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("host", ForeignKey("hosts.name"), nullable=False),
    Column("instance_id", ForeignKey("instances.id"), nullable=False, index=True),
    Column("purpose", String(20), nullable=False),
    Column("vcpus", Integer, nullable=False),
    Column("memory_mib", BigInteger, nullable=False),
    Column("placement", _Json),
    Column("migration_id", ForeignKey("migrations.id"), index=True),
    Column("created_at", UtcDateTime, nullable=False),
    UniqueConstraint("host", "instance_id"),
    sqlite_autoincrement=True,
)

claim_cpus = Table(
    "claim_cpus",
    metadata,
    Column("host", ForeignKey("hosts.name"), primary_key=True),
    Column("cpu", Integer, primary_key=True, autoincrement=False),
    Column("claim_id", ForeignKey("claims.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("use", String(20), nullable=False),
)

claim_devices = Table(
    "claim_devices",
    metadata,
    Column("host", ForeignKey("hosts.name"), primary_key=True),
    Column("address", String(64), primary_key=True),
    Column("claim_id", ForeignKey("claims.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("use", String(20), nullable=False),
)

todos = Table(
    "todos",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("migration_id", ForeignKey("migrations.id"), nullable=False, index=True),
    Column("kind", String(20), nullable=False),
    Column("host", String(255), nullable=False),
    Column("payload", _Json, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("next_try_at", UtcDateTime, nullable=False),
    Column("last_error", Text),
    Column("created_at", UtcDateTime, nullable=False),
    Column("worker", String(255)),
    Column("worker_until", UtcDateTime),
    Column("done", Boolean, nullable=False, default=False),
    sqlite_autoincrement=True,
)

Index(
    "ix_todos_open",
    todos.c.next_try_at,
    sqlite_where=todos.c.done.is_(false()),
    postgresql_where=todos.c.done.is_(false()),
)

instance_disks = Table(
    "instance_disks",
    metadata,
    Column("instance_id", ForeignKey("instances.id"), primary_key=True),
    Column("target", String(64), primary_key=True),
    Column("device", String(20), nullable=False),
    Column("bus", String(20), nullable=False),
    Column("source_type", String(20), nullable=False),
    Column("pool", Text),
    Column("volume", Text),
    Column("path", Text),
    Column("format", String(20), nullable=False),
    Column("virtual_size", BigInteger),
    Column("chain", _Json, nullable=False),
    Column("cache", String(20)),
    Column("discard", String(20)),
    Column("detect_zeroes", String(20)),
    Column("read_only", Boolean, nullable=False),
    Column("shareable", Boolean, nullable=False),
    Column("serial", Text),
    Column("state", String(20), nullable=False),
)

group_marks = Table(
    "group_marks",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("mark", Integer, nullable=False),
)

pool_claims = Table(
    "pool_claims",
    metadata,
    Column("host", ForeignKey("hosts.name"), primary_key=True),
    Column("pool", String(255), primary_key=True),
    Column("migration_id", ForeignKey("migrations.id"), primary_key=True, index=True),
    Column("bytes", BigInteger, nullable=False),
)
