"""Delete the volumes whose content has moved away with its guest."""

from __future__ import annotations

from migrator.compute_agent.context import AgentContext
from migrator.errors import Refused
from migrator.messages import DeleteVolumes, VolumesDeleted
from migrator.model import DomainState


def run(host: AgentContext, request: DeleteVolumes) -> VolumesDeleted:
    """:raises Refused: ``volume.in_use`` when the guest has a domain here again; ``pool.missing``."""
    view = host.hypervisor.view(request.instance_id)
    if view.state is not DomainState.ABSENT:
        raise Refused(
            "volume.in_use",
            f"{view.name} has a domain on {host.settings.host} again ({view.state}): the volumes it left"
            " here may be its disks and are kept",
            state=str(view.state),
        )
    return VolumesDeleted(
        removed=[
            f"volume {volume} in pool {pool}"
            for pool, volume in request.volumes
            if host.hypervisor.delete_volume(pool, volume)
        ]
    )
