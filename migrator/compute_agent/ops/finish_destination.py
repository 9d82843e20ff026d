"""Settle the guest where it is now."""

from __future__ import annotations

from migrator.compute_agent.context import AgentContext
from migrator.compute_agent.made_volumes import keep
from migrator.compute_agent.ops.attach_devices import attach_missing
from migrator.compute_agent.state_files import keep_files
from migrator.compute_agent.waiting import poll
from migrator.errors import Refused, Transient
from migrator.messages import DestinationFinished, FinishDestination
from migrator.model import DomainState, DomainView, Reason

POLL_S = 0.1
WAITING_SHARE = 0.4
"""Of the deadline, for each of the two waits; the rest is for libvirt's answers."""
NOT_STARTED_YET = frozenset({Reason.MIGRATION, Reason.STARTING_UP})


def run(host: AgentContext, request: FinishDestination) -> DestinationFinished:
    """Persistence checked (libvirt's persist_dest makes it), autostart set, the mark removed.

    A guest that was shut down since by its owner is settled all the same.
    :raises Refused: ``instance.gone``.
    :raises Transient: while libvirt is still at it, or has not done what was asked of it.
    """
    hypervisor = host.hypervisor
    view = _after_its_job(host, request)
    if view.state is DomainState.ABSENT:
        raise Refused(
            "instance.gone",
            f"the guest ran on {host.settings.host} after its move and is not there any more; somebody"
            " shut it down or moved it since",
        )
    if _not_started(view, request):
        raise Transient(
            "guest.state_unknown",
            f"the guest is still paused ({view.reason}) on {host.settings.host}, though it was seen to"
            " have arrived",
        )
    if request.persistent and not view.persistent:
        raise Transient(
            "guest.state_unknown",
            f"the guest is not defined on {host.settings.host} yet, as it was on the source; if this"
            " stays so, define it there from `virsh dumpxml --inactive` of it",
        )
    _write(host, request, view)
    attach_missing(host, request.instance_id, request.devices)
    for volume in request.created:
        keep(hypervisor, request.migration_id, volume)
    keep_files(hypervisor, request.migration_id, request.files)
    word = host.numbering.next()
    return DestinationFinished(
        view=hypervisor.view(request.instance_id),
        statistics=hypervisor.completed_job(request.instance_id) if view.active else None,
        seen=hypervisor.summary(request.instance_id),
        word=word,
    )


def _write(host: AgentContext, request: FinishDestination, view: DomainView) -> None:
    """libvirt still has its incoming job for a moment after the guest runs, shows it to nobody and
    refuses to write meanwhile."""
    refused: list[Transient] = []

    def write() -> bool | None:
        try:
            _settle(host, request, view)
        except Transient as busy:
            refused.append(busy)
            if busy.code == "libvirt.error":
                return None
            raise
        return True

    if poll(host.clock, request.deadline_s * WAITING_SHARE, POLL_S, write) is None:
        raise refused[-1]


def _settle(host: AgentContext, request: FinishDestination, view: DomainView) -> None:
    """With another migration's mark the guest is on its way to somewhere else: a command that comes that
    late changes nothing."""
    if view.mark is not None and view.mark.migration_id != request.migration_id:
        return
    if view.persistent and view.autostart != request.autostart:
        host.hypervisor.set_autostart(request.instance_id, request.autostart)
    if view.mark is None:
        return
    if request.pause and view.state is DomainState.RUNNING and view.reason is Reason.MIGRATED:
        host.hypervisor.suspend(request.instance_id)
    host.hypervisor.set_mark(request.instance_id, None)


def _after_its_job(host: AgentContext, request: FinishDestination) -> DomainView:
    """Metadata cannot be written while libvirt has the incoming job."""

    def look() -> DomainView | None:
        view = host.hypervisor.view(request.instance_id)
        return None if view.job is not None or _not_started(view, request) else view

    settled = poll(host.clock, request.deadline_s * WAITING_SHARE, POLL_S, look)
    if settled is not None:
        return settled
    view = host.hypervisor.view(request.instance_id)
    if view.job is not None:
        raise Transient(
            "guest.busy",
            f"libvirt is still working on the guest on {host.settings.host}"
            f" ({view.job.operation.replace('_', ' ')})",
        )
    return view


def _not_started(view: DomainView, request: FinishDestination) -> bool:
    """Still as libvirt holds an arriving guest; one that was moved while paused may stay so."""
    arriving = view.state is DomainState.PAUSED and view.reason in NOT_STARTED_YET
    return arriving and not request.expect_paused
