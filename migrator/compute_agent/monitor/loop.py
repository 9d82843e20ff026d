"""Beside every transfer: sample, decide, act, learn, report."""

from __future__ import annotations

import logging

from migrator.compute_agent.context import AgentPorts
from migrator.compute_agent.monitor.actions import Abort, Action
from migrator.compute_agent.monitor.decide import (
    Known,
    Reading,
    decide,
    learn,
    observe,
    phase_of,
)
from migrator.compute_agent.progress import ProgressSender
from migrator.compute_agent.trace import TraceSender
from migrator.compute_agent.tracked import Tracked
from migrator.errors import MigratorError
from migrator.messages import TransferAction, TransferProgress
from migrator.model import JobSample, Phase

LOG = logging.getLogger(__name__)

EDGE_S = 0.03
"""Until libvirt shows the job, and once it seems to have gone: somebody is waiting to hear of it."""
SAMPLE_S = 0.5
REPORT_S = 1.0
GONE_READINGS = 2
"""Readings without a job until an adopted transfer counts as over: one may fall between two phases."""


class Monitor:
    """Watches one transfer until it ends. Only reads what libvirt says, so that a conductor, a broker or
    a database that is away cannot disturb the guest's move."""

    def __init__(
        self, ports: AgentPorts, transfer: Tracked, progress: ProgressSender, trace: TraceSender
    ) -> None:
        self._ports = ports
        self._transfer = transfer
        self._progress = progress
        self._trace = trace
        self._known = Known()
        self._sequence = 0
        self._reported_at: float | None = None
        self._reported_phase: Phase | None = None
        self._missing = 0
        self._blind = False

    def run(self) -> None:
        """Until it ended, or, for an adopted one, until libvirt shows no job any more."""
        while not (self._transfer.ended.is_set or self._ports.stopping.is_set):
            reading = self._read()
            if reading is not None:
                self._look(reading)
                if self._missing >= GONE_READINGS:
                    return
            self._transfer.inbox.get(self._pause(reading))

    def _pause(self, reading: Reading | None) -> float:
        """Seconds until the next look; short where somebody waits for the beginning or the end."""
        edge = self._missing > 0 or not self._transfer.taken.is_set
        return EDGE_S if reading is not None and edge else SAMPLE_S

    def _read(self) -> Reading | None:
        """None when libvirt does not say: that is no reading, not an empty one."""
        try:
            job = self._ports.hypervisor.job(self._transfer.instance_id)
        except Exception as error:
            if not self._blind:
                bug = not isinstance(error, MigratorError)
                LOG.warning("%s: cannot be watched now: %s", self._transfer, error, exc_info=bug)
            self._blind = True
            return None
        self._blind = False
        return Reading(self._ports.clock.monotonic(), job)

    def _look(self, reading: Reading) -> None:
        if reading.job is None:
            self._missing += self._transfer.adopted
        else:
            self._missing = 0
            self._transfer.taken.set()
            self._report(reading.at, reading.job)
        self._act(reading)

    def _act(self, reading: Reading) -> None:
        self._known = observe(self._known, reading)
        policy, asks = self._transfer.policy, self._transfer.asks
        action = decide(policy, reading, self._known, asks)
        if not isinstance(action, Abort):
            return
        try:
            taken = self._ports.hypervisor.abort_job(self._transfer.instance_id)
        except Exception as error:
            bug = not isinstance(error, MigratorError)
            what = f"{self._transfer}: abort ({action.rule})"
            LOG.warning("%s failed: %s", what, error, exc_info=bug)
            return
        answer = "agreed" if taken else "refused"
        LOG.info("%s: abort (%s): libvirt %s", self._transfer, action.rule, answer)
        self._known = learn(self._known, action, reading.at, taken)
        self._tell(action, reading.at, answer)

    def _tell(self, action: Action, at: float, result: str) -> None:
        """Into the migration's record."""
        self._trace.offer(
            TransferAction(
                host=self._ports.settings.host,
                migration_id=self._transfer.migration_id,
                attempt=self._transfer.attempt,
                sequence=self._next_sequence(at),
                action=action.name,
                rule=action.rule,
                result=result,
                facts=dict(action.facts),
            )
        )

    def _next_sequence(self, at: float) -> int:
        # From the host's own clock, so that a restarted agent goes on above its former self.
        self._sequence = max(self._sequence + 1, int(at * 1000))
        return self._sequence

    def _report(self, at: float, job: JobSample) -> None:
        phase = phase_of(job)
        due = self._reported_at is None or at - self._reported_at >= REPORT_S
        if not due and phase is self._reported_phase:
            return
        self._reported_at, self._reported_phase = at, phase
        self._progress.offer(
            TransferProgress(
                host=self._ports.settings.host,
                migration_id=self._transfer.migration_id,
                attempt=self._transfer.attempt,
                sequence=self._next_sequence(at),
                sample=job,
            )
        )
