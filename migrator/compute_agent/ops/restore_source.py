"""Leave the guest on this host as it was before the attempt took it off."""

from __future__ import annotations

from migrator.compute_agent.context import AgentContext
from migrator.compute_agent.marking import is_held, resume_if_ours, unmark_source
from migrator.errors import Refused
from migrator.messages import RestoreSource, SourceRestored
from migrator.model import DomainState, DomainView, Reason


def run(host: AgentContext, request: RestoreSource) -> SourceRestored:
    """Started first, unmarked last: whoever finds it unmarked knows that nothing is left to do.

    One that its owner has saved meanwhile stays so: it goes on when it is wanted.
    A domain without this migration's mark was restored before, or was never touched.
    :raises Refused: ``instance.gone``.
    :raises Broken: ``guest.start_failed`` with libvirt's words.
    """
    hypervisor = host.hypervisor
    view = hypervisor.view(request.instance_id)
    if view.state is DomainState.ABSENT:
        raise Refused(
            "instance.gone",
            f"{host.settings.host} has no domain {request.instance_id} any more; somebody undefined it"
            " while its guest was off for its move",
        )
    if request.obeyed and view.mark is None and _obeyed(view):
        hypervisor.start(request.instance_id)
        return SourceRestored(view=hypervisor.view(request.instance_id))
    if view.mark is None or view.mark.migration_id != request.migration_id:
        return SourceRestored(view=view)
    if request.running and not view.active and view.reason is not Reason.SAVED:
        hypervisor.start(request.instance_id)
    if is_held(view, request.migration_id):
        resume_if_ours(hypervisor, request.instance_id)
    return SourceRestored(
        view=unmark_source(hypervisor, request.instance_id, request.migration_id, request.autostart)
    )


def _obeyed(view: DomainView) -> bool:
    """Off, and neither saved nor crashed nor moved away by others since."""
    return view.state is DomainState.SHUTOFF and view.reason in (Reason.OTHER, Reason.UNKNOWN)
