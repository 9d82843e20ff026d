"""Hosts, the instances on them, and what is reserved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from migrator.model.cpus import CpuOffer
from migrator.model.disks import PoolFacts
from migrator.model.placement import Placement
from migrator.model.requests import RequestSpec, Wishes
from migrator.model.topology import HostTopology, Machines
from migrator.model.words import ClaimPurpose, HostState, InstanceStatus


@dataclass(frozen=True)
class KernelFacts:
    """What its own kernel tells an agent that runs on the host; nothing to one that looks in from
    elsewhere."""

    link_mib_s: int | None = None
    """Of the network device that has the migration address."""
    no_page_faults: str = ""
    """Why QEMU cannot catch page faults there, as post-copy does at its destination; empty unless that
    is certain. A half sentence."""
    locks_memory: bool | None = None
    """libvirt may raise the limit of the memory that a QEMU locks, as zero-copy does."""


@dataclass(frozen=True)
class HostFacts:
    """What a host is, from its libvirt, and from its kernel where the agent runs on it."""

    libvirt_version: int
    hypervisor_version: int
    """Both as libvirt writes them: major * 1,000,000 + minor * 1,000 + release."""
    arch: str
    cpus: int
    memory_mib: int
    pools: tuple[str, ...] = ()
    """Names of the active ones."""
    pool_facts: tuple[PoolFacts, ...] = ()
    """The same pools with their kinds and sizes, as of the last inventory."""
    networks: tuple[str, ...] = ()
    host_uuid: str = ""
    topology: HostTopology | None = None
    """None from an agent that does not tell it yet."""
    machines: tuple[Machines, ...] = ()
    """For guests of the host's own architecture."""
    cpu_offers: tuple[CpuOffer, ...] = ()
    """The same; empty where libvirt cannot tell."""
    kernel: KernelFacts = field(default_factory=KernelFacts)


@dataclass(frozen=True)
class HostAddresses:
    """How a host is reached; configured, never guessed."""

    libvirt_uri: str
    """For the host's own agent."""
    peer_uri: str
    """For the other hosts' libvirtds."""
    control_address: str
    migration_address: str
    disk_address: str


@dataclass(frozen=True)
class Host:
    """A machine with an agent, as the database knows it."""

    name: str
    state: HostState
    addresses: HostAddresses
    incarnation: str
    """Identity of the agent process that last reported; new at each of its starts."""
    agent_version: str
    alive: bool
    """The agent has reported lately and reaches its libvirt."""
    why_down: str
    seen_at: datetime | None
    facts: HostFacts | None
    inventory_generation: int
    claims_generation: int
    tags: tuple[str, ...] = ()
    """What operators know of it, for guests that ask for it."""
    zone: str | None = None
    """Where it stands: what fails together."""
    revision: int = 0
    """Grows with whatever an operator or its facts change of it."""


@dataclass(frozen=True)
class LastReport:
    """What was known of a host and its agent before a heartbeat; see :class:`Host`."""

    addresses: HostAddresses
    incarnation: str
    agent_version: str
    alive: bool
    why_down: str
    inventory_generation: int
    described: bool
    """Its facts are known."""


class HostMark(NamedTuple):
    """A host that shows the same mark twice has not changed in between, nor have its claims."""

    name: str
    revision: int
    claims_generation: int
    why_down: str
    alive: bool


@dataclass(frozen=True)
class Instance:
    """A VM migrator knows: id = domain UUID."""

    id: str
    name: str
    host: str | None
    """The owner: where it is active, or the only host that defines it."""
    status: InstanceStatus
    vcpus: int
    memory_mib: int
    persistent: bool
    candidates: tuple[str, ...] = ()
    """Hosts that define it, when that leaves its owner open."""
    migration_id: str | None = None
    """Its unfinished migration."""
    updated_at: datetime | None = None
    spec: RequestSpec | None = None
    """What its domain says it needs; None until an agent has told it."""
    wishes: Wishes = field(default_factory=Wishes)
    profile: str | None = None
    """What it tolerates while it moves, by name; None: the default."""
    """What its operator wants besides."""


@dataclass(frozen=True)
class Claim:
    """Resources reserved on a host for one instance."""

    id: int
    host: str
    instance_id: str
    instance_name: str
    purpose: ClaimPurpose
    vcpus: int
    memory_mib: int
    migration_id: str | None
    created_at: datetime
    placement: Placement | None = None
    """Which parts of the host; None where only the size is known."""
    pool_bytes: Mapping[str, int] = field(default_factory=dict)
    """Pool -> bytes that are kept free there for volumes to be made."""


@dataclass(frozen=True)
class Refusal:
    """One no, as a value: who says it, its code, and a sentence with what to do next."""

    filter: str
    code: str
    message: str
    facts: Mapping[str, Any] = field(default_factory=dict)
