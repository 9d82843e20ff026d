"""A migration, its history, and the work it leaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from migrator.model.disks import DiskMove, DiskProgress
from migrator.model.domains import Statistics
from migrator.model.methods import Forecast, MeansVerdict
from migrator.model.profiles import OnDeadline, Profile
from migrator.model.steering import ForceMethod, Tuning
from migrator.model.words import Kind, Method, Mode, Phase, TodoKind
from migrator.states import MigrationState


@dataclass(frozen=True)
class MigrationRequest:
    """What an operator asked for, after validation."""

    instance: str
    kind: Kind = Kind.LIVE
    mode: Mode = Mode.AUTO
    host: str | None = None
    force_reason: str | None = None
    bandwidth_mib_s: int | None = None
    profile: str | None = None
    deadline_s: int | None = None
    on_deadline: OnDeadline | None = None
    postcopy_bandwidth_mib_s: int | None = None
    disk_pools: Mapping[str, str] = field(default_factory=dict)
    """target -> pool of the destination, where one was asked for."""
    flatten: bool = False
    """Disks that stand on a base image may arrive standing alone."""
    priority: int = 0
    request_id: str | None = None
    """Chosen by the client; the same id gets the same answer."""


@dataclass(frozen=True)
class ActionRecord:
    """Something that was decided or asked about a running migration, for its record."""

    at: datetime
    action: str
    rule: str
    by: str
    result: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    """The numbers it was decided on."""
    attempt: int = 0
    sequence: int = 0
    """Within the attempt, of what its monitor did; 0 for everything else."""


@dataclass(frozen=True)
class Migration:
    """One instance moving; the row that says where it stands."""

    id: str
    instance_id: str
    instance_name: str
    kind: Kind
    mode: Mode
    state: MigrationState
    created_at: datetime
    request_id: str | None = None
    requested_host: str | None = None
    force_reason: str | None = None
    forced_policies: tuple[str, ...] = ()
    bandwidth_mib_s: int | None = None
    priority: int = 0
    profile: Profile | None = None
    """As resolved when it was asked for; None for one that an older release accepted."""
    means: tuple[MeansVerdict, ...] = ()
    """What its hosts and its guest allow; nothing until it has a place."""
    forecast: Forecast | None = None
    """What was expected of it when it was asked for; the outcome stands beside it."""
    source: str | None = None
    destination: str | None = None
    avoided: tuple[str, ...] = ()
    """Hosts that had been taken by others when it came to it; not tried again."""
    epoch: int = 0
    leader: str | None = None
    attempt: int = 0
    abort_by: str | None = None
    """Who asked for the abort; None while nobody has."""
    disk_pools: Mapping[str, str] = field(default_factory=dict)
    flatten: bool = False
    disks: tuple[DiskMove, ...] = ()
    """What becomes of each disk, once a destination was chosen."""
    force_method: ForceMethod | None = None
    """How it was asked to be brought to its end; None while nobody has."""
    force_by: str | None = None
    force_result: str | None = None
    """What the source's agent said to that: ``accepted``, ``deferred``, ``refused``; None until then."""
    force_why: str | None = None
    tuning: Tuning | None = None
    start_flags: tuple[str, ...] | None = None
    """What the transfer was started again with, the one time that was worth it."""
    started_at: datetime | None = None
    switched_at: datetime | None = None
    finished_at: datetime | None = None
    method: Method | None = None
    statistics: Statistics = field(default_factory=Statistics)
    actions: tuple[ActionRecord, ...] = ()
    attention: str | None = None
    """Why a person should look; None while nobody needs to."""
    error_code: str | None = None
    error: str | None = None


@dataclass(frozen=True)
class InLine:
    """As much of an unfinished migration as decides who may start next."""

    id: str
    state: MigrationState
    priority: int
    created_at: datetime
    source: str | None
    destination: str | None
    requested_host: str | None
    bandwidth_mib_s: int | None
    profile: Profile | None


@dataclass(frozen=True)
class MigrationEvent:
    """One line of a migration's append-only history."""

    seq: int
    migration_id: str
    at: datetime
    kind: str
    """``state``, ``step``, ``action``, ``todo``, ``observed``, ``alarm``."""
    text: str
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Progress:
    """How far a migration is, kept in memory; None where nobody has said. bytes, bytes/s."""

    phase: Phase
    memory_total: int | None = None
    memory_remaining: int | None = None
    disk_total: int | None = None
    disk_remaining: int | None = None
    disks: tuple[DiskProgress, ...] = ()
    iteration: int | None = None
    dirty_rate: int | None = None
    bandwidth: int | None = None


@dataclass(frozen=True)
class Todo:
    """Durable work on one host."""

    id: int
    migration_id: str
    kind: TodoKind
    host: str
    payload: Mapping[str, Any]
    attempts: int
    next_try_at: datetime
    last_error: str | None
    created_at: datetime
