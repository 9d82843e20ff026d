"""Migrations over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from migrator.api.asks import (
    ForceMigration,
    NewMigration,
    OneMigration,
    SomeEvents,
    SomeMigrations,
    TuneMigration,
)
from migrator.messages import (
    AbortAnswer,
    AbortMigration,
    ConfirmMigration,
    DryRun,
    EventList,
    ForceAnswer,
    ForceComplete,
    ListEvents,
    ListMigrations,
    Migrate,
    MigrationDisks,
    MigrationList,
    MigrationRef,
    MigrationView,
    RescueAnswer,
    RescueMigration,
    RevertMigration,
    Tune,
    TuneAnswer,
)

if TYPE_CHECKING:
    from migrator.conductor.rpcapi import ConductorApi


def _request(ask: NewMigration) -> Migrate:
    """Every field has the same name there."""
    return Migrate(**msgspec.structs.asdict(ask))


def create(conductor: ConductorApi, ask: NewMigration) -> MigrationView:
    return conductor.migrate(_request(ask))


def dry_run(conductor: ConductorApi, ask: NewMigration) -> DryRun:
    return conductor.dry_run(_request(ask))


def index(conductor: ConductorApi, ask: SomeMigrations) -> MigrationList:
    return conductor.list(
        ListMigrations(
            forced=ask.forced,
            needs_attention=ask.needs_attention,
            active=ask.active,
            instance=ask.instance,
            host=ask.host,
            limit=ask.limit,
        )
    )


def show(conductor: ConductorApi, ask: OneMigration) -> MigrationView:
    return conductor.show(MigrationRef(id=ask.id))


def disks(conductor: ConductorApi, ask: OneMigration) -> MigrationDisks:
    return conductor.show_disks(MigrationRef(id=ask.id))


def abort(conductor: ConductorApi, ask: OneMigration) -> AbortAnswer:
    return conductor.abort(AbortMigration(id=ask.id))


def force_complete(conductor: ConductorApi, ask: ForceMigration) -> ForceAnswer:
    return conductor.force_complete(ForceComplete(id=ask.id, method=ask.method))


def tune(conductor: ConductorApi, ask: TuneMigration) -> TuneAnswer:
    return conductor.tune(
        Tune(
            id=ask.id,
            bandwidth_mib_s=ask.bandwidth_mib_s,
            postcopy_bandwidth_mib_s=ask.postcopy_bandwidth_mib_s,
            max_downtime_ms=ask.max_downtime_ms,
        )
    )


def rescue(conductor: ConductorApi, ask: OneMigration) -> RescueAnswer:
    return conductor.rescue(RescueMigration(id=ask.id))


def confirm(conductor: ConductorApi, ask: OneMigration) -> MigrationView:
    return conductor.confirm(ConfirmMigration(id=ask.id))


def revert(conductor: ConductorApi, ask: OneMigration) -> MigrationView:
    return conductor.revert(RevertMigration(id=ask.id))


def events(conductor: ConductorApi, ask: SomeEvents) -> EventList:
    return conductor.events(ListEvents(id=ask.id, after=ask.after, limit=ask.limit))
