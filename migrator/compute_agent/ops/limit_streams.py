"""Hold a copy that runs here to another bandwidth."""

from __future__ import annotations

from migrator.compute_agent.context import AgentContext
from migrator.messages import LimitStreams, StreamsLimited


def run(host: AgentContext, request: LimitStreams) -> StreamsLimited:
    """From its next piece on."""
    known = host.streams.limit(request.migration_id, request.attempt, request.bandwidth_mib_s)
    return StreamsLimited(known=known)
