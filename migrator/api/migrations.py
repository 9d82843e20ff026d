"""Migrations over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migrator.api.asks import NewMigration, OneMigration, SomeEvents, SomeMigrations
from migrator.messages import (
    AbortAnswer,
    AbortMigration,
    DryRun,
    EventList,
    ListEvents,
    ListMigrations,
    Migrate,
    MigrationDisks,
    MigrationList,
    MigrationRef,
    MigrationView,
)

if TYPE_CHECKING:
    from migrator.conductor.rpcapi import ConductorApi


def _request(ask: NewMigration) -> Migrate:
    return Migrate(
        instance=ask.instance,
        kind=ask.kind,
        host=ask.host,
        force=ask.force,
        reason=ask.reason,
        bandwidth_mib_s=ask.bandwidth_mib_s,
        disk_pools=ask.disk_pools,
        flatten=ask.flatten,
        priority=ask.priority,
        request_id=ask.request_id,
    )


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


def events(conductor: ConductorApi, ask: SomeEvents) -> EventList:
    return conductor.events(ListEvents(id=ask.id, after=ask.after, limit=ask.limit))
