"""What a placement is decided from: frozen values, taken once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from migrator.messages import DiskFacts
from migrator.model import (
    Claim,
    ClaimPurpose,
    Host,
    HostState,
    HostTopology,
    HostUse,
    Placement,
    PoolFacts,
    Refusal,
    Wishes,
)
from migrator.scheduler.fit import Need, Overcommit, Room, Strategy, room, take
from migrator.scheduler.fit.room import KIB_PER_MIB, overcommit_of
from migrator.scheduler.weighers import score
from migrator.storage.destination import DiskWishes


@dataclass(frozen=True)
class Promises:
    """What hosts may promise that have no limits of their own."""

    cpu_overcommit: float
    memory_overcommit: float
    reserved_memory_mib: int


@dataclass(frozen=True)
class Capacity:
    """What a host may promise in all; overcommit applied, the host's own share taken off."""

    vcpus: int
    """That share CPUs."""
    memory_mib: int
    """Of ordinary memory."""


@dataclass(frozen=True)
class Candidate:
    """A host as a placement sees it."""

    host: Host
    capacity: Capacity
    claimed_vcpus: int
    claimed_memory_mib: int
    incoming: int
    """Migrations on their way there."""
    use: HostUse = field(default_factory=HostUse)
    room: Room | None = None
    """What its cells and devices have left; None of a host that does not describe them."""
    confined: bool = False
    """vCPUs that share CPUs are kept off those that can be dedicated: only they count then."""
    instances: frozenset[str] = frozenset()
    """Who is there, or on the way there."""
    machines: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    """(architecture, virtualisation type) -> machine types."""
    cpus: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    """The same -> CPU features it can give."""
    pools: Mapping[str, PoolFacts] | None = None
    """Active ones, as last reported; None of a host that does not describe them."""

    @cached_property
    def ready(self) -> bool:
        """Alive, enabled and described: most hosts are, and nothing of that is asked of them again for
        every guest."""
        host = self.host
        alive = host.alive and host.facts is not None
        return alive and host.state is HostState.ENABLED and self.room is not None

    @cached_property
    def networks(self) -> frozenset[str]:
        """Active ones."""
        return frozenset() if self.host.facts is None else _same(self.host.facts.networks)

    @cached_property
    def score(self) -> float:
        """How good a host it is, for any guest; larger is better."""
        return score(self)


@dataclass(frozen=True)
class WantedCpu:
    """The features a guest runs with."""

    features: frozenset[str]
    """Those of its model included, as the libvirt of its host counts them."""
    named: frozenset[str]
    """Those that its domain names."""
    written_by: int
    """That libvirt's version."""


@dataclass(frozen=True)
class WantedDisks:
    """The disks of a guest, and what decides where they would go."""

    disks: Sequence[DiskFacts]
    pools: Mapping[str, PoolFacts | None]
    """Those they are in now; None where the source's inventory does not tell of one."""
    wishes: DiskWishes = field(default_factory=DiskWishes)
    held: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Host -> pool -> bytes that other migrations will still fill."""
    classes: Mapping[str, str] = field(default_factory=dict)
    overcommit: float = 1.0
    judged: dict[str, tuple[Refusal, ...]] = field(default_factory=dict, compare=False, repr=False)
    """Host -> what its plan refuses, from one filter for the next one: a plan is made once."""


@dataclass(frozen=True)
class Wanted:
    """What must be placed, and what this move adds to it."""

    source: str
    vcpus: int
    memory_mib: int
    """Of ordinary memory; huge pages are looked for by the fit."""
    only: str | None = None
    """The one host the operator named."""
    skip_policies: bool = False
    """Forced: filters that are policy are recorded instead of obeyed; safety never."""
    most_incoming: int | None = None
    """Arrivals a host takes at once; None: not asked, since a full host is only waited for."""
    ignored: frozenset[str] = frozenset()
    """Hosts that are not asked again."""
    sharing: int | None = None
    """How many of the vCPUs share CPUs; None: all."""
    need: Need | None = None
    """The CPUs, cells, pages and devices in particular."""
    strategy: Strategy = Strategy.SPREAD
    arch: str = ""
    virt_type: str = ""
    machine: str = ""
    networks: tuple[str, ...] = ()
    cpu: WantedCpu | None = None
    disks: WantedDisks | None = None
    wishes: Wishes = field(default_factory=Wishes)
    together: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Affinity group -> its other members that have a place."""
    apart: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Anti-affinity group -> its other members."""

    @property
    def particular(self) -> bool:
        """Whether it needs CPUs, cells, pages or devices of its own."""
        return self.need is not None and not (self.need.anywhere and not self.need.devices)


def candidate(host: Host, claims: Sequence[Claim], promises: Promises) -> Candidate:
    """``host`` with what is claimed of it."""
    topology = None if host.facts is None else host.facts.topology
    use = use_of(claims)
    left = None if topology is None else room(topology, use, _overcommit(promises))
    confined = left is not None and bool(left.shared_cpus)
    return Candidate(
        host=host,
        capacity=capacity(
            host,
            promises.cpu_overcommit,
            promises.memory_overcommit,
            promises.reserved_memory_mib,
        ),
        claimed_vcpus=_sharing(topology, use) if confined else sum(one.vcpus for one in claims),
        claimed_memory_mib=use.memory_mib,
        incoming=sum(one.purpose is ClaimPurpose.INCOMING for one in claims),
        use=use,
        room=left,
        confined=confined,
        instances=frozenset(
            one.instance_id for one in claims if one.purpose is not ClaimPurpose.LEAVING
        ),
        machines={}
        if host.facts is None
        else {(one.arch, one.virt_type): _same(one.names) for one in host.facts.machines},
        cpus={}
        if host.facts is None
        else {(one.arch, one.virt_type): _same(one.features) for one in host.facts.cpu_offers},
        pools=_pools(host),
    )


@lru_cache(maxsize=256)
def _same(names: tuple[str, ...]) -> frozenset[str]:
    """One set for all hosts that offer the same."""
    return frozenset(names)


def _pools(host: Host) -> Mapping[str, PoolFacts] | None:
    facts = host.facts
    if facts is None or len(facts.pool_facts) != len(facts.pools):
        return None
    return {pool.name: pool for pool in facts.pool_facts}


def use_of(claims: Sequence[Claim]) -> HostUse:
    """Everything that is claimed, together. A claim of which only the size is known shares CPUs."""
    use = HostUse()
    for claim in claims:
        use = take(use, claim.placement or Placement(claim.vcpus, claim.memory_mib))
    return use


def _sharing(topology: HostTopology | None, use: HostUse) -> int:
    """vCPUs on shared CPUs, also those that somebody pinned to one of them."""
    shared = frozenset() if topology is None else frozenset(topology.shared_cpus)
    return use.vcpus + len(use.cpus & shared)


def _overcommit(promises: Promises) -> Overcommit:
    return Overcommit(promises.cpu_overcommit, promises.memory_overcommit)


def capacity(
    host: Host, cpu_overcommit: float, memory_overcommit: float, reserved_memory_mib: int
) -> Capacity:
    """What ``host`` may promise; nothing while its facts are unknown. Its own limits count first."""
    facts = host.facts
    if facts is None:
        return Capacity(0, 0)
    topology = facts.topology
    cpus, memory, reserved = facts.cpus, facts.memory_mib, reserved_memory_mib
    overcommit = Overcommit(cpu_overcommit, memory_overcommit)
    if topology is not None:
        overcommit = overcommit_of(topology, overcommit)
        cpus = len(topology.shared_cpus)
        memory -= _huge_mib(topology)
        if topology.reserved_memory_mib is not None:
            reserved = topology.reserved_memory_mib
    left = max(memory - reserved, 0)
    return Capacity(int(cpus * overcommit.cpus), int(left * overcommit.memory))


def _huge_mib(topology: HostTopology) -> int:
    pools = (pool for cell in topology.cells for pool in cell.pages)
    return sum(pool.size_kib * pool.total for pool in pools) // KIB_PER_MIB
