"""What the guest's disks stand on is whole here: nobody may undo it any more."""

from __future__ import annotations

from migrator.compute_agent.context import AgentContext
from migrator.compute_agent.made_volumes import keep
from migrator.messages import BasesKept, KeepBases


def run(host: AgentContext, request: KeepBases) -> BasesKept:
    """Repeatable. Others may stand on them from now on."""
    for volume in request.volumes:
        keep(host.hypervisor, request.migration_id, volume)
    return BasesKept()
