"""The transfers that leave this host: started, adopted after a restart, watched, reported.

libvirt carries a peer-to-peer migration through whatever happens to its client, so this process owns
nothing of it. What is here can be rebuilt at any time from the marks and jobs that libvirt shows.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from migrator.about import about
from migrator.compute_agent.context import AgentPorts
from migrator.compute_agent.marking import POSTCOPY, hold, resume_if_ours, resumed_by_libvirt
from migrator.compute_agent.monitor.acting import AGREED, Actor
from migrator.compute_agent.monitor.loop import Monitor
from migrator.compute_agent.ports import LifecycleEvent
from migrator.compute_agent.progress import ProgressSender
from migrator.compute_agent.trace import TraceSender
from migrator.compute_agent.tracked import ITERATION, Resumption, Tracked
from migrator.compute_agent.waiting import delay
from migrator.errors import Broken, MigratorError, Refused, Transient
from migrator.messages import ResumePostcopy, StartTransfer, TransferEnded, TransferPlan
from migrator.model import (
    AttemptMark,
    DomainState,
    DomainView,
    Reason,
    StandingAsks,
    Statistics,
)

LOG = logging.getLogger(__name__)

OUTGOING = "migration_out"
"""libvirt's name for the job of a domain that leaves (VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT)."""
HOLD = "hold"
SWITCH_GIVEN_UP = "switch_given_up"
"""The rule by which a guest is held."""
STATISTICS_S = 1.0
"""JOB_COMPLETED comes on another connection than the call's return, a few ms apart."""
REPORT_AGAIN_S = 0.5
REPORT_AGAIN_MOST_S = 5.0
REMEMBERED_ENDED = 256
"""Ended transfers a conductor may still ask about: many times what one host sends away while a
conductor restarts. The oldest are forgotten first; libvirt's own answer is the truth then."""


class Transfers:
    """Every transfer this process knows, by (migration, attempt), oldest first."""

    def __init__(self, ports: AgentPorts) -> None:
        self._ports = ports
        self._lock = ports.concurrency.lock()
        self._known: dict[tuple[str, int], Tracked] = {}
        self.progress = ProgressSender(ports)
        self.trace = TraceSender(ports)

    def of_attempt(self, migration_id: str, attempt: int) -> Tracked | None:
        with self._lock:
            return self._known.get((migration_id, attempt))

    def of_instance(self, instance_id: str) -> Tracked | None:
        """The newest one."""
        with self._lock:
            mine = [each for each in self._known.values() if each.instance_id == instance_id]
        return mine[-1] if mine else None

    def measured(self, instance_id: str, statistics: Statistics) -> None:
        """libvirt's JOB_COMPLETED event of a domain."""
        transfer = self.of_instance(instance_id)
        if transfer is not None:
            transfer.measure(statistics)

    def iterated(self, instance_id: str) -> None:
        """libvirt says that another pass over the guest's memory begins: a moment to look."""
        transfer = self.of_instance(instance_id)
        if transfer is not None:
            transfer.inbox.put(ITERATION)

    def happened(self, event: LifecycleEvent) -> None:
        """Something about a domain that may be on its way out: its monitor looks at once."""
        transfer = self.of_instance(event.instance_id)
        if transfer is not None:
            transfer.guest_was(event.event, event.detail)
            transfer.inbox.put(event)

    def start(self, request: StartTransfer) -> Tracked:
        """Make libvirt's call in a worker of its own, watched by another; once per attempt."""
        key = (request.migration_id, request.attempt)
        transfer, new = self._remember(request.instance_id, key, adopted=False)
        transfer.steer(request.asks or StandingAsks(), request.policy)
        if new:
            self._spawn("transfer", transfer, lambda: self._call(transfer, request.plan))
            self._spawn("monitor", transfer, lambda: self._watch(transfer))
        return transfer

    def resume(self, request: ResumePostcopy, mark: AttemptMark) -> Resumption:
        """Let a broken post-copy go on, in a worker of its own. One at a time: libvirt may take minutes
        to find that an address cannot be reached, and its failure is heard before the next begins. A
        call that hangs for longer holds nobody up: libvirt refuses the next one while it has to."""
        transfer = self.adopt(request.instance_id, mark)
        now = self._ports.clock.monotonic()
        with self._lock:
            running = transfer.resumption
            if running is not None and running.unsettled(now):
                return running
            transfer.resumption = resumption = Resumption(now)
        self._spawn("rescue", transfer, lambda: self._resume(transfer, resumption, request.plan))
        return resumption

    def adopt(self, instance_id: str, mark: AttemptMark) -> Tracked:
        """Watch a transfer that another process started; the same object if it is watched already."""
        key = (mark.migration_id, mark.attempt)
        transfer, new = self._remember(instance_id, key, adopted=True)
        if new:
            LOG.info("%s: libvirt carries it on; adopted", transfer)
            transfer.taken.set()
            self._spawn("monitor", transfer, lambda: self._watch(transfer))
        return transfer

    def adopt_running(self) -> None:
        """Find what runs without this process knowing: after its start, and after libvirt's.

        A mark without a job means that nothing runs, but one whose guest libvirt has let run again
        meanwhile: that ends as if it had been watched. :raises Transient: libvirt is away again.
        """
        for domain in self._ports.hypervisor.list_domains():
            if domain.incoming:
                continue
            view = self._ports.hypervisor.view(domain.id)
            if view.mark is not None and (leaving(view) or resumed_by_libvirt(view)):
                self.adopt(domain.id, view.mark)

    def _remember(
        self, instance_id: str, key: tuple[str, int], adopted: bool
    ) -> tuple[Tracked, bool]:
        with self._lock:
            if key in self._known:
                return self._known[key], False
            transfer = Tracked(instance_id, key, self._ports.concurrency, adopted)
            self._known[key] = transfer
            ended = [old for old, each in self._known.items() if each.ended.is_set]
            for old in ended[: max(len(ended) - REMEMBERED_ENDED, 0)]:
                del self._known[old]
            return transfer, True

    def _spawn(self, role: str, transfer: Tracked, work: Callable[[], None]) -> None:
        def about_it() -> None:
            with about(transfer.migration_id):
                work()

        self._ports.concurrency.spawn(f"{role}-{transfer.migration_id[:8]}", about_it)

    def describe(self) -> list[str]:
        """One line per transfer, for a person who looks into the process."""
        with self._lock:
            known = list(self._known.values())
        return [
            f"{each} of {each.instance_id}: {_course(each)}{', adopted' if each.adopted else ''}"
            for each in known
        ]

    # -- workers

    def _resume(self, transfer: Tracked, resumption: Resumption, plan: TransferPlan) -> None:
        """libvirt's second call; what comes of the guest is for the monitor to see."""
        try:
            self._ports.hypervisor.resume_postcopy(transfer.instance_id, plan)
        except MigratorError as error:
            LOG.warning("%s: post-copy was not resumed: %s", transfer, error)
            resumption.error = error
        except Exception:
            LOG.exception("%s: resuming post-copy failed in an unforeseen way", transfer)
            resumption.error = Broken("internal", "resuming failed; the agent's log says how")
        resumption.over = True
        transfer.inbox.put("resumed")

    def _call(self, transfer: Tracked, plan: TransferPlan) -> None:
        error: MigratorError | None = None
        try:
            self._ports.hypervisor.migrate(transfer.instance_id, plan)
        except Transient as lost:
            # The connection broke, not the transfer: libvirt carries it on without a client.
            LOG.warning("%s: libvirt's call was lost, watching instead: %s", transfer, lost)
            transfer.adopted = True
            return
        except MigratorError as failure:
            if self._in_postcopy(transfer):
                LOG.warning("%s: libvirt's call failed in post-copy: %s", transfer, failure)
                transfer.adopted = True
                return
            error = failure
        except Exception:
            LOG.exception("%s: the call failed in an unforeseen way", transfer)
            error = Broken(
                "internal", "the call failed in an unforeseen way; the agent's log says how"
            )
        self._end(transfer, error)
        self._report(transfer)

    def _in_postcopy(self, transfer: Tracked) -> bool:
        """The guest runs elsewhere: a failed call has not ended anything. Only looking tells, so this
        looks until libvirt answers."""
        while not self._ports.stopping.is_set:
            try:
                view = self._ports.hypervisor.view(transfer.instance_id)
            except MigratorError:
                self._ports.stopping.wait(REPORT_AGAIN_S)
                continue
            return view.state is DomainState.PAUSED and view.reason in POSTCOPY
        return False

    def _end(self, transfer: Tracked, error: MigratorError | None) -> None:
        """It is over; a guest that we paused and that stayed runs again before anybody hears of it,
        unless it may run at the destination. A process that ends leaves both to the next."""
        stays = error is not None and not self._ports.stopping.is_set
        if stays and not self._hold(transfer) and transfer.suspended:
            self._let_run(transfer)
        transfer.end(error)

    def _hold(self, transfer: Tracked) -> bool:
        """Whether a guest that libvirt let run again from the switch is paused now.

        libvirt does so when the destination's last word is lost, and the guest runs there by then. This
        host cannot tell; a conductor that has looked there lets it go on here, or has it destroyed. One
        that was never paused has never left, whatever libvirt remembers of an earlier transfer.
        """
        if not (transfer.was_paused or transfer.adopted):
            return False
        # Before it is done, so that the event is not taken for a user's.
        transfer.held = True
        try:
            view = self._ports.hypervisor.view(transfer.instance_id)
            transfer.held = hold(self._ports.hypervisor, view, transfer.instance_id)
        except MigratorError as failure:
            LOG.warning("%s: whether the guest runs here is not known: %s", transfer, failure)
            transfer.held = False
        if transfer.held:
            LOG.info("%s: the guest is held until the destination was looked at", transfer)
            at = self._ports.clock.monotonic()
            Actor(self._ports, transfer, self.trace).tell(HOLD, SWITCH_GIVEN_UP, at, AGREED, {})
        return transfer.held

    def _let_run(self, transfer: Tracked) -> None:
        """libvirt resumes it by itself when it rolls back, unless its daemon died meanwhile. Whoever
        undoes the attempt does this again, so failing here loses nothing."""
        try:
            if resume_if_ours(self._ports.hypervisor, transfer.instance_id):
                LOG.info("%s: the guest that was paused for it runs again", transfer)
        except MigratorError as failure:
            LOG.warning("%s: the guest stays paused for now: %s", transfer, failure)

    def _watch(self, transfer: Tracked) -> None:
        Monitor(self._ports, transfer, self.progress, self.trace).run()
        attempt = 0
        while not (self._ports.stopping.is_set or transfer.ended.is_set):
            try:
                view = self._ports.hypervisor.view(transfer.instance_id)
            except Exception as error:
                attempt += 1
                bug = not isinstance(error, MigratorError)
                LOG.warning("%s: how it ended is not known yet: %s", transfer, error, exc_info=bug)
                self._ports.stopping.wait(delay(attempt, REPORT_AGAIN_S, REPORT_AGAIN_MOST_S))
            else:
                if view.state is DomainState.ABSENT:
                    transfer.measured.wait(STATISTICS_S)
                self._end(transfer, how_it_ended(view, transfer.statistics))
                self._report(transfer)

    def _report(self, transfer: Tracked) -> None:
        """Tell a conductor until one has heard it, or until it is of no interest any more."""
        if transfer.succeeded:
            transfer.measured.wait(STATISTICS_S)
        LOG.info("%s: ended: %s", transfer, transfer.error or "the guest has moved")
        message = TransferEnded(
            host=self._ports.settings.host,
            migration_id=transfer.migration_id,
            attempt=transfer.attempt,
            ok=transfer.succeeded,
            error=_why(transfer),
            statistics=transfer.statistics,
            restart_with=list(transfer.restart_with),
        )
        attempt = 0
        while not (self._ports.stopping.is_set or self._superseded(transfer)):
            try:
                with self._ports.window.inside():
                    self._ports.reports.transfer_ended(message)
                return
            except Refused as refused:
                LOG.info("%s: nobody wants to know how it ended: %s", transfer, refused)
                return
            except Exception as error:
                attempt += 1
                bug = not isinstance(error, MigratorError)
                LOG.warning("%s: its end is not reported yet: %s", transfer, error, exc_info=bug)
                self._ports.stopping.wait(delay(attempt, REPORT_AGAIN_S, REPORT_AGAIN_MOST_S))

    def _superseded(self, transfer: Tracked) -> bool:
        return self.of_instance(transfer.instance_id) not in (None, transfer)


def _course(transfer: Tracked) -> str:
    if not transfer.ended.is_set:
        return "under way" if transfer.taken.is_set else "libvirt has not taken it yet"
    return f"ended: {transfer.error or 'the guest has moved'}"


def _why(transfer: Tracked) -> str | None:
    """In the words of whoever ended it."""
    if transfer.error is None:
        return None
    if not transfer.why_aborted:
        return transfer.error.message
    rule = transfer.why_aborted.replace("_", " ")
    return f"given up by its monitor ({rule}); libvirt says: {transfer.error.message}"


def leaving(view: DomainView) -> bool:
    """A migration away from this host is under way."""
    return view.job is not None and view.job.operation == OUTGOING


def how_it_ended(view: DomainView, statistics: Statistics | None) -> MigratorError | None:
    """What the source alone can tell of a transfer whose call another process made; None: it moved.

    A domain that is gone may have moved or died: only the destination knows, and a conductor looks
    there whatever is said here.
    """
    gone = view.state is DomainState.ABSENT
    if view.reason is Reason.MIGRATED and not view.active:
        return None
    if gone and statistics is not None and statistics.downtime_ms is not None:
        return None
    what = "is gone from here" if gone else f"is {view.state} ({view.reason}) here"
    return Broken(
        "transfer.failed",
        f"unknown: adopted; the call's own result was lost with its caller. The guest {what}.",
    )
