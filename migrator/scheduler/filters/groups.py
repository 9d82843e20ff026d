"""Groups of guests that stay together, and groups that stay apart."""

from __future__ import annotations

from migrator.model import Refusal
from migrator.scheduler.snapshot import Candidate, Wanted


def affinity(candidate: Candidate, wanted: Wanted) -> Refusal | None:
    """Refuse a host where no other member is, once some have a place."""
    for group, members in wanted.together.items():
        if members and not members & candidate.instances:
            return Refusal(
                "affinity",
                "affinity.apart",
                f"{candidate.host.name} has none of the other guests of affinity group {group}",
                {"group": group},
            )
    return None


def anti_affinity(candidate: Candidate, wanted: Wanted) -> Refusal | None:
    """Refuse a host where another member is, or is going."""
    for group, members in wanted.apart.items():
        if members & candidate.instances:
            return Refusal(
                "anti_affinity",
                "affinity.together",
                f"{candidate.host.name} has another guest of anti-affinity group {group}",
                {"group": group},
            )
    return None
