"""The disks' part of finding a destination: what both agents are asked, and what their answers mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from migrator.conductor.context import Context
from migrator.messages import DestinationChecked, SourceChecked, SourceFacts
from migrator.model import Host, Refusal
from migrator.storage.destination import (
    DestinationStorage,
    DiskWishes,
    Volume,
    pools_to_check,
    volumes_to_look_for,
)
from migrator.storage.plan import DiskPlan, in_the_room_left, plan_disks
from migrator.storage.room import promised_bytes

ABOUT_POOLS = frozenset({"pools", "volumes"})
"""Filters of an agent's refusals that say what one pool is not; the disk plan knows whether that
matters."""
NOTHING = DiskPlan((), needs_unsafe=False, pools=(), volumes=())


@dataclass(frozen=True)
class DiskCase:
    """Whose disks go where."""

    facts: SourceFacts
    wishes: DiskWishes
    migration_id: str | None
    host: Host


@dataclass(frozen=True)
class DisksToCheck:
    """What a destination is asked about."""

    pools: tuple[str, ...]
    volumes: tuple[Volume, ...]
    look_for: tuple[Volume, ...]


@dataclass(frozen=True)
class PlacedDisks:
    """The plan for a destination that fits, and what its transfer depends on."""

    plan: DiskPlan = NOTHING
    room: Mapping[str, int] = field(default_factory=dict)
    """pool -> bytes that all migrations together may hold in it."""
    write_rates: Mapping[str, float] = field(default_factory=dict)
    """target -> bytes/s the guest was seen to write."""


@dataclass(frozen=True)
class JudgedDisks:
    """The plan, the refusals of the destination that it does not speak for, and each pool's room."""

    plan: DiskPlan
    told: tuple[Refusal, ...]
    room: Mapping[str, int]


def disks_to_check(
    context: Context, facts: SourceFacts, wishes: DiskWishes, host: Host
) -> DisksToCheck:
    """By what the host last reported; the destination's own answer is what decides."""
    pools, volumes = pools_to_check(facts.disks)
    known = host.facts.pool_facts if host.facts is not None else ()
    there = DestinationStorage(
        pools={pool.name: pool for pool in known}, classes=context.settings.pool_classes
    )
    return DisksToCheck(pools, volumes, volumes_to_look_for(facts.disks, wishes, there))


def judge_disks(
    context: Context, case: DiskCase, there: DestinationChecked, here: SourceChecked
) -> JudgedDisks:
    """What the destination says of single pools counts only for the disks it concerns."""
    settings = context.settings
    about_pools = [each for each in there.refusals if each.filter in ABOUT_POOLS]
    not_there = {each.facts["pool"]: each for each in about_pools if each.filter == "pools"}
    not_shared = {refusal.facts["pool"]: refusal for refusal in here.not_shared}
    pools = {pool.name: pool for pool in there.pool_facts}
    storage = DestinationStorage(
        pools=pools,
        shared=here.shared_pools,
        not_shared={**not_shared, **not_there},
        present=frozenset((pool, volume) for pool, volume in there.present),
        classes=settings.pool_classes,
        overcommit=settings.disk_overcommit,
    )
    plan = plan_disks(case.facts.disks, storage, case.wishes)
    if plan.bytes_by_pool:
        # Others' copies count only against copies of its own.
        plan = in_the_room_left(plan, replace(storage, claimed=_claimed(context, case)))
    missing = [
        each
        for each in about_pools
        if each.filter == "volumes"
        and (each.facts["pool"], each.facts.get("volume")) in plan.volumes
    ]
    others = [each for each in there.refusals if each.filter not in ABOUT_POOLS]
    room = {
        name: promised_bytes(pools[name], settings.disk_overcommit) for name in plan.bytes_by_pool
    }
    return JudgedDisks(plan, (*others, *missing), room)


def write_rates(facts: SourceFacts, later: SourceChecked) -> Mapping[str, float]:
    """target -> bytes/s written between the two looks at the source; empty when they were too close."""
    elapsed = later.read_at_s - facts.read_at_s
    if elapsed <= 0:
        return {}
    return {
        disk.target: max(later.written[disk.target] - disk.written, 0) / elapsed
        for disk in facts.disks
        if disk.written is not None and disk.target in later.written
    }


def _claimed(context: Context, case: DiskCase) -> Mapping[str, int]:
    return context.stores.disks.held_bytes(case.host.name, case.migration_id)
