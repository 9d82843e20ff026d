"""Start the attempt's guest here."""

from __future__ import annotations

from migrator.compute_agent.context import AgentContext
from migrator.compute_agent.marking import is_marked
from migrator.errors import Refused
from migrator.messages import GuestStarted, StartGuest


def run(host: AgentContext, request: StartGuest) -> GuestStarted:
    """:raises Refused: ``command.stale`` for a domain that is not this attempt's.
    :raises Broken: ``guest.start_failed`` with libvirt's words."""
    view = host.hypervisor.view(request.instance_id)
    if not is_marked(view, request.migration_id, request.attempt):
        raise Refused(
            "command.stale",
            f"the domain {view.name or request.instance_id} on {host.settings.host} ({view.state}) does"
            f" not belong to attempt {request.attempt} of migration {request.migration_id}; it is left"
            " alone",
            state=str(view.state),
        )
    if not view.active:
        host.hypervisor.start(request.instance_id)
    return GuestStarted(view=host.hypervisor.view(request.instance_id))
