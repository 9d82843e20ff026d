"""Readings on their way to a conductor: the newest of each transfer, sent by one worker.

A transfer's monitor only leaves its reading here. Whether a conductor can be reached, and how long the
broker takes to find out that it cannot, is this worker's trouble alone. What was read at about the same
time travels in one message: a conductor hears of a thousand transfers.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import msgspec

from migrator.compute_agent.context import AgentPorts
from migrator.messages import TransferProgress, TransferReading

LOG = logging.getLogger(__name__)

IDLE_S = 3600.0
"""There is nothing to do without a reading; any long wait would do."""
PAUSE_S = 0.5
"""Between two messages, in which what comes meanwhile is gathered."""


class ProgressSender:
    """A slot per transfer; a newer reading replaces one that was not sent yet."""

    def __init__(self, ports: AgentPorts) -> None:
        self._ports = ports
        self._lock = ports.concurrency.lock()
        self._latest: dict[tuple[str, int], TransferProgress] = {}
        self._wake = ports.concurrency.inbox()

    def offer(self, progress: TransferProgress) -> None:
        """Never blocks, never fails."""
        with self._lock:
            first = not self._latest
            self._latest[(progress.migration_id, progress.attempt)] = progress
        if first:
            self._wake.put(True)

    def run(self) -> None:
        """Send what is offered until the agent stops."""
        while not self._ports.stopping.is_set:
            self._wake.get(IDLE_S)
            with self._lock:
                latest, self._latest = self._latest, {}
            if latest:
                self._send(together(list(latest.values())))
                self._ports.stopping.wait(PAUSE_S)

    def stop(self) -> None:
        self._wake.put(True)

    def _send(self, progress: TransferProgress) -> None:
        try:
            self._ports.reports.transfer_progress(progress)
        except Exception as error:
            # Whatever it is: without this worker no migration shows how far it is.
            lost = 1 + len(progress.others)
            LOG.debug("%d readings were lost: %s", lost, error)


def together(readings: Sequence[TransferProgress]) -> TransferProgress:
    """One message that has them all."""
    first, *rest = readings
    others = [
        TransferReading(
            migration_id=each.migration_id,
            attempt=each.attempt,
            sequence=each.sequence,
            sample=each.sample,
        )
        for each in rest
    ]
    # Who expects the next one too early only looks for itself.
    longest = max(each.every_s for each in readings)
    return msgspec.structs.replace(first, others=others, every_s=longest)
