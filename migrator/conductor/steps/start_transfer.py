"""Have the source's libvirt take the transfer; it runs on there whatever becomes of us."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from migrator.conductor.hanging import hangs_after_s
from migrator.conductor.outcome import (
    Side,
    Verdict,
    judge,
    side_of_destination,
    side_of_source,
)
from migrator.conductor.run import Run, send
from migrator.conductor.steering import standing, suspended
from migrator.conductor.steps.base import Result, Results, Step, pack
from migrator.conductor.steps.commit import commit, paused_on_its_way
from migrator.conductor.steps.render import Render
from migrator.conductor.steps.transfer_plan import plan_of, policy_of
from migrator.conductor.transfer_plan import SYNCHRONOUS_FLAG
from migrator.errors import Fenced, Refused, Transient
from migrator.messages import (
    Abort,
    Aborted,
    InstanceRef,
    SourceFacts,
    TransferStarted,
    UndoDestination,
)
from migrator.messages import StartTransfer as Ask
from migrator.states import PAST_NO_RETURN, MigrationState

DEADLINE_S = 60.0
"""Until libvirt shows the job: it first starts a QEMU on the destination (0.2 s idle, many loaded)."""
ABORT_DEADLINE_S = 10.0
"""An abort is done when the migrate call has returned; measured 0.1 s. With a destination's QEMU that
hangs it never does."""
DESTROY_DEADLINE_S = 40.0
"""A QEMU that hangs is killed hard by libvirt after 11.6 s."""
SPLIT = frozenset({Side.POSTCOPY, Side.POSTCOPY_FAILED})


class StartTransfer(Step):
    """Adopt or start; its undo leaves the source as it was and takes as long as the source needs."""

    name = "start_transfer"
    needs = ("describe_source", "place", "prepare_destination", "render")

    def execute(self, run: Run, results: Results) -> Result:
        if run.migration.state is MigrationState.RUNNING:
            return {"adopted": True}
        run.reread()
        run.refuse_if_aborted()
        started = start(run, results)
        run.move(
            MigrationState.RUNNING,
            "the source's libvirt was transferring already"
            if started.adopted
            else f"transferring from {run.source} to {run.destination}",
            method="precopy",
        )
        return pack(started)

    def revert(self, run: Run, results: Results) -> None:
        if run.migration.state in PAST_NO_RETURN:
            return
        if not _has_moved(run, abort(run, results, looked=True)):
            return
        run.note("alarm", "the guest had switched when the transfer was to be undone")
        commit(run, results, "found on the destination while rolling back")


def start(run: Run, results: Results) -> TransferStarted:
    """Adopt-or-start tells of a call that timed out whether it has begun, so ask until answered."""
    facts = msgspec.convert(results["describe_source"], SourceFacts)
    request = Ask(
        **run.head(run.source, StartTransfer.name, DEADLINE_S),
        plan=plan_of(run, results),
        autostart=facts.view.autostart,
        policy=policy_of(run, results),
        asks=standing(run.migration),
    )
    ask = run.context.agents.start_transfer
    started = run.until_answered(
        f"{run.source} to start the transfer", lambda: send(run.source, ask, request)
    )
    if SYNCHRONOUS_FLAG in request.plan.flags and not started.adopted:
        disks = ", ".join(request.plan.migrate_disks)
        run.note("step", f"{disks}: each write waits until both hosts have it")
    return started


def start_again(run: Run, results: Results, flags: Sequence[str]) -> None:
    """Another attempt, with flags that libvirt takes at the start only; once per migration."""
    if run.migration.start_flags is None:
        run.note("step", f"starting the transfer again with {', '.join(flags)}")
        run.update(attempt=run.migration.attempt + 1, start_flags=tuple(flags))
    # The mark in the destination's XML names the attempt.
    rendered = Render().execute(run, results)
    start(run, {**results, Render.name: rendered})


def _has_moved(run: Run, answer: Aborted) -> bool:
    """A source that has no guest left to keep cannot tell; the only copy may be over there.

    :raises Transient: ``guest.state_unknown`` while neither host has it for certain.
    """
    if answer.result == "too_late":
        _wait_for_pages(answer)
        return True
    if answer.view is None or answer.view.active:
        return False
    request = InstanceRef(instance_id=run.migration.instance_id)
    there = run.until_answered(
        f"{run.destination} to say whether it has the guest",
        lambda: run.context.agents.inspect(run.destination, request),
    )
    judgement = judge(answer.view, there.view, call_returned=True)
    if judgement.verdict is Verdict.UNDECIDABLE:
        raise Transient(
            "guest.state_unknown",
            f"{judgement.why} (source {judgement.source}, destination {judgement.destination}); "
            f"nothing is removed from {run.destination} before that is settled: start it or destroy "
            "it there",
        )
    return judgement.verdict is Verdict.FORWARD


def _wait_for_pages(answer: Aborted) -> None:
    """A commit fences the source, which must not happen while the guest needs memory from there.

    :raises Transient: ``guest.state_unknown``."""
    view = answer.view
    if view is not None and view.active and side_of_source(view) in SPLIT:
        raise Transient(
            "guest.state_unknown",
            "the guest runs at the destination and still fetches its memory from the source",
        )


def abort(run: Run, results: Results, looked: bool = False) -> Aborted:
    """Stop the transfer and restore the source; waits for the source as long as it takes.

    :param looked: the destination does not have the guest."""
    facts = msgspec.convert(results["describe_source"], SourceFacts)
    # Of its own each time: the agent would answer one it knows as it did before.
    step = f"abort-{run.migration.attempt}-{int(run.context.clock.monotonic() * 1000)}"

    began = run.context.clock.monotonic()

    def ask() -> Aborted:
        request = Abort(
            **run.head(run.source, step, ABORT_DEADLINE_S),
            autostart=facts.view.autostart,
            suspended=suspended(run.migration),
            paused=paused_on_its_way(run.migration),
            looked=looked,
        )
        try:
            return send(run.source, run.context.agents.abort, request)
        except Transient as stuck:
            if stuck.code == "guest.state_unknown":
                _unfreeze_if_it_hangs(run, run.context.clock.monotonic() - began)
            raise

    return run.until_answered(f"{run.source} to stop the transfer", ask)


def _unfreeze_if_it_hangs(run: Run, since_s: float) -> None:
    """Not while what is on its way over a slow link may still be what the abort waits for."""
    request = InstanceRef(instance_id=run.migration.instance_id)
    job = run.context.agents.inspect(run.source, request).view.job
    if since_s >= hangs_after_s(job):
        unfreeze_destination(run)


def unfreeze_destination(run: Run) -> bool:
    """A transfer that does not end though libvirt took its abort waits for a destination's QEMU that
    hangs. That QEMU holds a half of a guest which runs on the source: destroying it ends the wait.

    Never the side that owns the guest: both are looked at just before. Whether it was done.
    """
    request = InstanceRef(instance_id=run.migration.instance_id)
    try:
        here = run.context.agents.inspect(run.source, request)
        there = run.context.agents.inspect(run.destination, request)
        owned = side_of_source(here.view) in (Side.RUNNING, Side.RESUMED)
        if not owned or side_of_destination(there.view) is not Side.IN_TRANSIT:
            return False
        step = f"unfreeze-{int(run.context.clock.monotonic() * 1000)}"
        undo = UndoDestination(**run.head(run.destination, step, DESTROY_DEADLINE_S))
        removed = send(run.destination, run.context.agents.undo_destination, undo).removed
    except (Transient, Refused) as error:
        if isinstance(error, Fenced):
            raise
        run.note("step", f"the destination's half could not be destroyed: {error.message}")
        return False
    run.note("alarm", f"the destination's QEMU hung; destroyed {', '.join(removed) or 'nothing'}")
    return True
