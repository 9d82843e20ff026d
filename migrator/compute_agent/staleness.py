"""Whether what was claimed on this host is still there to be had, seen from its real domains. Pure.

The conductor decides by what it knows; somebody may have started or re-pinned a guest by hand since.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from migrator.model import ACTIVE_STATES, DomainSummary, HostTopology, Placement

FreePages = Mapping[tuple[int, int], int]
"""(cell, size in KiB) -> pages that nothing uses."""


@dataclass(frozen=True)
class Reality:
    """The host as its libvirt shows it now."""

    topology: HostTopology
    others: Sequence[DomainSummary]
    """Every domain but the one that is to come."""
    free_pages: FreePages


def taken_meanwhile(placement: Placement, now: Reality) -> list[str]:
    """Everything of the placement that cannot be had, in words; empty when all can."""
    return [*_cpus(placement, now), *_devices(placement, now), *_pages(placement, now)]


def short_of(needed: Mapping[str, int], free: Mapping[str, int]) -> list[str]:
    """Pools with less free than is needed, in words; bytes by pool."""
    return [
        f"pool {pool} has {free.get(pool, 0)} bytes free and {wanted} are needed"
        for pool, wanted in sorted(needed.items())
        if free.get(pool, 0) < wanted
    ]


def _cpus(placement: Placement, now: Reality) -> Iterator[str]:
    wanted = {*placement.own_cpus, *placement.blocked_cpus}
    there = {cpu for cell in now.topology.cells for core in cell.cores for cpu in core}
    for cpu in sorted(wanted - there):
        yield f"CPU {cpu} is not there or is off"
    for domain in _running(now):
        if domain.held is not None:
            for cpu in sorted(wanted & set(domain.held.own_cpus)):
                yield f"{domain.name} is pinned to CPU {cpu}"


def _devices(placement: Placement, now: Reality) -> Iterator[str]:
    given = {each.address for each in placement.devices}
    wanted = given | set(placement.blocked_devices)
    there = {device.address for device in now.topology.devices}
    for address in sorted(given - there):
        yield f"device {address} is not there"
    for domain in _running(now):
        if domain.held is not None:
            has = {each.address for each in domain.held.devices}
            for address in sorted(wanted & has):
                yield f"{domain.name} has device {address}"


def _pages(placement: Placement, now: Reality) -> Iterator[str]:
    for each in placement.pages:
        free = now.free_pages.get((each.cell, each.size_kib), 0)
        if free < each.count:
            yield (
                f"cell {each.cell} has {free} free pages of {each.size_kib} KiB and {each.count} are "
                "needed"
            )


def _running(now: Reality) -> Iterator[DomainSummary]:
    return (domain for domain in now.others if domain.state in ACTIVE_STATES)
