"""Take the guest off, so that its volumes stand still."""

from __future__ import annotations

from migrator.compute_agent.context import AgentContext
from migrator.compute_agent.marking import is_marked, mark_source
from migrator.compute_agent.offline_facts import WHY_NOT
from migrator.errors import Refused
from migrator.messages import GuestStopped, StopGuest, StopHow
from migrator.model import AttemptMark, DomainState

ASLEEP = frozenset({DomainState.PAUSED, DomainState.PMSUSPENDED})
"""A guest in these hears no power button and has something in memory that somebody wants."""


def run(host: AgentContext, request: StopGuest) -> GuestStopped:
    """Returns at once after asking; the caller looks whether the guest obeys.

    :raises Refused: ``instance.gone``, ``guest.busy``; ``guest.not_active`` for one that somebody has
        paused since the move was asked for: what it has in memory would be lost.
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
    if view.state in ASLEEP:
        raise Refused(
            "guest.not_active", f"{view.name} {WHY_NOT[view.state]}.", state=str(view.state)
        )
    if not is_marked(view, request.migration_id, request.attempt):
        mark = AttemptMark(request.migration_id, request.attempt, request.autostart)
        mark_source(hypervisor, request.instance_id, mark)
    if view.active and request.how is StopHow.ASK:
        hypervisor.shutdown(request.instance_id)
    elif view.active:
        hypervisor.destroy(request.instance_id)
    return GuestStopped(view=hypervisor.view(request.instance_id))
