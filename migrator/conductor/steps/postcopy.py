"""A guest whose memory is split between both hosts: its states, its rescue, its loss.

From here on the destination owns the guest, whatever becomes of the rest of its memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from migrator.conductor.outcome import Judgement, Side
from migrator.conductor.run import Run, send
from migrator.conductor.steps.base import Results
from migrator.conductor.steps.commit import finishing, new_owner
from migrator.conductor.steps.transfer_plan import plan_of
from migrator.errors import Fenced, MigratorError
from migrator.messages import ResumePostcopy, TransferPlan
from migrator.model import AddTodo, DomainView, Effect, Method, TodoKind
from migrator.states import MigrationState

RESUME_DEADLINE_S = 20.0
BUSY_S = 2.0
"""Until the next try while libvirt has not given the first call up."""
STILL_AT_IT = {
    "guest.busy": "the destination has not noticed the interruption",
    "libvirt.timeout": "libvirt has not found out whether it can go on",
    "rpc.timeout": "the source's agent has not found out whether it can go on",
}
"""A try that has neither begun nor failed: the next one asks how it went."""
FIRST_PAUSE_S = 2.0
MOST_PAUSE_S = 30.0
SURE_S = 4.0
"""A loss is believed when it is seen this long: twice what a source needs to go after the last page."""
APART_S = 1.5
"""Without a page between two looks: they do not flow. The slowest post-copy sends one in a few ms."""
HANGS_S = 60.0
"""A QEMU that can answer has done so by then, and one that has to notice a dead connection has."""
MIB = 1 << 20


@dataclass
class Rescue:
    """Tries to let an interrupted post-copy go on."""

    tries: int = 0
    failed: int = 0
    next_at: float = 0.0
    waits_for: str = ""
    """The code of what it was last told to wait for."""
    hangs_since: float | None = None
    """libvirt has not answered a try since then."""
    lost_since: float | None = None
    stranded_since: float | None = None
    """The source's half is gone since then, and the destination does not know."""
    remaining: int | None = None
    """Bytes at the look that last showed fewer than before."""
    read_at: float = 0.0


def flows(rescue: Rescue, source: DomainView | None, now: float) -> bool | None:
    """Whether pages arrive, whatever libvirt calls it; None before two readings are far enough apart."""
    if source is None or source.job is None:
        return None
    left = source.job.memory_remaining
    if rescue.remaining is None:
        rescue.remaining, rescue.read_at = left, now
        return None
    if left < rescue.remaining:
        rescue.remaining, rescue.read_at = left, now
        return True
    return False if now - rescue.read_at >= APART_S else None


def begin(run: Run, why: str) -> None:
    """The guest runs at the destination: it owns the guest from this transaction on."""
    if run.migration.state is not MigrationState.RUNNING:
        return
    run.move(
        MigrationState.POSTCOPY,
        why,
        new_owner(run),
        method=Method.POSTCOPY,
        attention=None,
    )


def go_on(run: Run, rescue: Rescue, why: str) -> None:
    """Pages flow, for the first time or again."""
    begin(run, why)
    rescue.lost_since = None
    if run.migration.state is MigrationState.POSTCOPY_PAUSED:
        tried = f" after {rescue.tries} tries" if rescue.tries else ""
        run.move(MigrationState.POSTCOPY, f"pages flow again{tried}", attention=None)
        rescue.tries = rescue.failed = 0
        rescue.next_at, rescue.hangs_since = 0.0, None


def interrupt(run: Run, rescue: Rescue, judgement: Judgement) -> None:
    """Pages do not flow: the guest waits at the destination for those it needs."""
    begin(run, judgement.why)
    rescue.lost_since = None
    if run.migration.state is MigrationState.POSTCOPY:
        text = _waiting(run) + "; it goes on when the hosts reach each other again"
        run.move(MigrationState.POSTCOPY_PAUSED, judgement.why, attention=text)


def _waiting(run: Run) -> str:
    return (
        f"post-copy is interrupted: {run.migration.instance_name} waits on {run.destination} for"
        f" memory that is still on {run.source}"
    )


def try_rescue(run: Run, rescue: Rescue, results: Results, judgement: Judgement) -> None:
    """One try, when it is due and a QEMU has given the connection up: over the addresses for memory,
    and every other time, when the first tries have failed, over the control addresses.

    While both still have the connection it goes on by itself as soon as packets pass."""
    now = run.context.clock.monotonic()
    if run.migration.state is not MigrationState.POSTCOPY_PAUSED or now < rescue.next_at:
        return
    if Side.POSTCOPY_FAILED not in (judgement.source, judgement.destination):
        return
    rescue.tries += 1
    plan, plane = _next_plan(run, rescue, results)
    request = ResumePostcopy(
        **run.head(run.source, f"rescue-{rescue.tries}-{int(now * 1000)}", RESUME_DEADLINE_S),
        plan=plan,
        break_off=judgement.destination is Side.POSTCOPY_FAILED,
    )
    try:
        send(run.source, run.context.agents.resume_postcopy, request)
    except Fenced:
        raise
    except MigratorError as error:
        _again_later(run, rescue, plane, error)
    else:
        run.record("resume_postcopy", "pages_stopped", "conductor", f"goes on over the {plane}")


def _next_plan(run: Run, rescue: Rescue, results: Results) -> tuple[TransferPlan, str]:
    over_control = run.context.settings.rescue_over_control and rescue.failed % 2 == 1
    plane = "control addresses" if over_control else "migration addresses"
    return plan_of(run, results, over_control), plane


def _again_later(run: Run, rescue: Rescue, plane: str, error: MigratorError) -> None:
    now = run.context.clock.monotonic()
    note_hanging(run, rescue, error, now)
    if error.code in STILL_AT_IT:
        rescue.next_at = now + BUSY_S
        if error.code != rescue.waits_for:
            rescue.waits_for = error.code
            run.note("observed", f"{STILL_AT_IT[error.code]}: {error.message}", code=error.code)
        return
    rescue.failed += 1
    pause = min(FIRST_PAUSE_S * 2 ** min(rescue.failed - 1, 10), MOST_PAUSE_S)
    rescue.next_at = run.context.clock.monotonic() + pause
    run.note(
        "step",
        f"post-copy could not go on over the {plane}: {error.message}; next try in {pause:.0f} s",
        code=error.code,
    )


def note_hanging(run: Run, rescue: Rescue, error: MigratorError, now: float) -> None:
    """libvirt asks the destination's QEMU before it connects the two; a QEMU one of whose threads waits
    for a page with QEMU's lock in hand does not answer."""
    if error.code not in ("libvirt.timeout", "guest.busy"):
        rescue.hangs_since = None
    elif rescue.hangs_since is None:
        rescue.hangs_since = now
    elif now - rescue.hangs_since >= HANGS_S:
        text = (
            f"{_waiting(run)}, and libvirt waits for the QEMU on {run.destination} to answer before it"
            " can connect them again; it is tried on"
        )
        if run.migration.attention != text:
            run.update(attention=text)


def is_lost(run: Run, rescue: Rescue) -> bool:
    """Whether it has been seen so for long enough to be no moment on the way."""
    now = run.context.clock.monotonic()
    if rescue.lost_since is None:
        rescue.lost_since = now
    return now - rescue.lost_since >= SURE_S


def is_stranded(run: Run, rescue: Rescue, judgement: Judgement) -> bool:
    """Whether the source's half is gone for good, and the destination's QEMU has had time to notice.

    One whose guest waits for a page sends nothing, so that its kernel never finds out that the host it
    waits for has lost its power and is back without it.
    """
    gone = judgement.source in (Side.ABSENT, Side.OFF) and judgement.destination is Side.POSTCOPY
    if not gone:
        rescue.stranded_since = None
        return False
    now = run.context.clock.monotonic()
    if rescue.stranded_since is None:
        rescue.stranded_since = now
    return now - rescue.stranded_since >= HANGS_S


def lose(run: Run, rescue: Rescue, judgement: Judgement, results: Results) -> str:
    """One QEMU is dead: say what is gone and what is left; ends the migration."""
    begin(run, judgement.why)
    text = what_was_lost(run, rescue, judgement)
    run.note("alarm", text)
    run.move(
        MigrationState.LOST,
        judgement.why,
        _what_follows(run, judgement, results),
        attention=text,
        error_code="transfer.lost",
        error=text,
    )
    return text


def what_was_lost(run: Run, rescue: Rescue, judgement: Judgement) -> str:
    """For the record and whoever has to repair it."""
    name, source, destination = run.migration.instance_name, run.source, run.destination
    missing = "" if rescue.remaining is None else f" ({rescue.remaining / MIB:.0f} MiB of it)"
    disks = "Its disks are as it last wrote them"
    if _ended_over_there(judgement):
        return (
            f"{name} is lost: it ran on {destination}, where its QEMU ended, while memory{missing} was"
            f" still on {source}. All that was in its memory is gone. {disks}: start it again on"
            f" {destination}"
        )
    return (
        f"{name} is lost: the QEMU on {source} ended while {destination} still needed memory{missing}"
        f" from it, so what runs on {destination} stands still for ever. {disks}: destroy it on"
        f" {destination} and start it again there"
    )


def _what_follows(run: Run, judgement: Judgement, results: Results) -> Sequence[Effect]:
    """What is left at the source can never run again: its guest has gone on without it. Its volumes
    stay; those at the destination are the guest's."""
    fence = AddTodo(TodoKind.FENCE_SOURCE, run.source)
    return [
        *([fence] if _ended_over_there(judgement) else []),
        finishing(run, results),
        AddTodo(TodoKind.RELEASE_SOURCE, run.source),
    ]


def _ended_over_there(judgement: Judgement) -> bool:
    return judgement.destination in (Side.ABSENT, Side.OFF)
