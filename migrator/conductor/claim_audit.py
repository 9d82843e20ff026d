"""Whether what is claimed on a host is what its domains really have. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from migrator.model import (
    ACTIVE_STATES,
    Claim,
    ClaimFault,
    ClaimPurpose,
    DomainState,
    DomainSummary,
    Placement,
    has_same_parts,
)


@dataclass(frozen=True)
class Picture:
    """One host at one moment."""

    host: str
    claims: Sequence[Claim]
    domains: Sequence[DomainSummary]
    owners: Mapping[str, str | None]
    """Instance -> the host it lives on, of every instance that is known."""
    moving: frozenset[str] = frozenset()
    """Instances whose migration is unfinished: theirs change as it goes on, and are not judged."""


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be."""

    fault: ClaimFault
    host: str
    instance: str
    message: str


@dataclass
class _Owners:
    """Whose each exclusive part is, in the order of the claims."""

    of: dict[str, str] = field(default_factory=dict)

    def doubles(self, claim: Claim) -> Iterator[tuple[str, str]]:
        for part in _parts(claim.placement):
            first = self.of.setdefault(part, claim.instance_name)
            if first != claim.instance_name:
                yield part, first


def audit(picture: Picture) -> list[Finding]:
    """Everything wrong on one host: claims first, then domains that no claim tells of."""
    domains = {domain.id: domain for domain in picture.domains}
    owners = _Owners()
    findings: list[Finding] = []
    claimed = set()
    for claim in picture.claims:
        claimed.add(claim.instance_id)
        doubles = [*owners.doubles(claim)]
        if claim.instance_id not in picture.moving:
            findings += _of_claim(claim, domains.get(claim.instance_id))
            findings += [_double(claim, part, first) for part, first in doubles]
    for domain in picture.domains:
        if domain.id not in claimed and domain.id not in picture.moving and _uses(domain):
            findings.append(_unclaimed(picture, domain))
    return findings


def _uses_parts(domain: DomainSummary) -> bool:
    return domain.state in ACTIVE_STATES and domain.held is not None


def _uses(domain: DomainSummary) -> bool:
    return domain.state in ACTIVE_STATES and not domain.incoming


def _of_claim(claim: Claim, domain: DomainSummary | None) -> Iterator[Finding]:
    def finding(fault: ClaimFault, message: str) -> Finding:
        return Finding(fault, claim.host, claim.instance_name, message)

    if claim.purpose is ClaimPurpose.FOREIGN and domain is not None and _uses_parts(domain):
        yield finding(
            ClaimFault.FOREIGN,
            "a domain of it runs here, which is not where it lives; nobody else is given what it has: "
            f"{in_words(domain.held)}",
        )
        return
    if claim.purpose is ClaimPurpose.FOREIGN:
        yield finding(ClaimFault.LEAKED, "claimed for a domain that is not there any more")
        return
    if claim.purpose is not ClaimPurpose.USE:
        yield finding(
            ClaimFault.LEAKED, f"claimed as {claim.purpose} for a migration that has ended"
        )
        return
    if domain is None or not _uses(domain):
        state = DomainState.ABSENT if domain is None else domain.state
        yield finding(ClaimFault.LEAKED, f"claimed for a guest that is {state} here")
        return
    size = claim.vcpus, claim.memory_mib
    if size != (domain.vcpus, domain.memory_mib):
        yield finding(
            ClaimFault.MISMATCHED,
            f"{claim.vcpus} vCPUs and {claim.memory_mib} MiB are claimed, it has {domain.vcpus} and "
            f"{domain.memory_mib}",
        )
    if domain.held is None:
        return
    if claim.placement is None or not has_same_parts(claim.placement, domain.held):
        yield finding(
            ClaimFault.MISMATCHED,
            f"{in_words(claim.placement)} claimed, it has {in_words(domain.held)}",
        )


def _double(claim: Claim, part: str, first: str) -> Finding:
    return Finding(
        ClaimFault.MISMATCHED,
        claim.host,
        claim.instance_name,
        f"{part} is claimed for {first} as well: both sit on it; move one of them",
    )


def _unclaimed(picture: Picture, domain: DomainSummary) -> Finding:
    if picture.owners.get(domain.id) == picture.host:
        fault, message = ClaimFault.MISSING, "runs here and nothing is claimed for it"
    else:
        owner = picture.owners.get(domain.id)
        known = f"lives on {owner}" if owner else "nobody knows"
        fault, message = ClaimFault.FOREIGN, f"runs here, a guest that {known}"
    return Finding(fault, picture.host, domain.name, f"{message}; it has {in_words(domain.held)}")


def in_words(placement: Placement | None) -> str:
    """The exclusive parts of a placement, for people."""
    return ", ".join(_parts(placement)) or "no CPU or device of its own"


def _parts(placement: Placement | None) -> Iterator[str]:
    if placement is None:
        return
    yield from (f"CPU {cpu}" for cpu in placement.own_cpus)
    yield from (f"device {given.address}" for given in placement.devices)
