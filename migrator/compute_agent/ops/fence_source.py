"""The destination was seen running the guest: what is left of it here must never run again."""

from __future__ import annotations

import logging

from migrator.compute_agent.context import AgentContext
from migrator.compute_agent.marking import is_held, is_marked, left_behind
from migrator.errors import MigratorError, Refused, Transient
from migrator.messages import FenceSource, SourceFenced
from migrator.model import DomainState, DomainView

LOG = logging.getLogger(__name__)

EXECUTING = frozenset({DomainState.RUNNING, DomainState.BLOCKED})


def run(host: AgentContext, request: FenceSource) -> SourceFenced:
    """Destroys only what this very attempt was moving, and only what is left behind of it.

    :raises Refused: ``command.stale`` when the domain here is not this attempt's.
    :raises Transient: when it still runs afterwards; ask again at once.
    """
    view = host.hypervisor.view(request.instance_id)
    if view.state in (DomainState.ABSENT, DomainState.SHUTOFF):
        return SourceFenced(result="gone")
    _check_ours(host, request, view)
    if not (request.sure or left_behind(view)):
        return SourceFenced(result="may_have_returned")
    running = view.state in EXECUTING
    two_ran = running or is_held(view, request.migration_id)
    if two_ran:
        LOG.error("migration %s: the guest ran here as well; destroying it", request.migration_id)
    if running:
        _suspend(host, request)
    host.hypervisor.destroy(request.instance_id)
    after = host.hypervisor.view(request.instance_id)
    if after.active:
        raise Transient(
            "libvirt.error", f"the guest's old domain is still {after.state} after it was destroyed"
        )
    return SourceFenced(result="destroyed_running" if two_ran else "destroyed")


def _check_ours(host: AgentContext, request: FenceSource, view: DomainView) -> None:
    """By the mark alone: this command may arrive late, while the guest is on its way back here or has
    returned, and that this process once sent it away says nothing about the domain that is here now."""
    if is_marked(view, request.migration_id, request.attempt):
        return
    raise Refused(
        "command.stale",
        f"the domain {view.name} on {host.settings.host} does not belong to attempt"
        f" {request.attempt} of migration {request.migration_id}, so it is not destroyed; look which of"
        " the two hosts should run it",
        state=str(view.state),
        reason=str(view.reason),
    )


def _suspend(host: AgentContext, request: FenceSource) -> None:
    """Stops it a little sooner than destroying does; not being able to is no reason to wait."""
    try:
        host.hypervisor.suspend(request.instance_id)
    except MigratorError as error:
        LOG.warning("migration %s: could not be paused first: %s", request.migration_id, error)
