"""Keeping claims true: dropping what nothing holds any more, and comparing the rest with the hosts."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from migrator.conductor.claim_audit import Finding, Picture, audit
from migrator.conductor.context import Context
from migrator.errors import MigratorError
from migrator.messages import Empty
from migrator.model import (
    Claim,
    ClaimFault,
    ClaimPurpose,
    DomainSummary,
    Instance,
    Placement,
    has_same_parts,
)

LOG = logging.getLogger(__name__)


def sweep(context: Context) -> Sequence[Claim]:
    """Drop what a migration that has ended, or an instance that is gone, has left; what was dropped."""
    dropped = context.stores.claims.sweep()
    for claim in dropped:
        LOG.warning(
            "a claim of %s on %s (%s) was left by what has ended, and is released",
            claim.instance_name,
            claim.host,
            claim.purpose,
        )
    return dropped


def differs(instance: Instance, claims: Mapping[str, Claim], held: Placement) -> bool:
    """Whether the ``use`` claim of an active instance says something else than was seen.

    :param claims: the ``use`` claim of each instance.
    """
    claim = claims.get(instance.id)
    if claim is None or claim.host != instance.host:
        return True
    return claim.placement is None or not has_same_parts(claim.placement, held)


def strays(instance_id: str, claims: Sequence[Claim], foreign: Mapping[str, DomainSummary]) -> bool:
    """Whether its ``foreign`` claims are of other hosts than such domains were seen on."""
    claimed = {
        claim.host
        for claim in claims
        if claim.instance_id == instance_id and claim.purpose is ClaimPurpose.FOREIGN
    }
    return claimed != foreign.keys()


def use_claims(claims: Sequence[Claim]) -> Mapping[str, Claim]:
    """Instance -> its ``use`` claim."""
    return {claim.instance_id: claim for claim in claims if claim.purpose is ClaimPurpose.USE}


def audit_claims(context: Context) -> list[Finding]:
    """Ask every host what runs there, and compare.

    A host that does not answer is a finding too: nothing is known of its claims. Only claims that stood
    before and after the hosts were asked are judged.
    """
    stores = context.stores
    before, moving = {claim.id: claim for claim in stores.claims.list()}, _moving(context)
    names = [host.name for host in stores.hosts.list()]
    domains: dict[str, Sequence[DomainSummary]] = {}
    findings = []
    for name in names:
        try:
            domains[name] = context.agents.list_domains(name, Empty()).domains
        except MigratorError as error:
            text = f"cannot be compared: {error.message}"
            findings.append(Finding(ClaimFault.UNCHECKED, name, "", text))
    moving |= _moving(context)
    claims = [claim for claim in stores.claims.list() if before.get(claim.id) == claim]
    changed = before.keys() - {claim.id for claim in claims}
    moving |= {before[claim_id].instance_id for claim_id in changed}
    owners = {instance.id: instance.host for instance in stores.instances.list()}
    for name in domains:
        here = [claim for claim in claims if claim.host == name]
        findings += audit(Picture(name, here, domains[name], owners, frozenset(moving)))
    return findings


def _moving(context: Context) -> frozenset[str]:
    return frozenset(each.instance_id for each in context.stores.migrations.unfinished())
