"""Take the guest off at the source, so that its volumes stand still."""

from __future__ import annotations

import itertools
from datetime import timedelta

import msgspec

from migrator.conductor.run import Run, send
from migrator.conductor.steps.base import Result, Results, Step
from migrator.errors import Refused
from migrator.messages import InstanceRef, RestoreSource, SourceFacts, StopHow
from migrator.messages import StopGuest as Ask
from migrator.model import AddTodo, DomainView, Kind, TodoKind
from migrator.states import PAST_NO_RETURN, MigrationState

DEADLINE_S = 60.0
"""Killing a QEMU that hangs takes libvirt 12 s and more."""
START_DEADLINE_S = 90.0
LOOK_S = 1.0
"""Between two looks at a guest that was asked to shut down; its end is an event besides."""
FIRST_LOOK_S = 1.0
"""Until a guest whose stop was called off is looked at for the first time."""
ASK_AGAIN_LOOKS = 10
"""A guest that is just coming up does not hear the first one."""


class StopGuest(Step):
    """Its undo calls the stop off. A guest that is off is started, however long the source needs for it;
    one that still runs goes on. What was asked of its system cannot be taken back: should it obey later,
    a to-do starts it again."""

    name = "stop_guest"
    needs = ("describe_source", "prepare_destination")

    def execute(self, run: Run, results: Results) -> Result:
        facts = msgspec.convert(results["describe_source"], SourceFacts)
        began = run.context.clock.now()
        if run.migration.state is MigrationState.PREPARING:
            _check_unchanged(run, facts)
            run.move(MigrationState.STOPPING, _why(facts))
        limit = run.context.clock.monotonic() + run.context.settings.cold_stop_s
        for number in itertools.count():
            if number % ASK_AGAIN_LOOKS == 0:
                self._ask(run, facts, StopHow.ASK, number)
            if not look(run, run.source).active:
                break
            left = limit - run.context.clock.monotonic()
            if left <= 0:
                run.note("step", f"{facts.name} did not shut down by itself and is destroyed")
                self._ask(run, facts, StopHow.KILL, number)
                break
            run.inbox.get(min(left, LOOK_S))
            run.reread()
            run.refuse_if_aborted()
        check_off(run, facts)
        return {"began": began.isoformat() if facts.view.active else None}

    def revert(self, run: Run, results: Results) -> None:
        if run.migration.state in PAST_NO_RETURN:
            return
        facts = msgspec.convert(results["describe_source"], SourceFacts)
        if facts.view.active and _may_obey(run):
            run.update([_start_again(run, facts)])
        request = RestoreSource(
            **run.head(run.source, f"{self.name}-undo", START_DEADLINE_S),
            autostart=facts.view.autostart,
            running=facts.view.active,
        )
        try:
            run.until_answered(
                f"{run.source} to bring {facts.name} back",
                lambda: send(run.source, run.context.agents.restore_source, request),
            )
        except Refused as refused:
            if refused.code != "instance.gone":
                raise
            run.note("alarm", refused.message)

    def _ask(self, run: Run, facts: SourceFacts, how: StopHow, number: int) -> DomainView:
        request = Ask(
            **run.head(run.source, f"{self.name}-{how}-{number}", DEADLINE_S),
            autostart=facts.view.autostart,
            how=how,
        )
        return run.persist(lambda: send(run.source, run.context.agents.stop_guest, request)).view


def check_off(run: Run, facts: SourceFacts) -> None:
    """Is the guest off as it was to be, with no memory that would be left behind?

    :raises Refused: ``guest.busy`` when somebody has started it, or saved it, since it was described.
    """
    ref = InstanceRef(instance_id=run.migration.instance_id, kind=Kind.COLD)
    now = run.persist(lambda: run.context.agents.describe_source(run.source, ref))
    if now.view.active:
        raise Refused(
            "guest.busy",
            f"{facts.name} has been started on {run.source} while it was to be off for its move; what is"
            " copied is not what it has then",
        )
    if (now.saved_xml is None) != (facts.saved_xml is None):
        what = "has been saved" if facts.saved_xml is None else "has lost its saved memory"
        raise Refused(
            "guest.busy",
            f"{facts.name} {what} on {run.source} since its move was asked for; ask again, and it moves"
            " as it is now",
        )


def look(run: Run, host: str) -> DomainView:
    """How the guest is there now."""
    request = InstanceRef(instance_id=run.migration.instance_id)
    return run.persist(lambda: run.context.agents.inspect(host, request)).view


def look_until(run: Run, host: str) -> DomainView:
    """The same, however long the host is away."""
    request = InstanceRef(instance_id=run.migration.instance_id)
    return run.until_answered(
        f"{host} to say how the guest is there", lambda: run.context.agents.inspect(host, request)
    ).view


def _may_obey(run: Run) -> bool:
    """It was asked to shut down, and runs."""
    view = look_until(run, run.source)
    return view.active and view.mark is not None and view.mark.migration_id == run.migration.id


def _start_again(run: Run, facts: SourceFacts) -> AddTodo:
    until = run.context.clock.now() + timedelta(seconds=run.context.settings.cold_stop_s)
    payload = {"autostart": facts.view.autostart, "until": until.isoformat()}
    return AddTodo(TodoKind.START_AGAIN, run.source, payload, FIRST_LOOK_S)


def _check_unchanged(run: Run, facts: SourceFacts) -> None:
    """:raises Refused: ``guest.busy`` for a guest that was off and has been started since."""
    view = look(run, run.source)
    if view.active and not facts.view.active:
        raise Refused(
            "guest.busy",
            f"{facts.name} was off and has been started on {run.source} since; ask again if it shall be"
            " stopped for its move",
        )


def _why(facts: SourceFacts) -> str:
    return f"{facts.name} is shut down" if facts.view.active else f"{facts.name} is off already"
