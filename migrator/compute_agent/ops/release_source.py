"""The guest has left: wait until nothing of it is here, remove a definition that stayed."""

from __future__ import annotations

from migrator.compute_agent.context import AgentContext
from migrator.compute_agent.marking import is_marked, left_behind, unmark_source
from migrator.compute_agent.state_files import close
from migrator.compute_agent.transfer import STATISTICS_S
from migrator.compute_agent.waiting import poll
from migrator.errors import Transient
from migrator.messages import ReleaseSource, SourceReleased
from migrator.model import DomainState, Statistics

POLL_S = 0.1


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
    if poll(clock, left, POLL_S, lambda: _left(host, request)) is None:
        view = host.hypervisor.view(request.instance_id)
        raise Transient(
            "guest.busy",
            f"the guest's old domain is still {view.state} ({view.reason}) on {host.settings.host}",
        )
    word = host.numbering.next()
    view = host.hypervisor.view(request.instance_id)
    if not is_marked(view, request.migration_id, request.attempt):
        return SourceReleased(view=view, statistics=_statistics(host, request), word=word)
    if view.active:
        assert view.mark is not None
        autostart = view.mark.autostart
        unmark_source(host.hypervisor, request.instance_id, request.migration_id, autostart)
    elif view.state is not DomainState.ABSENT and request.files:
        host.hypervisor.undefine_whole(request.instance_id)
    elif view.state is not DomainState.ABSENT:
        host.hypervisor.undefine(request.instance_id)
    close(host.hypervisor, request.files)
    word = host.numbering.next()
    after = host.hypervisor.view(request.instance_id)
    return SourceReleased(view=after, statistics=_statistics(host, request), word=word)


def _left(host: AgentContext, request: ReleaseSource) -> bool | None:
    """None while libvirt still holds the old domain. One that runs is no old one: those are fenced
    before, so somebody has brought the guest back, mark and all."""
    view = host.hypervisor.view(request.instance_id)
    ours = is_marked(view, request.migration_id, request.attempt)
    return None if ours and left_behind(view) else True


def _statistics(host: AgentContext, request: ReleaseSource) -> Statistics | None:
    transfer = host.transfers.of_attempt(request.migration_id, request.attempt)
    if transfer is None:
        return None
    transfer.measured.wait(STATISTICS_S)
    return transfer.statistics
