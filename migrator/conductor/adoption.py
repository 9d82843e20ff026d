"""Where an instance lives, from what every host's inventory says of it. Pure.

Fleets are also driven by hand: guests appear, move and vanish without us. A host that is away keeps
its last word: silence changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from migrator.model import (
    ACTIVE_STATES,
    DomainState,
    DomainSummary,
    Instance,
    InstanceStatus,
    Reason,
    Wishes,
)

_SPLIT = frozenset({Reason.POSTCOPY, Reason.POSTCOPY_FAILED})
"""Why libvirt holds a domain paused whose guest runs elsewhere and still fetched memory from it."""
_LEAVING = _SPLIT | {Reason.MIGRATION}
"""Why libvirt holds a domain paused whose guest runs elsewhere by now, or is about to."""


@dataclass(frozen=True)
class Settled:
    """The instance as it is now, and what happened to it, when something did."""

    instance: Instance
    happened: str | None
    """``adopted``, ``moved_externally``, ``gone``, ``split_brain``, ``ambiguous``, ``returned``."""


def settle(
    known: Instance | None, instance_id: str, sightings: Mapping[str, DomainSummary]
) -> Settled | None:
    """What the sightings mean; None when they say nothing that is not known.

    A domain that a migration is bringing in (``incoming``) is nobody's guest yet.
    """
    here = {host: domain for host, domain in sightings.items() if not domain.incoming}
    # Half of a guest that went on elsewhere can never run again, whatever became of it there.
    seen = {host: domain for host, domain in here.items() if not _half(domain)} or here
    if not seen:
        return _gone(known)
    owner, status, candidates = _whereabouts(known, seen, _active(seen))
    domain = seen[owner if owner is not None else min(seen)]
    settled = Instance(
        id=instance_id,
        name=domain.name,
        host=owner,
        status=status,
        vcpus=domain.vcpus,
        memory_mib=domain.memory_mib,
        persistent=domain.persistent,
        candidates=candidates,
        migration_id=known.migration_id if known else None,
        updated_at=known.updated_at if known else None,
        spec=domain.spec or (known.spec if known else None),
        wishes=known.wishes if known else Wishes(),
    )
    if settled == known:
        return None
    return Settled(settled, _what_happened(known, settled))


def strangers(
    instance: Instance | None, sightings: Mapping[str, DomainSummary]
) -> Mapping[str, DomainSummary]:
    """Host -> a domain that has CPUs or devices to itself there and is not the instance where it lives:
    a second copy, or one that a migration of somebody else's is bringing."""
    owner = None if instance is None else instance.host
    return {
        host: domain
        for host, domain in sightings.items()
        if host != owner
        and domain.state in ACTIVE_STATES
        and (domain.incoming or not _leaving(domain))
        and domain.held is not None
        and domain.held.has_own_parts
    }


def _active(seen: Mapping[str, DomainSummary]) -> list[str]:
    """Hosts where it may be running. The old half of a migration that somebody else drives stays
    visible, paused, for a second or two after the switch; that is no second guest."""
    active = sorted(host for host, domain in seen.items() if domain.state in ACTIVE_STATES)
    staying = [host for host in active if not _leaving(seen[host])]
    return staying or active


def _leaving(domain: DomainSummary) -> bool:
    return domain.state is DomainState.PAUSED and domain.reason in _LEAVING


def _half(domain: DomainSummary) -> bool:
    return domain.state is DomainState.PAUSED and domain.reason in _SPLIT


def _whereabouts(
    known: Instance | None, seen: Mapping[str, DomainSummary], active: list[str]
) -> tuple[str | None, InstanceStatus, tuple[str, ...]]:
    if len(active) > 1:
        owner = known.host if known and known.host in active else None
        return owner, InstanceStatus.SPLIT_BRAIN, tuple(active)
    if active:
        paused = seen[active[0]].state is DomainState.PAUSED
        return active[0], InstanceStatus.PAUSED if paused else InstanceStatus.RUNNING, ()
    if len(seen) == 1:
        return next(iter(seen)), InstanceStatus.SHUTOFF, ()
    candidates = tuple(sorted(seen))
    chosen_by_operator = (
        known is not None
        and known.status is InstanceStatus.SHUTOFF
        and known.host in candidates
        and known.candidates == candidates
    )
    if chosen_by_operator:
        assert known is not None
        return known.host, InstanceStatus.SHUTOFF, candidates
    return None, InstanceStatus.AMBIGUOUS, candidates


def _gone(known: Instance | None) -> Settled | None:
    if known is None or known.status is InstanceStatus.GONE:
        return None
    return Settled(replace(known, host=None, status=InstanceStatus.GONE, candidates=()), "gone")


def _what_happened(known: Instance | None, settled: Instance) -> str | None:
    if known is None:
        return "adopted"
    if known.status is InstanceStatus.GONE:
        return "returned"
    if settled.status is not known.status and settled.status in {
        InstanceStatus.SPLIT_BRAIN,
        InstanceStatus.AMBIGUOUS,
    }:
        return str(settled.status)
    if known.host is not None and settled.host is not None and settled.host != known.host:
        return "moved_externally"
    return None
