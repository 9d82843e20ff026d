"""How fast a guest writes, measured by its QEMU before it moves."""

from __future__ import annotations

from migrator.compute_agent.context import AgentContext
from migrator.messages import DirtyRateMeasured, InstanceRef
from migrator.model import MEASURED_S, DirtyRate, DomainState


def run(host: AgentContext, request: InstanceRef) -> DirtyRateMeasured:
    """Changes nothing. None of a guest that does not run, or while libvirt works on it."""
    view = host.hypervisor.view(request.instance_id)
    if view.state not in (DomainState.RUNNING, DomainState.BLOCKED) or view.job is not None:
        return DirtyRateMeasured()
    rate = host.hypervisor.measure_dirty_rate(request.instance_id, MEASURED_S)
    if rate is None:
        return DirtyRateMeasured()
    return DirtyRateMeasured(rate=DirtyRate(float(MEASURED_S), rate * MEASURED_S))
