"""Keeps a conductor informed: heartbeat, inventory, events.

Three workers that mostly sleep: one takes libvirt's events, one reads the inventory, one reports. They
are apart so that a libvirt that hangs does not silence the heartbeat, which then says so, and a
conductor that is away does not hold up reading. What could not be said is kept as the latest state,
never as a queue. None of them ends with an error, whatever it is: a host nobody hears of is lost.
"""

from __future__ import annotations

import logging

from migrator.compute_agent.context import AgentPorts
from migrator.compute_agent.events import DomainEvents
from migrator.compute_agent.inventory import Inventory, as_list
from migrator.compute_agent.ports import (
    ConnectionChanged,
    HypervisorEvent,
    JobCompleted,
    JobIteration,
    LifecycleEvent,
    OfferChanged,
)
from migrator.compute_agent.transfer import Transfers
from migrator.errors import MigratorError
from migrator.messages import RPC_VERSION, HostReport

LOG = logging.getLogger(__name__)

FIRST_LOOK_S = 2.0
"""The first report waits this long for the first look at the host."""
IDLE_S = 3600.0
"""Waiting for libvirt's events; any long wait would do."""


class Reporter:
    """What an agent says without being asked."""

    def __init__(self, ports: AgentPorts, transfers: Transfers, incarnation: str) -> None:
        self._ports = ports
        self._transfers = transfers
        self._incarnation = incarnation
        self._inventory = Inventory(ports)
        self._events = DomainEvents(ports, self._inventory, incarnation, self._say_now)
        self._from_libvirt = ports.concurrency.inbox()
        self._look_now = ports.concurrency.inbox()
        self._beat_now = ports.concurrency.inbox()
        self._away = False

    def start(self) -> None:
        spawn = self._ports.concurrency.spawn
        spawn("agent-events", self._take_events)
        spawn("agent-inventory", self._look)
        spawn("agent-heartbeat", self._beat)
        self._ports.hypervisor.subscribe(self._from_libvirt.put)

    def stop(self) -> None:
        """Wake every worker, so that it sees that the agent stops."""
        for inbox in (self._from_libvirt, self._look_now, self._beat_now):
            inbox.put("stop")

    def _say_now(self) -> None:
        self._beat_now.put("news")

    # -- libvirt's events

    def _take_events(self) -> None:
        while not self._ports.stopping.is_set:
            event = self._from_libvirt.get(IDLE_S)
            if isinstance(event, HypervisorEvent):
                try:
                    self._take(event)
                except Exception:
                    LOG.exception("an event of libvirt is lost: %s", event)

    def _take(self, event: HypervisorEvent) -> None:
        if isinstance(event, LifecycleEvent):
            # First, so that whoever is told of it and asks finds it.
            self._transfers.happened(event)
            self._events.put(event)
        elif isinstance(event, JobCompleted):
            self._transfers.measured(event.instance_id, event.statistics)
        elif isinstance(event, JobIteration):
            self._transfers.iterated(event.instance_id)
        elif isinstance(event, OfferChanged):
            self._inventory.offer_changed()
            self._look_now.put(event)
        else:
            LOG.info("libvirt is %s", "connected" if event.connected else f"away: {event.why}")
            self._look_now.put(event)

    # -- inventory

    def _look(self) -> None:
        """Read the host regularly, and when its libvirt comes or goes."""
        adopted = False
        while not self._ports.stopping.is_set:
            if self._inventory.look():
                self._say_now()
            if not adopted:
                adopted = self._adopt()
            happened = self._look_now.get(self._ports.settings.heartbeat_s)
            if isinstance(happened, ConnectionChanged) and happened.connected:
                adopted = False

    def _adopt(self) -> bool:
        """Watch what runs without us; False when libvirt could not be asked."""
        try:
            self._transfers.adopt_running()
        except MigratorError as error:
            LOG.info("what runs here cannot be looked for yet: %s", error)
            return False
        except Exception:
            LOG.exception("what runs here cannot be looked for")
            return False
        return True

    # -- heartbeat

    def _beat(self) -> None:
        self._beat_now.get(FIRST_LOOK_S)
        asked_again = False
        while not self._ports.stopping.is_set:
            # Once: a conductor that keeps asking gets one report per heartbeat.
            asked_again = self._report() and not asked_again
            if not asked_again:
                self._beat_now.get(self._ports.settings.heartbeat_s)

    def _report(self) -> bool:
        """Send one report; True when the conductor asks for all of it."""
        untold = self._inventory.untold()
        report = HostReport(
            host=self._ports.settings.host,
            incarnation=self._incarnation,
            agent_version=self._ports.settings.version,
            rpc_version=RPC_VERSION,
            generation=self._inventory.acknowledged if untold is None else untold.snapshot.number,
            addresses=self._ports.settings.addresses,
            libvirt_error=self._inventory.trouble(),
            facts=None if untold is None else untold.snapshot.facts,
            domains=None if untold is None else list(as_list(untold.snapshot.domains)),
        )
        try:
            answer = self._ports.reports.report_host(report)
        except Exception as error:
            if not self._away:
                bug = not isinstance(error, MigratorError)
                LOG.warning("no conductor can be told about this host: %s", error, exc_info=bug)
            self._away = True
            return False
        if self._away:
            LOG.info("a conductor is back")
        self._away = False
        self._inventory.count_from(answer.generation)
        if untold is not None and not answer.resend:
            self._inventory.told(untold)
        if answer.resend:
            self._inventory.tell_all()
        if answer.resend and report.domains is not None and answer.generation > report.generation:
            # Something newer is known of some guests: this is not it, read a second time.
            self._look_now.put("stale")
            return False
        return answer.resend
