"""Beside every transfer: sample, decide, act, learn, report."""

from __future__ import annotations

import logging
from dataclasses import replace

from migrator.compute_agent.context import AgentPorts
from migrator.compute_agent.marking import POSTCOPY
from migrator.compute_agent.monitor.acting import Actor
from migrator.compute_agent.monitor.actions import Abort, Action, Wait
from migrator.compute_agent.monitor.decide import (
    Known,
    Reading,
    decide,
    learn,
    observe,
    phase_of,
)
from migrator.compute_agent.monitor.watchdog import (
    Flow,
    Pause,
    facts_of,
    follow,
    nothing_moves,
    pages_stopped,
    pause_of,
    paused_by_hand,
)
from migrator.compute_agent.progress import ProgressSender
from migrator.compute_agent.trace import TraceSender
from migrator.compute_agent.tracked import ITERATION, Tracked
from migrator.errors import MigratorError
from migrator.messages import TransferProgress
from migrator.model import DomainState, JobSample, Phase

LOG = logging.getLogger(__name__)

EDGE_S = 0.03
"""Until libvirt shows the job, and once it seems to have gone: somebody is waiting to hear of it."""
SAMPLE_S = 0.5
REPORT_S = 1.0
GONE_READINGS = 2
"""Readings without a job until an adopted transfer counts as over: one may fall between two phases."""
ABORT_AGAIN_S = 5.0
USER_PAUSE = "user_pause"
WATCH = "watch_postcopy"


class Monitor:
    """Watches one transfer until it ends. Only reads what libvirt says, so that a conductor, a broker or
    a database that is away cannot disturb the guest's move."""

    def __init__(
        self, ports: AgentPorts, transfer: Tracked, progress: ProgressSender, trace: TraceSender
    ) -> None:
        self._ports = ports
        self._transfer = transfer
        self._progress = progress
        self._actor = Actor(ports, transfer, trace)
        self._known = Known()
        self._flow = Flow()
        self._reported_at: float | None = None
        self._reported_phase: Phase | None = None
        self._missing = 0
        self._blind = False
        self._boundary = False
        self._standing: Pause | None = None
        self._gave_up_at: float | None = None
        self._waiting_rule = ""

    def run(self) -> None:
        """Until it ended, or, for an adopted one, until libvirt shows no job any more."""
        while not (self._transfer.ended.is_set or self._ports.stopping.is_set):
            reading = self._read()
            if reading is not None:
                self._look(reading)
                if self._missing >= GONE_READINGS:
                    return
            woken_by = self._transfer.inbox.get(self._pause(reading))
            self._boundary = woken_by == ITERATION

    def _pause(self, reading: Reading | None) -> float:
        """Seconds until the next look; short where somebody waits for the beginning or the end."""
        edge = self._missing > 0 or not self._transfer.taken.is_set
        return EDGE_S if reading is not None and edge else SAMPLE_S

    def _read(self) -> Reading | None:
        """None when libvirt does not say: that is no reading, not an empty one."""
        try:
            view = self._ports.hypervisor.view(self._transfer.instance_id)
        except Exception as error:
            if not self._blind:
                bug = not isinstance(error, MigratorError)
                LOG.warning("%s: cannot be watched now: %s", self._transfer, error, exc_info=bug)
            self._blind = True
            return None
        self._blind = False
        paused = view.state is DomainState.PAUSED
        return Reading(
            at=self._ports.clock.monotonic(),
            job=view.job,
            boundary=self._boundary,
            paused=paused,
            postcopy=paused and view.reason in POSTCOPY,
        )

    def _look(self, reading: Reading) -> None:
        if reading.job is None:
            self._missing += self._transfer.adopted and not reading.postcopy
        else:
            self._missing = 0
            self._transfer.taken.set()
            self._report(reading.at, reading.job)
        self._flow = follow(self._flow, reading)
        self._notice_pause(reading)
        self._act(reading)
        self._guard(reading)

    def _act(self, reading: Reading) -> None:
        transfer = self._transfer
        self._known = observe(self._known, reading)
        action = decide(transfer.policy, reading, self._known, transfer.asks)
        if isinstance(action, Wait):
            if action.rule != self._waiting_rule:
                LOG.info("%s: waits (%s) %s", transfer, action.rule, dict(action.facts))
            self._waiting_rule = action.rule
        else:
            self._waiting_rule = ""
            self._do(action, reading)
        transfer.decided(action)

    def _do(self, action: Action, reading: Reading) -> None:
        taken = self._actor.do(action, reading.at)
        self._known = learn(self._known, action, reading.at, taken)

    def _guard(self, reading: Reading) -> None:
        """Against what would hang for ever."""
        facts = facts_of(self._flow, reading)
        self._watch_pages(reading)
        if nothing_moves(self._flow, reading):
            since = None if self._gave_up_at is None else reading.at - self._gave_up_at
            if since is None or since >= ABORT_AGAIN_S:
                self._gave_up_at = reading.at
                self._do(Abort("nothing_moves", facts), reading)

    def _watch_pages(self, reading: Reading) -> None:
        """A post-copy that stands still waits for its connection; the conductor shows it."""
        stalled = pages_stopped(self._flow, reading)
        if stalled == self._transfer.stalled:
            return
        self._transfer.stalled = stalled
        if reading.postcopy and reading.job is not None:
            result = "waits for packets to pass" if stalled else "pages flow again"
            facts = facts_of(self._flow, reading)
            self._actor.tell(WATCH, "pages_stopped", reading.at, result, facts)

    def _notice_pause(self, reading: Reading) -> None:
        """A user's pause is carried to the destination by nobody but us: libvirt would run the guest."""
        ours = self._transfer.suspended or self._transfer.switching
        if not reading.paused or reading.postcopy or ours or reading.job is None:
            self._standing = None
        elif self._standing is None:
            self._standing = pause_of(reading, self._transfer.downtime_limit_ms)
        elif self._standing.told:
            return
        elif paused_by_hand(self._standing, reading):
            self._standing = replace(self._standing, told=True)
            self._transfer.paused_by_user = True
            facts = {"remaining_bytes": float(reading.job.memory_remaining)}
            self._actor.tell(USER_PAUSE, "paused_by_hand", reading.at, "stays paused", facts)
        elif self._standing.fits == 0:
            # How fast it goes shows only now.
            first = pause_of(reading, self._transfer.downtime_limit_ms)
            self._standing = replace(first, at=self._standing.at)

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
                sequence=self._actor.next_sequence(at),
                sample=job,
                every_s=max(REPORT_S, SAMPLE_S),
            )
        )
