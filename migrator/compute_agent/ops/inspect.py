"""How one side of a migration looks now."""

from __future__ import annotations

from migrator.compute_agent.context import AgentContext
from migrator.compute_agent.tracked import Tracked
from migrator.messages import Inspected, InstanceRef
from migrator.model import DomainView, Statistics


def run(host: AgentContext, request: InstanceRef) -> Inspected:
    """Reads only; a domain that is not there is an answer."""
    transfer = host.transfers.of_instance(request.instance_id)
    # The transfer's end is read before the domain: a view older than the end would look like a guest
    # that came back.
    known = transfer.view() if transfer is not None else None
    view = host.hypervisor.view(request.instance_id)
    return Inspected(
        view=view, transfer=known, statistics=_statistics(host, request, view, transfer)
    )


def _statistics(
    host: AgentContext, request: InstanceRef, view: DomainView, transfer: Tracked | None
) -> Statistics | None:
    if transfer is not None and transfer.statistics is not None:
        return transfer.statistics
    if view.active and view.job is None:
        return host.hypervisor.completed_job(request.instance_id)
    return None
