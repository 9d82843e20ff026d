"""Adopt the attempt's transfer if libvirt has it already, else start it."""

from __future__ import annotations

import logging

from migrator.compute_agent.context import AgentContext
from migrator.compute_agent.encryption import refuse_stream
from migrator.compute_agent.marking import (
    IN_SWITCH,
    is_held,
    is_marked,
    mark_source,
    resume_if_ours,
    unmark_source,
)
from migrator.compute_agent.tracked import Tracked
from migrator.compute_agent.transfer import leaving
from migrator.errors import Broken, MigratorError, Refused, Transient
from migrator.messages import StartTransfer, TransferStarted
from migrator.model import AttemptMark, DomainState, DomainView, Reason

LOG = logging.getLogger(__name__)

LEFT = IN_SWITCH | {Reason.MIGRATED}
"""Reasons of a source's domain once its guest has switched, or may have."""


def run(host: AgentContext, request: StartTransfer) -> TransferStarted:
    """Returns once libvirt has the job; libvirt then carries it through whatever happens to us.

    :raises Broken: ``transfer.failed`` with libvirt's words when the call failed; the source is as
        before then.
    :raises Refused: ``guest.busy``, ``guest.not_active``, ``tls.required``.
    :raises Transient: ``libvirt.timeout`` when libvirt neither began nor refused in time; it may still.
    """
    known = host.transfers.of_attempt(request.migration_id, request.attempt)
    if known is not None:
        return _until_taken(host, request, known, adopted=True)
    view = host.hypervisor.view(request.instance_id)
    if _has_left(view, request):
        return TransferStarted(adopted=True)
    if leaving(view) and is_marked(view, request.migration_id, request.attempt):
        assert view.mark is not None
        adopted = host.transfers.adopt(request.instance_id, view.mark)
        return _until_taken(host, request, adopted, adopted=True)
    _check(host, request, view)
    if is_held(view, request.migration_id):
        # For an earlier attempt, after which both hosts were looked at.
        resume_if_ours(host.hypervisor, request.instance_id)
    mark = AttemptMark(request.migration_id, request.attempt, request.autostart)
    mark_source(host.hypervisor, request.instance_id, mark)
    return _until_taken(host, request, host.transfers.start(request), adopted=False)


def _has_left(view: DomainView, request: StartTransfer) -> bool:
    """Another process began and libvirt finished it, or the guest died before: there is nothing to
    start. Whoever waits for the transfer looks at both hosts, which tells the two apart."""
    if view.state is DomainState.ABSENT:
        return True
    ours = is_marked(view, request.migration_id, request.attempt)
    return (
        ours and view.job is None and (view.reason in LEFT or is_held(view, request.migration_id))
    )


def _check(host: AgentContext, request: StartTransfer, view: DomainView) -> None:
    name = view.name or request.instance_id
    if not view.active:
        raise Refused("guest.not_active", f"{name} does not run any more ({view.state})")
    if view.job is not None or view.reason in IN_SWITCH:
        what = view.job.operation if view.job is not None else str(view.reason)
        raise Refused(
            "guest.busy",
            f"libvirt is working on {name} ({what.replace('_', ' ')}) and that is not this attempt's;"
            " try again when it has ended",
            job=what,
        )
    refusal = refuse_stream(request.plan.flags, host.settings.encryption)
    if refusal is not None:
        raise Refused(refusal.code, refusal.message)


def _until_taken(
    host: AgentContext, request: StartTransfer, transfer: Tracked, adopted: bool
) -> TransferStarted:
    if request.policy is not None:
        transfer.policy = request.policy
    if not transfer.taken.wait(request.deadline_s):
        raise Transient(
            "libvirt.timeout",
            f"libvirt has neither begun nor refused the transfer within {request.deadline_s:.0f} s;"
            " ask again",
        )
    # One that was known before may have failed long ago and after its switch: that is for whoever
    # looks at both hosts. One that fails as it starts has not moved anything.
    if transfer.ended.is_set and transfer.error is not None and not adopted:
        _restore(host, request)
        words = transfer.error.message
        raise Broken("transfer.failed", f"libvirt could not move the guest: {words}")
    return TransferStarted(adopted=adopted)


def _restore(host: AgentContext, request: StartTransfer) -> None:
    """As before the call, unless the guest is not simply back. Whoever undoes the step does it again,
    so not being able to does not hide why the transfer failed."""
    try:
        view = host.hypervisor.view(request.instance_id)
        if view.job is None and view.reason not in IN_SWITCH:
            unmark_source(
                host.hypervisor, request.instance_id, request.migration_id, request.autostart
            )
    except MigratorError as error:
        LOG.warning("migration %s: the source keeps its mark: %s", request.migration_id, error)
