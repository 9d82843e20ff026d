"""What monitors did, on its way to the migrations' records: in order, each until it was heard."""

from __future__ import annotations

import logging
from collections import deque

from migrator.compute_agent.context import AgentPorts
from migrator.compute_agent.waiting import delay
from migrator.errors import MigratorError, Refused
from migrator.messages import TransferAction

LOG = logging.getLogger(__name__)

IDLE_S = 3600.0
"""There is nothing to do without an action; any long wait would do."""
AGAIN_S = 0.5
AGAIN_MOST_S = 5.0
MOST_WAITING = 4096
"""Actions kept while no conductor can be reached; the oldest go first, and stay in the log."""


class TraceSender:
    """One worker for all transfers; a monitor only leaves its action here."""

    def __init__(self, ports: AgentPorts) -> None:
        self._ports = ports
        self._lock = ports.concurrency.lock()
        self._waiting: deque[TransferAction] = deque(maxlen=MOST_WAITING)
        self._wake = ports.concurrency.inbox()

    def offer(self, action: TransferAction) -> None:
        """Never blocks, never fails."""
        with self._lock:
            self._waiting.append(action)
        self._wake.put(True)

    def say_now(self, action: TransferAction) -> bool:
        """Send it past everything else, once; whether a conductor has recorded it."""
        try:
            self._ports.reports.transfer_action(action)
        except MigratorError as error:
            LOG.info("migration %s: %s not recorded: %s", action.migration_id, action.action, error)
            return False
        return True

    def run(self) -> None:
        """Send what is offered until the agent stops."""
        while not self._ports.stopping.is_set:
            self._wake.get(IDLE_S)
            while (action := self._next()) is not None and not self._ports.stopping.is_set:
                self._send(action)

    def stop(self) -> None:
        self._wake.put(True)

    def _next(self) -> TransferAction | None:
        with self._lock:
            return self._waiting.popleft() if self._waiting else None

    def _send(self, action: TransferAction) -> None:
        attempt = 0
        while not self._ports.stopping.is_set:
            try:
                self._ports.reports.transfer_action(action)
                return
            except Refused as refused:
                LOG.info("nobody wants to know of %s: %s", action, refused)
                return
            except Exception as error:
                attempt += 1
                bug = not isinstance(error, MigratorError)
                what = f"migration {action.migration_id}: {action.action}"
                LOG.warning("%s is not reported yet: %s", what, error, exc_info=bug)
                self._ports.stopping.wait(delay(attempt, AGAIN_S, AGAIN_MOST_S))
