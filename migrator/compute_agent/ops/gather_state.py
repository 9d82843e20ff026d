"""Find what belongs to the guest besides its disks, and make it reachable as volumes."""

from __future__ import annotations

from dataclasses import replace

from migrator.compute_agent.context import AgentContext
from migrator.errors import Refused
from migrator.messages import GatherState, StateGathered


def run(host: AgentContext, request: GatherState) -> StateGathered:
    """A directory or a file that is not there is no error: a guest that never ran has no variables."""
    found = []
    for file in request.files:
        try:
            pool = host.hypervisor.open_directory(file.directory)
        except Refused:
            continue
        host.hypervisor.refresh_pool(pool)
        info = host.hypervisor.volume_info(pool, file.name)
        if info is not None:
            found.append(replace(file, length=info.length, pool=pool))
    return StateGathered(files=found)
