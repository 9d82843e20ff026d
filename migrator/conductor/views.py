"""What operators see, made from what is known; unknown is None."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from migrator.conductor.claim_audit import Finding
from migrator.conductor.host_parts import alarms
from migrator.messages import (
    ActionView,
    ClaimFinding,
    ClaimView,
    DiskView,
    EventView,
    HostView,
    InstanceView,
    MigrationDisks,
    MigrationView,
    PagesView,
    QueuePlace,
)
from migrator.model import (
    Claim,
    DiskMode,
    DiskRecord,
    Host,
    Instance,
    Migration,
    MigrationEvent,
    Phase,
    Placement,
    Progress,
    Todo,
)
from migrator.states import TERMINAL, MigrationState
from migrator.storage.tell import move_view

_PHASES = {
    MigrationState.QUEUED: Phase.QUEUE,
    MigrationState.SCHEDULING: Phase.PREPARE,
    MigrationState.CLAIMED: Phase.PREPARE,
    MigrationState.PREPARING: Phase.PREPARE,
    MigrationState.RUNNING: Phase.MEMORY,
    MigrationState.POSTCOPY: Phase.POSTCOPY,
    MigrationState.POSTCOPY_PAUSED: Phase.POSTCOPY,
    MigrationState.STOPPING: Phase.PREPARE,
    MigrationState.COPYING: Phase.DISK,
    MigrationState.SWITCHED: Phase.FINISH,
    MigrationState.AWAITING_CONFIRM: Phase.FINISH,
    MigrationState.REVERTING: Phase.FINISH,
    MigrationState.ROLLING_BACK: Phase.FINISH,
}


def waiting_for(migration: Migration, todos: Sequence[Todo]) -> Migration:
    """The same, its attention saying what it waits for, since when, and what is tried next."""
    if migration.attention is None or not todos:
        return migration
    each = "; ".join(
        f"{todo.host} is to {todo.kind.replace('_', ' ')} since {todo.created_at:%Y-%m-%d %H:%M:%S} "
        f"UTC, {todo.attempts} tries so far, the next at {todo.next_try_at:%H:%M:%S} UTC"
        for todo in todos
    )
    return replace(migration, attention=f"{migration.attention} ({each})")


def migration_view(
    migration: Migration, progress: Progress | None = None, queue: QueuePlace | None = None
) -> MigrationView:
    """`migration show`. After the switch nothing remains to be copied."""
    statistics = migration.statistics
    over = migration.switched_at is not None
    running = migration.state in (MigrationState.RUNNING, MigrationState.COPYING)
    phase = progress.phase if progress and running else _PHASES.get(migration.state)
    total = progress.memory_total if progress else None
    return MigrationView(
        id=migration.id,
        instance=migration.instance_name,
        kind=migration.kind,
        mode=migration.mode,
        state=migration.state,
        needs_attention=migration.attention,
        source=migration.source,
        destination=migration.destination or migration.requested_host,
        profile=migration.profile.name if migration.profile is not None else None,
        created_at=migration.created_at,
        switched_at=migration.switched_at,
        finished_at=migration.finished_at,
        phase=None if migration.state in TERMINAL else phase,
        memory_total=statistics.memory_total or total,
        memory_remaining=0 if over else (progress.memory_remaining if progress else None),
        disk_total=progress.disk_total if progress else statistics.disk_total,
        disk_remaining=0 if over else (progress.disk_remaining if progress else None),
        iteration=statistics.iterations or (progress.iteration if progress else None),
        dirty_rate=progress.dirty_rate if progress else None,
        bandwidth=progress.bandwidth if progress else None,
        downtime_ms=statistics.downtime_ms,
        total_ms=_total_ms(migration),
        method=migration.method,
        actions=[
            ActionView(
                at=each.at, action=each.action, rule=each.rule, by=each.by, result=each.result
            )
            for each in migration.actions
        ],
        queue=queue,
        error_code=migration.error_code,
        error=migration.error,
    )


def migration_disks(migration: Migration, progress: Progress | None) -> MigrationDisks:
    """`migration disks`: the plan, and how far each copy is. After the switch nothing remains."""
    over = migration.switched_at is not None
    now = {disk.target: disk.remaining for disk in progress.disks} if progress else {}
    return MigrationDisks(
        disks=[
            move_view(move, 0 if over else now.get(move.target))
            if move.mode is DiskMode.COPY
            else move_view(move)
            for move in migration.disks
        ]
    )


def _total_ms(migration: Migration) -> int | None:
    """From leaving the queue to the end, by the conductor's clock."""
    if migration.started_at is None or migration.finished_at is None:
        return None
    return round((migration.finished_at - migration.started_at).total_seconds() * 1000)


def event_view(event: MigrationEvent) -> EventView:
    return EventView(
        seq=event.seq, at=event.at, kind=event.kind, text=event.text, facts=dict(event.facts)
    )


def instance_view(instance: Instance, disks: Sequence[DiskRecord] = ()) -> InstanceView:
    return InstanceView(
        id=instance.id,
        name=instance.name,
        host=instance.host,
        status=instance.status,
        vcpus=instance.vcpus,
        memory_mib=instance.memory_mib,
        persistent=instance.persistent,
        candidates=list(instance.candidates),
        migration=instance.migration_id,
        updated_at=instance.updated_at,
        spec=instance.spec,
        wishes=instance.wishes,
        profile=instance.profile,
        disks=[disk_view(disk) for disk in disks],
    )


def disk_view(disk: DiskRecord) -> DiskView:
    """One line of `instance show`."""
    return DiskView(
        target=disk.target,
        device=disk.device,
        bus=disk.bus,
        pool=disk.pool,
        volume=disk.volume,
        format=disk.format,
        virtual_size=disk.virtual_size,
        chain=[
            f"{f'{layer.pool}/{layer.volume}' if layer.pool else layer.path} ({layer.format})"
            for layer in disk.chain
        ],
        cache=disk.cache,
        read_only=disk.read_only,
        shareable=disk.shareable,
        serial=disk.serial,
        state=disk.state,
    )


def claim_view(claim: Claim) -> ClaimView:
    return ClaimView(
        host=claim.host,
        instance=claim.instance_name,
        purpose=claim.purpose,
        vcpus=claim.vcpus,
        memory_mib=claim.memory_mib,
        migration=claim.migration_id,
        created_at=claim.created_at,
        pool_bytes=dict(claim.pool_bytes),
        **_parts(claim.placement),
    )


def _parts(placement: Placement | None) -> dict[str, Any]:
    if placement is None:
        return {}
    return {
        "pins": {str(vcpu): cpu for vcpu, cpu in placement.pins},
        "emulator_cpu": placement.emulator_cpu,
        "blocked_cpus": list(placement.blocked_cpus),
        "pages": [
            PagesView(cell=each.cell, size_kib=each.size_kib, count=each.count)
            for each in placement.pages
        ],
        "devices": [given.address for given in placement.devices],
    }


def finding_view(finding: Finding) -> ClaimFinding:
    """One line of `claim audit`."""
    return ClaimFinding(
        host=finding.host,
        instance=finding.instance or None,
        finding=finding.fault,
        message=finding.message,
    )


def pins_view(placement: Placement | None) -> dict[str, Any]:
    """vCPU -> host CPU, and ``emulator`` for a CPU of QEMU's own."""
    if placement is None:
        return {}
    pins: dict[str, Any] = {str(vcpu): cpu for vcpu, cpu in placement.pins}
    return pins if placement.emulator_cpu is None else {**pins, "emulator": placement.emulator_cpu}


def devices_view(placement: Placement | None) -> list[Any]:
    """Each device the guest has, and the one it would get for it."""
    given = () if placement is None else placement.devices
    return [{"request": one.request_id, "address": one.address} for one in given]


def host_view(host: Host, claims: Sequence[Claim], instances: int) -> HostView:
    """`host show`."""
    facts, lost = host.facts, alarms(host, claims)
    return HostView(
        name=host.name,
        state=host.state,
        alive=host.alive,
        why_down=None if host.alive else host.why_down,
        seen_at=host.seen_at,
        agent_version=host.agent_version or None,
        libvirt_version=_version(facts.libvirt_version) if facts else None,
        hypervisor_version=_version(facts.hypervisor_version) if facts else None,
        arch=facts.arch if facts else None,
        cpus=facts.cpus if facts else None,
        memory_mib=facts.memory_mib if facts else None,
        claimed_vcpus=sum(claim.vcpus for claim in claims),
        claimed_memory_mib=sum(claim.memory_mib for claim in claims),
        instances=instances,
        libvirt_uri=host.addresses.libvirt_uri,
        peer_uri=host.addresses.peer_uri,
        control_address=host.addresses.control_address,
        migration_address=host.addresses.migration_address,
        disk_address=host.addresses.disk_address,
        pools=list(facts.pools) if facts else [],
        networks=list(facts.networks) if facts else [],
        tags=list(host.tags),
        zone=host.zone,
        alarms=lost,
        needs_attention="; ".join(lost) or None,
    )


def _version(number: int) -> str:
    """libvirt's 9000000 as 9.0.0."""
    return f"{number // 1_000_000}.{number // 1_000 % 1_000}.{number % 1_000}"
