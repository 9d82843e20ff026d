"""`migrate` and `dry_run`: everything that can be said before anything is touched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from migrator.conductor.admission import judge_migrate, parse_request
from migrator.conductor.context import Context
from migrator.conductor.disk_records import check_records
from migrator.conductor.placement import (
    MOST_CANDIDATES,
    Checked,
    Move,
    check_guest,
    check_pair,
    disk_wishes,
    nobody_fits,
    select_hosts,
)
from migrator.conductor.profiles import resolve
from migrator.conductor.views import devices_view, pins_view
from migrator.errors import Transient
from migrator.messages import DryRun, HostVerdict, InstanceRef, Migrate, SourceFacts
from migrator.model import (
    ActionRecord,
    DiskMove,
    Instance,
    Kind,
    Method,
    Migration,
    MigrationRequest,
    Profile,
)
from migrator.scheduler.select import Judged, Selection
from migrator.states import MigrationState
from migrator.storage.tell import move_view


@dataclass(frozen=True)
class _Case:
    """A request with all that was read for it."""

    request: MigrationRequest
    instance: Instance
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
            return context.stores.journal.submit(_migration(context, case))
        tried.append(checked)
    raise nobody_fits(case.selection, tried, request.host)


def dry_run(context: Context, asked: Migrate) -> DryRun:
    """Every host's answer; asks both agents of every host that the selection lets through."""
    request = parse_request(asked)
    case = _open(context, request)
    verdicts = [_host_verdict(context, case, judged) for judged in case.selection.judged]
    return DryRun(
        instance=case.instance.name,
        chosen=next((verdict.host for verdict in verdicts if verdict.fits), None),
        hosts=verdicts,
        methods=[Method.COLD if request.kind is Kind.COLD else Method.PRECOPY],
        forecast=None,
    )


def _same_request(context: Context, request: MigrationRequest) -> Migration | None:
    if request.request_id is None:
        return None
    return context.stores.migrations.by_request(request.request_id)


def _open(context: Context, request: MigrationRequest, enough: int | None = None) -> _Case:
    instance = context.stores.instances.resolve(request.instance)
    hosts = {host.name: host for host in context.stores.hosts.list()}
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
    facts = context.agents.describe_source(
        source, InstanceRef(instance_id=instance.id, kind=request.kind)
    )
    check_guest(context, facts)
    check_records(context, facts)
    wishes = disk_wishes(request)
    move = Move(source, request.mode, request.host, disks=wishes, kind=request.kind)
    selection = select_hosts(context, facts, move, enough)
    return _Case(request, instance, move, facts, selection, profile)


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
        bandwidth_mib_s=request.bandwidth_mib_s,
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
