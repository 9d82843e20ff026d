"""End the attempt's streams."""

from __future__ import annotations

from migrator.compute_agent.context import AgentContext
from migrator.errors import Transient
from migrator.messages import StopStreams, StreamsStopped


def run(host: AgentContext, request: StopStreams) -> StreamsStopped:
    """:raises Transient: ``guest.busy`` while one of them hangs; ask again."""
    ended = host.streams.stop(request.migration_id, request.attempt, request.deadline_s / 2)
    if not ended:
        raise Transient(
            "guest.busy",
            f"the streams of {host.settings.host} have not ended yet though they were told to; a libvirt"
            " may hang",
        )
    return StreamsStopped(stopped=True)
