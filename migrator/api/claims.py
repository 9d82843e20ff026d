"""Claims over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migrator.api.asks import Nothing
from migrator.messages import ClaimAudit, ClaimList, Empty

if TYPE_CHECKING:
    from migrator.conductor.rpcapi import ConductorApi


def index(conductor: ConductorApi, ask: Nothing) -> ClaimList:
    return conductor.list_claims(Empty())


def audit(conductor: ConductorApi, ask: Nothing) -> ClaimAudit:
    return conductor.audit_claims(Empty())
