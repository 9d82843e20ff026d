"""A guest does not migrate to where it is."""

from __future__ import annotations

from migrator.model import Refusal
from migrator.scheduler.snapshot import Candidate, Wanted


def not_source(candidate: Candidate, wanted: Wanted) -> Refusal | None:
    """Refuse the host the guest is on."""
    if candidate.host.name != wanted.source:
        return None
    return Refusal("not_source", "host.is_source", f"the guest is on {wanted.source} already")
