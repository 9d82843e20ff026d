"""Make room for what the guest's disks stand on, where it is not here."""

from __future__ import annotations

from migrator.compute_agent.context import AgentContext
from migrator.compute_agent.made_volumes import make
from migrator.errors import Refused
from migrator.messages import BasesReceived, ReceiveBases


def run(host: AgentContext, request: ReceiveBases) -> BasesReceived:
    """One that is here is left as it is: whoever asks looks at what it holds.

    :raises Refused: ``pool.missing``, ``pool.cannot``."""
    made = []
    for volume in request.volumes:
        try:
            make(host.hypervisor, request.migration_id, volume)
        except Refused as refused:
            if refused.code != "volume.exists":
                raise
        else:
            made.append([volume.pool, volume.volume])
    return BasesReceived(made=made)
