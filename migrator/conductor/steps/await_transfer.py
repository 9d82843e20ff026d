"""Wait for the transfer's outcome: agents' events first, both libvirts when those stop."""

from __future__ import annotations

from dataclasses import dataclass

from migrator.conductor.mailroom import Wake
from migrator.conductor.outcome import Judgement, Side, Verdict, judge, side_of_destination
from migrator.conductor.run import Run
from migrator.conductor.steps.base import Result, Results, Step
from migrator.conductor.steps.commit import USER_PAUSED, USER_RESUMED, paused_on_its_way
from migrator.conductor.steps.start_transfer import abort
from migrator.errors import Broken, Refused, Transient
from migrator.messages import DomainEvent, Inspected, InstanceRef, TransferEnded
from migrator.model import Phase

QUIET_S = 5.0
"""Silence after which both hosts are asked: five missed progress reports."""
RESOLVING_S = 0.5
"""Between two looks while libvirt resolves what has ended."""
AWAY_S = 1.0
"""Between two looks while a host does not answer."""
ENDINGS = frozenset({"stopped", "crashed", "shutdown"})
"""Events after which one side may have nothing left; the others are stations on the way."""


@dataclass
class _Seen:
    """What is known of the transfer so far."""

    ended: bool = False
    moved: bool = False
    """libvirt's call has returned and said so."""
    error: str | None = None
    abort_sent: bool = False
    look: bool = True
    away: frozenset[str] = frozenset()
    """Hosts that did not answer the last look."""
    attention: str | None = None
    paused: bool = False
    """A user has paused the guest on its way."""


class AwaitTransfer(Step):
    """Reads, and passes an operator's abort on; its undo is the transfer's."""

    name = "await_transfer"
    abortable = False
    needs = ("describe_source", "start_transfer")

    def __init__(self) -> None:
        self._interrupted = False
        """It has waited before, and what it had seen by then was lost with the database's answer."""

    def execute(self, run: Run, results: Results) -> Result:
        # Right after a fresh start there is nothing to see yet; after an adoption there may be all.
        # An earlier leader may have raised the flag.
        flag = run.migration.attention
        adopted = bool(results["start_transfer"]["adopted"])
        paused = paused_on_its_way(run.migration)
        look = adopted or flag is not None or self._interrupted
        seen = _Seen(look=look, attention=flag, paused=paused)
        self._interrupted = True
        while True:
            self._pass_abort_on(run, results, seen)
            why = self._look(run, seen) if seen.look else None
            if why is not None:
                return {"why": why}
            why = self._wait(run, seen)
            if why is not None:
                return {"why": why}

    def _wait(self, run: Run, seen: _Seen) -> str | None:
        """Take one message; the reason when it alone proves the switch."""
        hurry = seen.ended or seen.abort_sent
        item = run.inbox.get(RESOLVING_S if hurry else AWAY_S if seen.away else QUIET_S)
        match item:
            case DomainEvent(event="resumed", detail="migrated") if item.host == run.destination:
                # An agent repeats an arrival until it is heard, with what it sees by then: the
                # repeat of an earlier migration's must not end this one.
                if side_of_destination(item.view) is Side.ARRIVED:
                    return f"the guest resumed on {item.host}"
                seen.look = True
            case DomainEvent(detail="paused" | "unpaused") if item.host == run.source:
                seen.look = True
            case DomainEvent(event="suspended", detail="migrated") if item.host == run.source:
                run.context.mail.report_phase(run.migration.id, Phase.SWITCHOVER)
            case DomainEvent() if item.event in ENDINGS:
                seen.look = True
            case TransferEnded() if item.attempt == run.migration.attempt:
                seen.ended, seen.moved, seen.error, seen.look = True, item.ok, item.error, True
            case Wake():
                run.reread()
                seen.look = item.look
            case None:
                run.reread()
                silent = run.context.mail.silent_for(run.migration.id) > QUIET_S
                seen.look = hurry or bool(seen.away) or silent
        return None

    def _look(self, run: Run, seen: _Seen) -> str | None:
        """Read both hosts and the table; the reason when the guest has switched."""
        seen.look = False
        source, destination = (_inspect(run, host, seen) for host in (run.source, run.destination))
        transfer = source.transfer if source else None
        if transfer is not None:
            _note_pause(run, seen, transfer.paused_by_user)
        if transfer is not None and transfer.ended:
            seen.ended, seen.moved = True, bool(transfer.ok)
            seen.error = seen.error or transfer.error
        nobody_runs_it = source is not None and transfer is None
        judgement = judge(
            source.view if source else None,
            destination.view if destination else None,
            seen.ended or nobody_runs_it,
        )
        return self._conclude(run, seen, judgement)

    def _conclude(self, run: Run, seen: _Seen, judgement: Judgement) -> str | None:
        text = f"{judgement.why} (source {judgement.source}, destination {judgement.destination})"
        match judgement.verdict:
            case Verdict.FORWARD:
                return text
            case Verdict.SPLIT_BRAIN:
                run.note("alarm", f"two were running: {text}")
                return text
            case Verdict.GUEST_DIED if seen.moved:
                return f"libvirt moved the guest, which has ended on {run.destination} since"
            case Verdict.GUEST_DIED:
                raise Refused("guest.died", f"{text}; it is on {run.source} as it ended there")
            case Verdict.ROLL_BACK | Verdict.STOP_AND_ROLL_BACK:
                run.refuse_if_aborted()
                raise Broken(
                    "transfer.failed",
                    f"libvirt gave the transfer up: {seen.error or 'no reason given'}; "
                    f"the guest runs on {run.source} as before",
                )
            case Verdict.WAIT:
                _say(run, seen, None)
            case _:
                _say(run, seen, text)
        return None

    def _pass_abort_on(self, run: Run, results: Results, seen: _Seen) -> None:
        by = run.migration.abort_by
        if by is None or seen.abort_sent:
            return
        seen.abort_sent = seen.look = True
        answer = abort(run, results)
        run.record("abort", "operator", by, answer.result)
        seen.ended = seen.ended or answer.result == "aborted"


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


def _note_pause(run: Run, seen: _Seen, paused: bool) -> None:
    """In the record, so that whoever commits knows, after a restart as well."""
    if paused != seen.paused:
        seen.paused = paused
        action, result = (
            (USER_PAUSED, "kept for its arrival") if paused else (USER_RESUMED, "it runs again")
        )
        run.record(action, "guest", "a user of the guest's host", result)


def _say(run: Run, seen: _Seen, attention: str | None) -> None:
    """Raise or lower the flag, once."""
    if attention != seen.attention:
        seen.attention = attention
        run.update(attention=attention)
