"""What a host is judged by, put together from the guest's facts, what was asked for and the groups it is
in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from migrator.conductor.context import Context
from migrator.messages import SourceFacts
from migrator.model import Host, Kind, Mode, PoolFacts, ResourceRequest, Wishes
from migrator.scheduler.fit import Strategy, need
from migrator.scheduler.requests import wished
from migrator.scheduler.snapshot import Candidate, Wanted, WantedCpu, WantedDisks
from migrator.storage.destination import DiskWishes, pools_to_check


@dataclass(frozen=True)
class Move:
    """What was asked for, as far as it decides where to."""

    source: str
    mode: Mode
    host: str | None
    """The one the operator named."""
    most_incoming: int | None = None
    """Arrivals a host takes at once; None while nothing is claimed yet."""
    tried: frozenset[str] = frozenset()
    """Hosts that have refused it already."""
    disks: DiskWishes = field(default_factory=DiskWishes)
    migration_id: str | None = None
    """Whose own reservations do not count against it."""
    kind: Kind = Kind.LIVE
    wishes: Wishes = field(default_factory=Wishes)
    """What the operator wants of the instance's place."""


def wanted_by(
    context: Context, facts: SourceFacts, move: Move, candidates: Sequence[Candidate]
) -> Wanted:
    """Everything a host is judged by."""
    wishes = move.wishes
    request = ResourceRequest(facts.vcpus, facts.memory_mib)
    source = next((each.host for each in candidates if each.host.name == move.source), None)
    if facts.spec is not None:
        topology = None if source is None or source.facts is None else source.facts.topology
        request = wished(facts.spec.resources, wishes, topology)
    together, apart = _groups(context, facts.instance_id, wishes, candidates)
    return Wanted(
        source=move.source,
        vcpus=facts.vcpus,
        memory_mib=facts.memory_mib if request.page_kib is None else 0,
        only=move.host,
        skip_policies=move.mode is Mode.FORCE,
        most_incoming=move.most_incoming,
        ignored=move.tried,
        sharing=request.vcpus - len(request.dedicated),
        need=need(request),
        strategy=Strategy(context.settings.cell_strategy),
        arch=facts.arch,
        virt_type=facts.virt_type,
        machine=facts.machine,
        networks=tuple(facts.networks),
        cpu=_cpu(facts),
        disks=_disks(context, facts, move, source),
        wishes=wishes,
        together=together,
        apart=apart,
    )


def _cpu(facts: SourceFacts) -> WantedCpu | None:
    if facts.cpu is None:
        return None
    features, named = frozenset(facts.cpu.features), frozenset(facts.cpu.named)
    return WantedCpu(features, named, facts.libvirt_version)


def _disks(
    context: Context, facts: SourceFacts, move: Move, source: Host | None
) -> WantedDisks | None:
    in_pools = pools_to_check(facts.disks)[0]
    if not in_pools and not move.disks.pools:
        return None
    settings = context.settings
    known = {} if source is None or source.facts is None else _by_name(source.facts.pool_facts)
    # Which bytes are needed where is certain beforehand only of pools that are asked for, or stand in
    # for one that is not there.
    certain = move.disks.pools or settings.pool_classes
    return WantedDisks(
        disks=facts.disks,
        pools={name: known.get(name) for name in in_pools},
        wishes=move.disks,
        held=context.stores.disks.held_everywhere(move.migration_id) if certain else {},
        classes=settings.pool_classes,
        overcommit=settings.disk_overcommit,
    )


def _by_name(pools: Sequence[PoolFacts]) -> Mapping[str, PoolFacts]:
    return {pool.name: pool for pool in pools}


Groups = Mapping[str, frozenset[str]]


def _groups(
    context: Context, instance_id: str, wishes: Wishes, candidates: Sequence[Candidate]
) -> tuple[Groups, Groups]:
    """Who else is in its groups; of those that stay together, who has a place already."""
    if not wishes.affinity and not wishes.anti_affinity:
        return {}, {}
    groups = context.stores.instances.groups()
    placed = frozenset().union(*(each.instances for each in candidates))
    me = frozenset({instance_id})
    nobody = frozenset[str]()
    return (
        {group: (groups.get(group, nobody) - me) & placed for group in wishes.affinity},
        {group: groups.get(group, nobody) - me for group in wishes.anti_affinity},
    )
