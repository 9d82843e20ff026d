"""The guest has left: wait until nothing of it is here, remove a definition that stayed."""

from __future__ import annotations

from migrator.compute_agent.context import AgentContext
from migrator.compute_agent.marking import is_marked
from migrator.compute_agent.transfer import STATISTICS_S
from migrator.compute_agent.waiting import poll
from migrator.errors import Transient
from migrator.messages import ReleaseSource, SourceReleased
from migrator.model import DomainState, DomainView, Statistics

POLL_S = 0.1
GONE = DomainView(DomainState.ABSENT)


def run(host: AgentContext, request: ReleaseSource) -> SourceReleased:
    """libvirt takes 1.4-1.8 s to reap the old QEMU; statistics come with its end.

    What is here and is not this attempt's (the guest came back by other hands) is left alone.
    :raises Transient: while the old domain is still there.
    """
    clock = host.clock
    deadline = clock.monotonic() + request.deadline_s
    transfer = host.transfers.of_attempt(request.migration_id, request.attempt)
    if transfer is not None:
        transfer.ended.wait(request.deadline_s)
    left = max(deadline - clock.monotonic(), 0.0)
    if poll(clock, left, POLL_S, lambda: _inactive(host, request)) is None:
        view = host.hypervisor.view(request.instance_id)
        raise Transient(
            "guest.busy",
            f"the guest's old domain is still {view.state} ({view.reason}) on {host.settings.host}",
        )
    view = host.hypervisor.view(request.instance_id)
    if _is_left_over(view, request):
        host.hypervisor.undefine(request.instance_id)
    return SourceReleased(view=GONE, statistics=_statistics(host, request))


def _inactive(host: AgentContext, request: ReleaseSource) -> bool | None:
    view = host.hypervisor.view(request.instance_id)
    ours = is_marked(view, request.migration_id, request.attempt)
    return None if view.active and ours else True


def _is_left_over(view: DomainView, request: ReleaseSource) -> bool:
    ours = is_marked(view, request.migration_id, request.attempt)
    return ours and not view.active and view.state is not DomainState.ABSENT


def _statistics(host: AgentContext, request: ReleaseSource) -> Statistics | None:
    transfer = host.transfers.of_attempt(request.migration_id, request.attempt)
    if transfer is None:
        return None
    transfer.measured.wait(STATISTICS_S)
    return transfer.statistics
