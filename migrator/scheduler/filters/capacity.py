"""The host can still promise the guest's vCPUs and memory."""

from __future__ import annotations

from migrator.model import Refusal
from migrator.scheduler.snapshot import Candidate, Wanted


def vcpus(candidate: Candidate, wanted: Wanted) -> Refusal | None:
    """Refuse a host that has promised too many vCPUs; of an undescribed one nothing is known."""
    if candidate.host.facts is None:
        return None
    free = candidate.capacity.vcpus - candidate.claimed_vcpus
    needed = wanted.vcpus
    if candidate.confined and wanted.sharing is not None:
        needed = wanted.sharing
    if free >= needed:
        return None
    return Refusal(
        "vcpus",
        "vcpus.insufficient",
        f"{candidate.host.name} can promise {max(free, 0)} more vCPUs, the guest needs {needed}",
        {"free": free, "needed": needed},
    )


def memory(candidate: Candidate, wanted: Wanted) -> Refusal | None:
    """Refuse a host that has promised too much memory; of an undescribed one nothing is known."""
    if candidate.host.facts is None:
        return None
    free = candidate.capacity.memory_mib - candidate.claimed_memory_mib
    if free >= wanted.memory_mib:
        return None
    return Refusal(
        "memory",
        "memory.insufficient",
        f"{candidate.host.name} can promise {max(free, 0)} MiB more, "
        f"the guest needs {wanted.memory_mib} MiB",
        {"free_mib": free, "needed_mib": wanted.memory_mib},
    )
