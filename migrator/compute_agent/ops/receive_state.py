"""Make room for what belongs to the guest besides its disks, where its host's libvirt looks for it."""

from __future__ import annotations

from dataclasses import replace

from migrator.compute_agent.context import AgentContext
from migrator.compute_agent.made_volumes import make
from migrator.compute_agent.state_files import planned
from migrator.messages import ReceiveState, StateReceived


def run(host: AgentContext, request: ReceiveState) -> StateReceived:
    """:raises Refused: ``volume.exists`` for a file that is there and not this migration's,
    ``pool.missing`` where there is no such directory."""
    received = []
    for file in request.files:
        here = replace(file, pool=host.hypervisor.open_directory(file.directory))
        make(host.hypervisor, request.migration_id, planned(here))
        received.append(here)
    return StateReceived(files=received)
