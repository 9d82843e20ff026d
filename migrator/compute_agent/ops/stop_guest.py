"""Take the guest off, so that its volumes stand still."""

from __future__ import annotations

from migrator.compute_agent.context import AgentContext
from migrator.compute_agent.marking import is_marked, mark_source
from migrator.errors import Refused
from migrator.messages import GuestStopped, StopGuest, StopHow
from migrator.model import AttemptMark, DomainState


def run(host: AgentContext, request: StopGuest) -> GuestStopped:
    """Returns at once after asking; the caller looks whether the guest obeys.

    :raises Refused: ``instance.gone``, ``guest.busy``.
    """
    hypervisor = host.hypervisor
    view = hypervisor.view(request.instance_id)
    if view.state is DomainState.ABSENT:
        raise Refused(
            "instance.gone", f"{host.settings.host} has no domain {request.instance_id} any more"
        )
    if view.job is not None:
        raise Refused(
            "guest.busy",
            f"libvirt is working on {view.name} ({view.job.operation.replace('_', ' ')}); try again when"
            " that has ended",
        )
    if not is_marked(view, request.migration_id, request.attempt):
        mark = AttemptMark(request.migration_id, request.attempt, request.autostart)
        mark_source(hypervisor, request.instance_id, mark)
    if view.active and request.how is StopHow.ASK:
        hypervisor.shutdown(request.instance_id)
    elif view.active:
        hypervisor.destroy(request.instance_id)
    return GuestStopped(view=hypervisor.view(request.instance_id))
