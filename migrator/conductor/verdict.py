"""`migrate` and `dry_run`: everything that can be said before anything is touched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec

from migrator.conductor.admission import judge_migrate, parse_request
from migrator.conductor.context import Context
from migrator.conductor.disk_records import check_records, describe
from migrator.conductor.expectations import Outing, expect, means_of, sending_of
from migrator.conductor.forecast import told
from migrator.conductor.placement import (
    MOST_CANDIDATES,
    Checked,
    check_guest,
    check_pair,
    disk_wishes,
    nobody_fits,
    select_hosts,
)
from migrator.conductor.profiles import resolve
from migrator.conductor.views import devices_view, pins_view
from migrator.conductor.wanted import Move
from migrator.errors import Transient
from migrator.messages import DryRun, HostVerdict, Migrate, SourceFacts
from migrator.model import (
    ActionRecord,
    DiskMode,
    DiskMove,
    Forecast,
    Host,
    Instance,
    Kind,
    MeansVerdict,
    Method,
    Migration,
    MigrationRequest,
    Profile,
    Tell,
)
from migrator.scheduler.select import Judged, Selection
from migrator.states import MigrationState
from migrator.storage.moves import copied
from migrator.storage.tell import move_view

MEASURED_FROM_MIB = 4096
"""Guests whose transfer takes so long that a second for measuring them does not count."""


@dataclass(frozen=True)
class _Case:
    """A request with all that was read for it."""

    request: MigrationRequest
    instance: Instance
    source: Host
    move: Move
    facts: SourceFacts
    selection: Selection
    profile: Profile


def admit(context: Context, asked: Migrate) -> Migration:
    """Judge the request and queue it.

    :raises Refused: when no host could take it, or the request itself is wrong; nothing was changed.
    """
    request = parse_request(asked)
    repeated = _same_request(context, request)
    if repeated is not None:
        return repeated
    case = _open(context, request, MOST_CANDIDATES)
    tried: list[Checked] = []
    for judged in case.selection.fitting:
        checked = check_pair(context, case.facts, case.move, judged)
        if not checked.refusals:
            return _submit(context, case, judged, checked)
        tried.append(checked)
    raise nobody_fits(case.selection, tried, request.host)


def dry_run(context: Context, asked: Migrate) -> DryRun:
    """Every host's answer; asks both agents of every host that the selection lets through."""
    request = parse_request(asked)
    case = _open(context, request)
    verdicts = [_host_verdict(context, case, judged) for judged in case.selection.judged]
    pairs = zip(verdicts, case.selection.judged, strict=True)
    fitting = [(told, judged) for told, judged in pairs if told.fits]
    live = request.kind is Kind.LIVE
    means: tuple[MeansVerdict, ...] = ()
    expected: Forecast | None = None
    if fitting and live:
        told, judged = fitting[0]
        copies = any(disk.mode == DiskMode.COPY for disk in told.disks)
        means = means_of(context, case.facts, (case.source, judged.candidate.host), copies)
        disks = sum(disk.virtual_size or 0 for disk in told.disks if disk.mode == DiskMode.COPY)
        outing = _outing(case, judged, means, disks)
        expected = expect(context, outing, measure=True)
        means = sending_of(context, outing, expected).means
    return DryRun(
        instance=case.instance.name,
        chosen=fitting[0][0].host if fitting else None,
        hosts=verdicts,
        methods=[str(each) for each in means] if live else [Method.COLD],
        forecast=None if expected is None else msgspec.to_builtins(expected),
    )


def _submit(context: Context, case: _Case, judged: Judged, checked: Checked) -> Migration:
    migration = _migration(context, case)
    if migration.kind is not Kind.LIVE:
        return context.stores.journal.submit(migration)
    copies = copied(checked.disks.plan.moves)
    means = means_of(context, case.facts, (case.source, judged.candidate.host), bool(copies))
    large = case.facts.memory_mib >= MEASURED_FROM_MIB
    disks = sum(each.needs for each in copies)
    expected = expect(context, _outing(case, judged, means, disks), measure=large)
    said = Tell("observed", f"forecast: {told(expected)}", msgspec.to_builtins(expected))
    return context.stores.journal.submit(replace(migration, forecast=expected), [said])


def _outing(case: _Case, judged: Judged, means: tuple[MeansVerdict, ...], disks: int) -> Outing:
    return Outing(
        case.source,
        judged.candidate.host,
        case.facts,
        case.profile,
        means,
        disks,
        case.profile.bandwidth_mib_s,
    )


def _same_request(context: Context, request: MigrationRequest) -> Migration | None:
    if request.request_id is None:
        return None
    return context.stores.migrations.by_request(request.request_id)


def _open(context: Context, request: MigrationRequest, enough: int | None = None) -> _Case:
    instance = context.stores.instances.resolve(request.instance)
    candidates = context.candidates.now()
    hosts = {each.host.name: each.host for each in candidates}
    judge_migrate(request, instance, hosts)
    profile = resolve(
        request,
        instance.profile,
        context.settings.default_profile,
        context.stores.profiles.all(),
    )
    source = instance.host
    assert source is not None
    if not hosts[source].alive:
        raise Transient(
            "host.agent_down",
            f"{instance.name} is on {source}, which cannot be reached: {hosts[source].why_down}; "
            f"see `migrator host show {source}`",
            host=source,
        )
    known = context.stores.disks.of_instance(instance.id)
    facts = describe(context, source, instance.id, request.kind, known)
    check_guest(facts, instance.wishes)
    check_records(facts, known)
    move = Move(
        source,
        request.mode,
        request.host,
        disks=disk_wishes(request, instance.wishes, facts),
        kind=request.kind,
        wishes=instance.wishes,
    )
    selection = select_hosts(context, facts, move, enough, candidates)
    return _Case(request, instance, hosts[source], move, facts, selection, profile)


def _migration(context: Context, case: _Case) -> Migration:
    request = case.request
    return Migration(
        id=context.concurrency.fresh_id(),
        instance_id=case.instance.id,
        instance_name=case.instance.name,
        kind=request.kind,
        mode=request.mode,
        state=MigrationState.QUEUED,
        created_at=context.clock.now(),
        request_id=request.request_id,
        requested_host=request.host,
        force_reason=request.force_reason,
        bandwidth_mib_s=case.profile.bandwidth_mib_s,
        disk_pools=request.disk_pools,
        flatten=request.flatten,
        priority=request.priority,
        profile=case.profile,
        source=case.move.source,
        actions=_recorded(context, request),
    )


def _recorded(context: Context, request: MigrationRequest) -> tuple[ActionRecord, ...]:
    """Who looks at a forced migration later sees why it was."""
    if request.force_reason is None:
        return ()
    now = context.clock.now()
    return (ActionRecord(now, "force", "operator", "operator", request.force_reason),)


def _host_verdict(context: Context, case: _Case, judged: Judged) -> HostVerdict:
    refusals = list(judged.refusals)
    disks: Sequence[DiskMove] = ()
    if judged.fits:
        checked = check_pair(context, case.facts, case.move, judged)
        refusals += checked.refusals
        disks = checked.disks.plan.moves
    return HostVerdict(
        host=judged.candidate.host.name,
        fits=not refusals,
        score=None if refusals else judged.score,
        refusals=refusals,
        pins=None if refusals else pins_view(judged.placement),
        devices=None if refusals else devices_view(judged.placement),
        disks=[move_view(move) for move in disks],
    )
