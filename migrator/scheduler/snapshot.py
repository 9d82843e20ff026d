"""What a placement is decided from: frozen values, taken once."""

from __future__ import annotations

from dataclasses import dataclass

from migrator.model import Host


@dataclass(frozen=True)
class Capacity:
    """What a host may promise in all; overcommit applied, the host's own share taken off."""

    vcpus: int
    memory_mib: int


@dataclass(frozen=True)
class Candidate:
    """A host as a placement sees it."""

    host: Host
    capacity: Capacity
    claimed_vcpus: int
    claimed_memory_mib: int
    incoming: int
    """Migrations on their way there."""


@dataclass(frozen=True)
class Wanted:
    """What must be placed, and what this move adds to it."""

    source: str
    vcpus: int
    memory_mib: int
    only: str | None = None
    """The one host the operator named."""
    skip_policies: bool = False
    """Forced: filters that are policy are recorded instead of obeyed; safety never."""


def capacity(
    host: Host, cpu_overcommit: float, memory_overcommit: float, reserved_memory_mib: int
) -> Capacity:
    """What ``host`` may promise; nothing while its facts are unknown."""
    if host.facts is None:
        return Capacity(0, 0)
    memory = max(host.facts.memory_mib - reserved_memory_mib, 0)
    return Capacity(int(host.facts.cpus * cpu_overcommit), int(memory * memory_overcommit))
