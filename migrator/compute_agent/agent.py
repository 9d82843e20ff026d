"""One agent, put together: what it answers and what it says by itself."""

from __future__ import annotations

import logging

from migrator.compute_agent.context import AgentContext, AgentPorts
from migrator.compute_agent.endpoint import AgentEndpoint
from migrator.compute_agent.fencing import Ledger
from migrator.compute_agent.gate import CommandGate
from migrator.compute_agent.latch import Latch
from migrator.compute_agent.numbering import Numbering
from migrator.compute_agent.ports import Hypervisor
from migrator.compute_agent.reporter import Reporter
from migrator.compute_agent.settings import AgentSettings
from migrator.compute_agent.streams import Streams
from migrator.compute_agent.transfer import Transfers
from migrator.compute_agent.window import Window
from migrator.conductor.rpcapi import ReportsApi
from migrator.ports import Clock, Concurrency

LOG = logging.getLogger(__name__)


class Agent:
    """Serve ``endpoint`` under the host's name, then :meth:`start`.

    It keeps nothing that matters: a new one over the same libvirt finds the transfers that run, and a
    conductor learns from the incarnation that it speaks to another process.
    """

    def __init__(
        self,
        hypervisor: Hypervisor,
        clock: Clock,
        concurrency: Concurrency,
        reports: ReportsApi,
        settings: AgentSettings,
    ) -> None:
        self.incarnation = concurrency.fresh_id()
        numbering = Numbering(clock, concurrency)
        self._ports = AgentPorts(
            settings,
            hypervisor,
            clock,
            concurrency,
            reports,
            Latch(concurrency),
            numbering,
            Window(concurrency),
        )
        self.transfers = Transfers(self._ports)
        self._reporter = Reporter(self._ports, self.transfers, self.incarnation)
        context = AgentContext(
            settings,
            hypervisor,
            clock,
            self.transfers,
            Streams(self._ports, self.transfers.progress),
            numbering,
        )
        self.endpoint = AgentEndpoint(
            context, CommandGate(Ledger(self.incarnation), clock, concurrency)
        )

    def start(self) -> None:
        """Begin to watch and to report."""
        LOG.info("agent of %s starts, incarnation %s", self._ports.settings.host, self.incarnation)
        self._ports.concurrency.spawn("agent-progress", self.transfers.progress.run)
        self._ports.concurrency.spawn("agent-trace", self.transfers.trace.run)
        self._reporter.start()

    def describe(self) -> list[str]:
        """What it has in hand, a line each."""
        host = self._ports.settings.host
        lines = [f"agent of {host}, incarnation {self.incarnation}"]
        return lines + [f"  {line}" for line in self.transfers.describe()]

    def stop(self) -> None:
        """Let the workers end. What libvirt is transferring goes on; the next agent adopts it."""
        self._ports.stopping.set()
        self._reporter.stop()
        self.transfers.progress.stop()
        self.transfers.trace.stop()
