"""Let a broken post-copy go on."""

from __future__ import annotations

from migrator.compute_agent.context import AgentContext
from migrator.compute_agent.encryption import refuse_stream
from migrator.compute_agent.marking import is_marked
from migrator.compute_agent.tracked import Resumption
from migrator.compute_agent.waiting import poll
from migrator.errors import Refused, Transient
from migrator.messages import PostcopyResumed, ResumePostcopy
from migrator.model import DomainState, DomainView, Reason

POLL_S = 0.1
BREAK_S = 5.0


def run(host: AgentContext, request: ResumePostcopy) -> PostcopyResumed:
    """Returns once libvirt shows that pages flow; its call goes on until all have arrived.

    :raises Transient: ``guest.busy`` while it cannot be resumed yet, ``libvirt.timeout``,
        ``libvirt.error`` with libvirt's words when it failed: nothing is lost by a failed try.
    :raises Refused: ``guest.not_active``, ``command.stale``, ``tls.required``.
    """
    view = host.hypervisor.view(request.instance_id)
    if not is_marked(view, request.migration_id, request.attempt) or not view.active:
        raise Refused(
            "guest.not_active",
            f"{host.settings.host} has nothing left of the guest that could be sent on"
            f" ({view.state}, {view.reason})",
        )
    refusal = refuse_stream(request.plan.flags, host.settings.encryption)
    if refusal is not None:
        raise Refused(refusal.code, refusal.message)
    if request.break_off and _is_split(view):
        view = _break_off(host, request)
    if not _is_broken(view):
        return PostcopyResumed(view=view)
    assert view.mark is not None
    call = host.transfers.resume(request, view.mark)

    def flows() -> DomainView | None:
        _check(call)
        seen = host.hypervisor.view(request.instance_id)
        return None if _is_broken(seen) else seen

    flowing = poll(host.clock, request.deadline_s * 0.8, POLL_S, flows)
    if flowing is None:
        raise Transient(
            "libvirt.timeout",
            f"post-copy has not gone on within {request.deadline_s:.0f} s; it is still being tried",
        )
    return PostcopyResumed(view=flowing)


def _break_off(host: AgentContext, request: ResumePostcopy) -> DomainView:
    """Its other end is dead already: nothing is lost by it. :raises Transient: ``guest.busy``"""
    host.hypervisor.pause_postcopy(request.instance_id)

    def broken() -> DomainView | None:
        seen = host.hypervisor.view(request.instance_id)
        return None if _is_split(seen) else seen

    seen = poll(host.clock, BREAK_S, POLL_S, broken)
    if seen is None:
        raise Transient("guest.busy", "the source's QEMU has not let go of the dead connection yet")
    return seen


def _check(call: Resumption) -> None:
    if call.error is None:
        return
    call.told = True
    if isinstance(call.error, Transient):
        raise call.error
    raise Transient("libvirt.error", f"post-copy cannot go on yet: {call.error.message}")


def _is_split(view: DomainView) -> bool:
    return view.state is DomainState.PAUSED and view.reason is Reason.POSTCOPY


def _is_broken(view: DomainView) -> bool:
    return view.state is DomainState.PAUSED and view.reason is Reason.POSTCOPY_FAILED
