"""Doing what was decided, and telling the migration's record of it."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from migrator.compute_agent.context import AgentPorts
from migrator.compute_agent.monitor.actions import (
    Abort,
    Action,
    Restart,
    SetDowntime,
    SetSpeed,
    StartPostcopy,
    Suspend,
)
from migrator.compute_agent.trace import TraceSender
from migrator.compute_agent.tracked import Tracked
from migrator.errors import MigratorError
from migrator.messages import TransferAction

LOG = logging.getLogger(__name__)

AGREED = "agreed"
REFUSED = "refused"
ASKED_BY_OPERATOR = "abort_asked"
"""Whoever passed this on records what came of it."""
UNHEARD = "put off until it is recorded"


class Actor:
    """The hands of one transfer's monitor. What it says libvirt agreed to, libvirt has agreed to."""

    def __init__(self, ports: AgentPorts, transfer: Tracked, trace: TraceSender) -> None:
        self._ports = ports
        self._transfer = transfer
        self._trace = trace
        self._sequence = 0

    def do(self, action: Action, at: float) -> bool:
        """Whether libvirt took it. What fails is tried again when it is decided again."""
        what = f"{self._transfer}: {action.name} ({action.rule})"
        if isinstance(action, Suspend) and not self._recorded(action, at):
            LOG.warning("%s: %s", what, UNHEARD)
            return False
        try:
            taken = self._act(action)
        except Exception as error:
            bug = not isinstance(error, MigratorError)
            LOG.warning("%s failed: %s", what, error, exc_info=bug)
            self.tell(action.name, action.rule, at, f"failed: {error}", action.facts)
            return False
        result = AGREED if taken else REFUSED
        LOG.info("%s: libvirt %s", what, result)
        self._transfer.done(action, taken)
        if action.rule != ASKED_BY_OPERATOR:
            self.tell(action.name, action.rule, at, result, {**action.facts, **_numbers(action)})
        return taken

    def tell(
        self, name: str, rule: str, at: float, result: str, facts: Mapping[str, float]
    ) -> None:
        """Into the migration's record."""
        self._trace.offer(self._message(name, rule, at, result, facts))

    def next_sequence(self, at: float) -> int:
        """From the host's own clock, so that a restarted agent goes on above its former self."""
        self._sequence = max(self._sequence + 1, int(at * 1000))
        return self._sequence

    def _recorded(self, action: Suspend, at: float) -> bool:
        """A guest is paused only once its record says so: whoever comes after us must know that it is
        to run again, and nothing can be written on the domain while it moves."""
        message = self._message(action.name, action.rule, at, "begun", action.facts)
        return self._trace.say_now(message)

    def _act(self, action: Action) -> bool:
        hypervisor, guest = self._ports.hypervisor, self._transfer.instance_id
        match action:
            case SetDowntime():
                return hypervisor.set_max_downtime(guest, action.ms)
            case SetSpeed(postcopy=True):
                return hypervisor.set_postcopy_speed(guest, action.mib_s)
            case SetSpeed():
                return hypervisor.set_speed(guest, action.mib_s)
            case StartPostcopy():
                return hypervisor.start_postcopy(guest)
            case Suspend():
                self._transfer.suspended = True
                hypervisor.suspend(guest)
                return True
            case Abort() | Restart():
                return hypervisor.abort_job(guest)
        return True

    def _message(
        self, name: str, rule: str, at: float, result: str, facts: Mapping[str, float]
    ) -> TransferAction:
        return TransferAction(
            host=self._ports.settings.host,
            migration_id=self._transfer.migration_id,
            attempt=self._transfer.attempt,
            sequence=self.next_sequence(at),
            action=name,
            rule=rule,
            result=result,
            facts=dict(facts),
        )


def _numbers(action: Action) -> Mapping[str, float]:
    """What it was set to."""
    match action:
        case SetDowntime():
            return {"ms": action.ms}
        case SetSpeed():
            return {"mib_s": action.mib_s}
    return {}
