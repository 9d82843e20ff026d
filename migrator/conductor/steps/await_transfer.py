"""Wait for the transfer's outcome: agents' events first, both libvirts when those stop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import msgspec

from migrator.conductor.hanging import hangs_after_s
from migrator.conductor.mailroom import Wake
from migrator.conductor.outcome import Judgement, Side, Verdict, judge, side_of_destination
from migrator.conductor.run import Run
from migrator.conductor.steps.asking import Told, hand_on, told_at_start
from migrator.conductor.steps.base import Result, Results, Step
from migrator.conductor.steps.commit import USER_PAUSED, USER_RESUMED, paused_on_its_way
from migrator.conductor.steps.postcopy import (
    Rescue,
    begin,
    flows,
    go_on,
    interrupt,
    is_lost,
    is_stranded,
    lose,
    try_rescue,
)
from migrator.conductor.steps.start_transfer import (
    SPLIT,
    abort,
    start_again,
    unfreeze_destination,
)
from migrator.errors import Broken, Refused, Transient
from migrator.messages import (
    DomainEvent,
    Inspected,
    InstanceRef,
    SourceFacts,
    TransferEnded,
    TransferView,
)
from migrator.model import DomainState, JobSample, Phase
from migrator.states import POSTCOPY_STATES, MigrationState

QUIET_S = 5.0
"""Between two looks at whether it is still reported on: both hosts are asked when it is not."""
LONGEST_QUIET_S = 40.0
"""Each look that finds a silent transfer going on doubles the time to the next, up to this: a thousand
whose reports are late must not make the hosts later still."""
RESOLVING_S = 0.5
"""Between two looks while libvirt resolves what has ended."""
AWAY_S = 1.0
"""Between two looks while a host does not answer."""
PAGES_TELL = frozenset({Verdict.POSTCOPY, Verdict.POSTCOPY_PAUSED})
SPLIT_EVENTS = frozenset({"postcopy", "postcopy_failed"})
ENDINGS = frozenset({"stopped", "crashed", "shutdown"})
"""Events after which one side may have nothing left; the others are stations on the way."""


@dataclass
class _Seen:
    """What is known of the transfer so far."""

    ended: bool = False
    moved: bool = False
    """libvirt's call has returned and said so."""
    arrived: bool = False
    """The destination's agent told of an arrival there that was over when it looked."""
    error: str | None = None
    restart_with: Sequence[str] = ()
    abort_sent: bool = False
    aborting_since: float | None = None
    """libvirt took its monitor's abort then, and has not ended it."""
    look: bool = True
    quiet_s: float = QUIET_S
    """Until the next look, if nothing is heard."""
    away: frozenset[str] = frozenset()
    """Hosts that did not answer the last look."""
    attention: str | None = None
    told: Told = field(default_factory=Told)
    rescue: Rescue = field(default_factory=Rescue)


class AwaitTransfer(Step):
    """Reads, and passes on what operators ask; its undo is the transfer's."""

    name = "await_transfer"
    abortable = False
    telling = True
    needs = ("describe_source", "place", "prepare_destination", "render", "start_transfer")

    def __init__(self) -> None:
        self._interrupted = False
        """It has waited before, and what it had seen by then was lost with the database's answer."""

    def execute(self, run: Run, results: Results) -> Result:
        # Right after a fresh start there is nothing to see yet; after an adoption there may be all.
        # An earlier leader may have raised the flag.
        flag = run.migration.attention
        begun = bool(results["start_transfer"]["adopted"]) or run.resumed or self._interrupted
        seen = _Seen(look=begun or flag is not None, attention=flag)
        self._interrupted = True
        if run.migration.start_flags is not None and run.migration.state is MigrationState.RUNNING:
            start_again(run, results, run.migration.start_flags)
        elif not begun:
            seen.told = told_at_start(run)
        while True:
            self._pass_on(run, results, seen)
            why = self._look(run, results, seen) if seen.look else None
            if why is not None:
                return {"why": why}
            why = self._wait(run, seen)
            if why is not None:
                return {"why": why}

    def _wait(self, run: Run, seen: _Seen) -> str | None:
        """Take one message; the reason when it alone proves the switch."""
        hurry = seen.ended or seen.abort_sent or seen.aborting_since is not None
        item = run.inbox.get(self._patience(run, seen, hurry))
        if item is not None:
            seen.quiet_s = QUIET_S
            return self._heed(run, seen, item)
        silent = run.context.mail.is_silent(run.migration.id)
        split = run.migration.state in POSTCOPY_STATES
        # A loss may be seen before anybody heard that its memory was split.
        doubt = bool(seen.away) or seen.rescue.lost_since is not None
        seen.look = hurry or doubt or silent or split
        seen.quiet_s = quiet_after(seen.quiet_s, silent)
        return None

    def _heed(self, run: Run, seen: _Seen, item: object) -> str | None:
        match item:
            case DomainEvent(event="resumed", detail="migrated") if item.host == run.destination:
                # An agent repeats an arrival until it is heard, with what it sees by then: the
                # repeat of an earlier migration's must not end this one.
                if side_of_destination(item.view) is Side.ARRIVED:
                    return f"the guest resumed on {item.host}"
                seen.arrived = seen.look = True
            case DomainEvent(detail="paused" | "unpaused") if item.host == run.source:
                seen.look = True
            case DomainEvent(event="suspended", detail="migrated") if item.host == run.source:
                run.context.mail.report_phase(run.migration.id, Phase.SWITCHOVER)
            case DomainEvent() if item.event in ENDINGS or item.detail in SPLIT_EVENTS:
                seen.look = True
            case TransferEnded() if item.attempt == run.migration.attempt:
                seen.ended, seen.moved, seen.error, seen.look = True, item.ok, item.error, True
                seen.restart_with = item.restart_with
            case Wake():
                run.reread()
                seen.look = item.look
                seen.arrived = seen.arrived or item.arrived_on == run.destination
                if item.rescue:
                    seen.rescue.next_at, seen.look = 0.0, True
        return None

    def _patience(self, run: Run, seen: _Seen, hurry: bool) -> float:
        """Seconds until the next look without a message."""
        if hurry:
            return RESOLVING_S
        restless = bool(seen.away) or run.migration.state is MigrationState.POSTCOPY_PAUSED
        if restless or seen.rescue.lost_since is not None:
            return AWAY_S
        split = run.migration.state in POSTCOPY_STATES
        return QUIET_S if split else seen.quiet_s

    def _look(self, run: Run, results: Results, seen: _Seen) -> str | None:
        """Read both hosts and the table; the reason when the guest has switched."""
        seen.look = False
        source, destination = (_inspect(run, host, seen) for host in (run.source, run.destination))
        transfer = source.transfer if source else None
        if transfer is not None and transfer.attempt != run.migration.attempt:
            transfer = None
        if transfer is not None:
            _note_pause(run, transfer.paused_by_user)
        if transfer is not None and transfer.ended:
            seen.ended, seen.moved = True, bool(transfer.ok)
            seen.error = seen.error or transfer.error
            seen.restart_with = transfer.restart_with
        self._end_what_hangs(run, seen, transfer, source.view.job if source else None)
        nobody_runs_it = source is not None and transfer is None
        view = source.view if source else None
        judgement = judge(
            view,
            destination.view if destination else None,
            seen.ended or nobody_runs_it,
        )
        if judgement.source in SPLIT and judgement.verdict in PAGES_TELL:
            flowing = flows(seen.rescue, view, run.context.clock.monotonic())
            stalled = transfer is not None and transfer.stalled
            paused = run.migration.state is MigrationState.POSTCOPY_PAUSED
            judgement = _by_its_pages(judgement, flowing, stalled or paused)
        return self._conclude(run, results, seen, judgement)

    def _conclude(
        self, run: Run, results: Results, seen: _Seen, judgement: Judgement
    ) -> str | None:
        text = f"{judgement.why} (source {judgement.source}, destination {judgement.destination})"
        match judgement.verdict:
            case Verdict.FORWARD:
                if judgement.source in SPLIT:
                    begin(run, text)
                return text
            case Verdict.SPLIT_BRAIN:
                run.note("alarm", f"two were running: {text}")
                return text
            case Verdict.POSTCOPY | Verdict.POSTCOPY_PAUSED | Verdict.LOST:
                return self._care_for_split(run, results, seen, judgement)
            case Verdict.GUEST_DIED if seen.moved or (
                # Of a source that has it defined the word might be of an earlier migration.
                seen.arrived and judgement.source is Side.ABSENT
            ):
                return f"libvirt moved the guest, which has ended on {run.destination} since"
            case Verdict.GUEST_DIED:
                item = run.inbox.get(0.0)
                if item is not None:
                    # Told while both hosts were asked: perhaps of its arrival.
                    why = self._heed(run, seen, item)
                    seen.look = True
                    return why
                raise Refused("guest.died", f"{text}; it is on {run.source} as it ended there")
            case Verdict.ROLL_BACK | Verdict.STOP_AND_ROLL_BACK:
                self._came_to_nothing(run, results, seen, judgement)
            case Verdict.WAIT:
                _say(run, seen, None)
            case _:
                _say(run, seen, text)
        return None

    def _care_for_split(
        self, run: Run, results: Results, seen: _Seen, judgement: Judgement
    ) -> str | None:
        """The guest runs at the destination, and memory of it is still at the source."""
        match judgement.verdict:
            case Verdict.POSTCOPY:
                go_on(run, seen.rescue, judgement.why)
            case Verdict.POSTCOPY_PAUSED if is_stranded(run, seen.rescue, judgement):
                why = "the source's QEMU is gone, and the destination's does not notice"
                return lose(run, seen.rescue, replace(judgement, why=why), results)
            case Verdict.POSTCOPY_PAUSED:
                interrupt(run, seen.rescue, judgement)
                try_rescue(run, seen.rescue, results, judgement)
            case _ if is_lost(run, seen.rescue):
                return lose(run, seen.rescue, judgement, results)
        return None

    def _came_to_nothing(
        self, run: Run, results: Results, seen: _Seen, judgement: Judgement
    ) -> None:
        """The guest runs on the source and nothing is under way.

        :raises Broken: ``transfer.failed``, unless its monitor wanted another attempt."""
        run.refuse_if_aborted()
        if seen.restart_with and run.migration.start_flags is None:
            if judgement.verdict is Verdict.ROLL_BACK:
                start_again(run, results, seen.restart_with)
                seen.ended = seen.moved = False
                seen.error, seen.restart_with, seen.aborting_since = None, (), None
            return
        raise Broken(
            "transfer.failed",
            f"libvirt gave the transfer up: {seen.error or 'no reason given'}; "
            f"{_how_it_stays(run, results)}",
        )

    def _end_what_hangs(
        self, run: Run, seen: _Seen, transfer: TransferView | None, job: JobSample | None
    ) -> None:
        """Its monitor gave it up, libvirt agreed, and still it does not end."""
        if transfer is None or transfer.ended or not transfer.abort_requested:
            seen.aborting_since = None
            return
        now = run.context.clock.monotonic()
        if seen.aborting_since is None:
            seen.aborting_since = now
        elif now - seen.aborting_since >= hangs_after_s(job):
            unfreeze_destination(run)
            seen.aborting_since = now

    def _pass_on(self, run: Run, results: Results, seen: _Seen) -> None:
        """An abort, or what else was asked."""
        by = run.migration.abort_by
        if by is None:
            hand_on(run, results, seen.told)
        elif not seen.abort_sent:
            seen.abort_sent = seen.look = True
            answer = abort(run, results)
            run.record("abort", "operator", by, answer.result)
            seen.ended = seen.ended or answer.result == "aborted"


def quiet_after(quiet_s: float, silent: bool) -> float:
    """Seconds until the next look, after this long without a word."""
    return min(2 * quiet_s, LONGEST_QUIET_S) if silent else QUIET_S


def _by_its_pages(judgement: Judgement, flowing: bool | None, doubtful: bool) -> Judgement:
    """libvirt says "failed" of a post-copy whose pages still flow, when a daemon died, and sees nothing
    in one whose link is cut: the pages tell which.

    :param doubtful: its agent has seen no page for a while, or none came at the last look.
    """
    called_failed = Side.POSTCOPY_FAILED in (judgement.source, judgement.destination)
    if flowing:
        return replace(judgement, verdict=Verdict.POSTCOPY, why="pages still flow")
    if doubtful or (called_failed and flowing is False):
        return replace(judgement, verdict=Verdict.POSTCOPY_PAUSED, why="pages do not flow")
    return judgement


def _inspect(run: Run, host: str, seen: _Seen) -> Inspected | None:
    """What a host says now; None when it does not answer, which is never the same as absent."""
    request = InstanceRef(instance_id=run.migration.instance_id)
    try:
        answer = run.context.agents.inspect(host, request)
    except Transient as error:
        if host not in seen.away:
            run.note("observed", f"{host} does not answer: {error.message}", code=error.code)
        seen.away |= {host}
        return None
    seen.away -= {host}
    return answer


def _how_it_stays(run: Run, results: Results) -> str:
    """As its user has it by now: whoever undoes the transfer sees to that."""
    told = [each.action for each in run.migration.actions]
    before = msgspec.convert(results["describe_source"], SourceFacts).view.state
    if paused_on_its_way(run.migration):
        return f"the guest is paused on {run.source}, as its user has left it"
    if before is DomainState.PAUSED and USER_RESUMED not in told:
        return f"the guest is paused on {run.source} as before"
    return f"the guest runs on {run.source} as before"


def _note_pause(run: Run, paused: bool) -> None:
    """In the record, so that whoever commits knows, after a restart as well."""
    run.reread()
    if paused != paused_on_its_way(run.migration):
        action, result = (
            (USER_PAUSED, "kept for its arrival") if paused else (USER_RESUMED, "it runs again")
        )
        run.record(action, "guest", "a user of the guest's host", result)


def _say(run: Run, seen: _Seen, attention: str | None) -> None:
    """Raise or lower the flag, once."""
    if attention != seen.attention:
        seen.attention = attention
        run.update(attention=attention)
