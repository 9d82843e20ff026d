"""The source's own traces of an attempt: set before libvirt's job, taken back after it.

Both are blocked while the job runs. The mark goes on first and comes off last, so that whoever finds a
domain without it knows that nothing is left to restore.
"""

from __future__ import annotations

from dataclasses import replace

from migrator.compute_agent.ports import Hypervisor
from migrator.model import AttemptMark, DomainState, DomainView, Reason

POSTCOPY = frozenset({Reason.POSTCOPY, Reason.POSTCOPY_FAILED})
"""Why libvirt holds a source's domain paused whose guest runs elsewhere and still fetches pages."""
IN_SWITCH = frozenset({Reason.MIGRATION}) | POSTCOPY
"""Why libvirt holds a source's domain paused whose guest is switching, or runs elsewhere by now."""


def mark_source(hypervisor: Hypervisor, instance_id: str, mark: AttemptMark) -> None:
    """Write the mark; keep the host from starting a second copy should it reboot meanwhile."""
    hypervisor.set_mark(instance_id, mark)
    if mark.autostart:
        hypervisor.set_autostart(instance_id, False)


def unmark_source(
    hypervisor: Hypervisor, instance_id: str, migration_id: str, autostart: bool
) -> DomainView:
    """Undo :func:`mark_source` for any attempt of this migration; how the domain looks then."""
    view = hypervisor.view(instance_id)
    if view.mark is None or view.mark.migration_id != migration_id:
        return view
    if view.persistent and view.autostart != autostart:
        hypervisor.set_autostart(instance_id, autostart)
    hypervisor.set_mark(instance_id, None)
    return hypervisor.view(instance_id)


def resume_if_ours(hypervisor: Hypervisor, instance_id: str) -> bool:
    """Let a guest run that migrator itself had paused while it was copied; whether it had to."""
    view = hypervisor.view(instance_id)
    held = view.reason in (Reason.USER, Reason.MIGRATION)
    if view.state is not DomainState.PAUSED or view.job is not None or not held:
        return False
    hypervisor.resume(instance_id)
    return True


def pause_again(hypervisor: Hypervisor, view: DomainView, instance_id: str) -> bool:
    """Pause a guest that was paused when libvirt gave its transfer up, by its user or for the switch:
    libvirt runs it then. One that somebody has let run since is left alone. Whether it had to be."""
    if not resumed_by_libvirt(view):
        return False
    hypervisor.suspend(instance_id)
    return True


def resumed_by_libvirt(view: DomainView) -> bool:
    """libvirt gave up the transfer of a paused guest and ran it here, and nobody has paused it since."""
    return view.job is None and view.reason is Reason.MIGRATION_CANCELED and view.active


def hold(hypervisor: Hypervisor, view: DomainView, instance_id: str) -> bool:
    """Pause a marked guest that may run at its destination as well. The mark says so first: whoever
    comes after this process is to know that it may run again. Whether it had to be."""
    if view.mark is None or not resumed_by_libvirt(view):
        return False
    hypervisor.set_mark(instance_id, replace(view.mark, held=True))
    hypervisor.suspend(instance_id)
    return True


def is_held(view: DomainView, migration_id: str) -> bool:
    """Whether :func:`hold` has paused it for this migration, or was about to."""
    mark = view.mark
    return mark is not None and mark.held and mark.migration_id == migration_id


def is_marked(view: DomainView, migration_id: str, attempt: int) -> bool:
    """The domain belongs to this very attempt."""
    mark = view.mark
    return mark is not None and (mark.migration_id, mark.attempt) == (migration_id, attempt)


def left_behind(view: DomainView) -> bool:
    """As libvirt holds a guest at its source that runs elsewhere. One that runs here was resumed by
    libvirt, or was brought back by somebody since and is the only one: this host cannot tell which."""
    return view.state is DomainState.PAUSED and view.reason in IN_SWITCH
