"""A host takes so many arrivals at once."""

from __future__ import annotations

from migrator.model import Refusal
from migrator.scheduler.snapshot import Candidate, Wanted

FULL = "host.incoming_full"


def slots(candidate: Candidate, wanted: Wanted) -> Refusal | None:
    """Refuse a host that as many migrations are on their way to as may be; it passes by itself."""
    most = wanted.most_incoming
    if most is None or candidate.incoming < most:
        return None
    return Refusal(
        "slots",
        FULL,
        f"{candidate.incoming} migrations are on their way to {candidate.host.name}, and "
        f"[conductor] max_incoming is {most}",
        {"incoming": candidate.incoming, "most": most},
    )
