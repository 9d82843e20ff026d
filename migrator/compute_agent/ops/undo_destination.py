"""Remove what this attempt left on the destination, and nothing else."""

from __future__ import annotations

import logging

from migrator.compute_agent.context import AgentContext
from migrator.compute_agent.made_volumes import unmake
from migrator.compute_agent.marking import is_marked
from migrator.compute_agent.state_files import unmake_files
from migrator.errors import Refused, Transient
from migrator.messages import DestinationUndone, UndoDestination
from migrator.model import DomainState, DomainView, Reason

LOG = logging.getLogger(__name__)

HALF_FILLED = frozenset({Reason.MIGRATION, Reason.STARTING_UP, Reason.UNKNOWN})
"""Why a domain is paused that has never run here; a guest that was moved while paused says ``user``."""


def run(host: AgentContext, request: UndoDestination) -> DestinationUndone:
    """:raises Refused: ``abort.too_late`` when the guest has arrived after all."""
    removed = _domain(host, request)
    if host.hypervisor.view(request.instance_id).active:
        # Brought here by other hands since; these may be the volumes it runs from.
        return DestinationUndone(removed=removed)
    for volume in request.created:
        removed += unmake(host.hypervisor, request.migration_id, volume)
    removed += unmake_files(host.hypervisor, request.migration_id, request.files)
    return DestinationUndone(removed=removed)


def _domain(host: AgentContext, request: UndoDestination) -> list[str]:
    hypervisor = host.hypervisor
    view = hypervisor.view(request.instance_id)
    if not is_marked(view, request.migration_id, request.attempt):
        if view.state is not DomainState.ABSENT:
            LOG.info(
                "migration %s: domain %s (%s) here is not of its attempt %d and is left alone",
                request.migration_id,
                view.name,
                view.state,
                request.attempt,
            )
        return []
    removed = []
    if view.active:
        _check_never_ran(host, view)
        hypervisor.destroy(request.instance_id)
        removed.append(f"the half-filled domain {view.name}")
        view = hypervisor.view(request.instance_id)
        if view.active:
            raise Transient("libvirt.error", f"{view.name} is still {view.state} though destroyed")
    if view.state is not DomainState.ABSENT and is_marked(
        view, request.migration_id, request.attempt
    ):
        if request.files:
            hypervisor.undefine_whole(request.instance_id)
        else:
            hypervisor.undefine(request.instance_id)
        removed.append(f"the definition of {view.name}")
    return removed


def _check_never_ran(host: AgentContext, view: DomainView) -> None:
    if view.state is DomainState.PAUSED and view.reason in HALF_FILLED:
        return
    raise Refused(
        "abort.too_late",
        f"{view.name} has arrived on {host.settings.host} ({view.state}, {view.reason}): the migration"
        " succeeded and cannot be undone; look at both hosts",
        state=str(view.state),
        reason=str(view.reason),
    )
