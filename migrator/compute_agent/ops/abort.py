"""Stop the attempt's transfer and leave the source as it was before."""

from __future__ import annotations

from migrator.compute_agent.context import AgentContext
from migrator.compute_agent.marking import (
    POSTCOPY,
    is_held,
    is_marked,
    pause_again,
    resume_if_ours,
    unmark_source,
)
from migrator.compute_agent.monitor.asks import AbortAsked
from migrator.compute_agent.tracked import Tracked
from migrator.compute_agent.transfer import leaving
from migrator.errors import Transient
from migrator.messages import Abort, Aborted
from migrator.model import DomainState, DomainView, Reason

ABORTED = "aborted"
TOO_LATE = "too_late"


def run(host: AgentContext, request: Abort) -> Aborted:
    """``too_late`` only when this side knows that the guest has switched. A domain that is simply gone
    may have moved or died: that is ``aborted`` (nothing runs here), and the destination knows.

    :raises Transient: ``guest.state_unknown`` while libvirt has not settled it; ask again.
    """
    transfer = _find(host, request)
    if transfer is not None and not transfer.ended.is_set:
        _stop(host, request, transfer)
    view = host.hypervisor.view(request.instance_id)
    if _switched(view) or (transfer is not None and transfer.succeeded):
        return Aborted(result=TOO_LATE, view=view)
    if view.state is DomainState.ABSENT:
        return Aborted(result=ABORTED, view=view)
    held = is_held(view, request.migration_id)
    if held and not request.looked:
        return Aborted(result=ABORTED, view=view)
    ours = (request.suspended or held) and not request.paused
    if ours and resume_if_ours(host.hypervisor, request.instance_id):
        view = host.hypervisor.view(request.instance_id)
    if request.paused and pause_again(host.hypervisor, view, request.instance_id):
        view = host.hypervisor.view(request.instance_id)
    _check_settled(view)
    settled = unmark_source(
        host.hypervisor, request.instance_id, request.migration_id, request.autostart
    )
    return Aborted(result=ABORTED, view=settled)


def _stop(host: AgentContext, request: Abort, transfer: Tracked) -> None:
    """Have the monitor abort it; libvirt's call returns within 0.2 s then."""
    if _switched(host.hypervisor.view(request.instance_id)):
        return
    transfer.ask(AbortAsked())
    if transfer.ended.wait(request.deadline_s):
        return
    view = host.hypervisor.view(request.instance_id)
    if not _switched(view):
        raise Transient(
            "guest.state_unknown",
            f"the transfer has not ended {request.deadline_s:.0f} s after it was asked to (the guest is"
            f" {view.state}, {view.reason}); a QEMU may hang. Ask again",
        )


def _check_settled(view: DomainView) -> None:
    if view.state is DomainState.PAUSED and view.reason is Reason.MIGRATION:
        raise Transient(
            "guest.state_unknown",
            "the guest is paused for a switch that nobody carries on; only the destination can tell"
            " whether it happened",
        )
    if view.job is not None:
        raise Transient(
            "guest.busy",
            f"libvirt is working on the guest ({view.job.operation.replace('_', ' ')}); what the"
            " migration left on it can be removed only after that",
        )


def _find(host: AgentContext, request: Abort) -> Tracked | None:
    known = host.transfers.of_attempt(request.migration_id, request.attempt)
    if known is not None:
        return known
    view = host.hypervisor.view(request.instance_id)
    if leaving(view) and is_marked(view, request.migration_id, request.attempt):
        assert view.mark is not None
        return host.transfers.adopt(request.instance_id, view.mark)
    return None


def _switched(view: DomainView) -> bool:
    """libvirt itself says that the guest runs elsewhere."""
    moved = not view.active and view.reason is Reason.MIGRATED
    return moved or (view.state is DomainState.PAUSED and view.reason in POSTCOPY)
