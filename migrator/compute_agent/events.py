"""What happens to domains, told to a conductor the moment it happens.

Each domain has a lane of its own: its events arrive in their order, and no domain waits for a libvirt
call about another. A lane that cannot get through keeps no backlog, since every event carries how the
domain is *after* it; the whole inventory is sent instead when the conductor is back. One event is
worth more than that: the guest running on the destination is what a migration waits for, so it is sent
before anything is read, and until it has been heard.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

import msgspec

from migrator.compute_agent.context import AgentPorts
from migrator.compute_agent.inventory import Inventory
from migrator.compute_agent.ports import LifecycleEvent
from migrator.compute_agent.waiting import delay
from migrator.errors import MigratorError, Refused
from migrator.messages import DomainEvent
from migrator.model import DomainState, DomainSummary, DomainView, Reason

LOG = logging.getLogger(__name__)

LONGEST_LANE = 16
"""A migration makes five events; more than this in one lane is a conductor that is away."""
AGAIN_S = 0.2
AGAIN_MOST_S = 5.0

ARRIVALS = {
    ("resumed", "migrated"): Reason.MIGRATED,
    ("resumed", "postcopy"): Reason.POSTCOPY,
}
"""The guest begins to run here; or, at a source, libvirt gave a transfer up: the same event."""


@dataclass
class _Lane:
    waiting: list[_Heard]


@dataclass(frozen=True)
class _Heard:
    event: LifecycleEvent
    at: float
    """When libvirt told of it, by this host's clock."""


class DomainEvents:
    """Lanes of events to a conductor."""

    def __init__(
        self,
        ports: AgentPorts,
        inventory: Inventory,
        incarnation: str,
        news: Callable[[], None],
    ) -> None:
        """:param news: called when the inventory holds something a conductor has not been told."""
        self._ports = ports
        self._inventory = inventory
        self._incarnation = incarnation
        self._news = news
        self._lock = ports.concurrency.lock()
        self._lanes: dict[str, _Lane] = {}

    def put(self, event: LifecycleEvent) -> None:
        """Take an event; never waits for libvirt or a conductor."""
        heard = _Heard(event, self._ports.clock.monotonic())
        with self._lock:
            lane = self._lanes.get(event.instance_id)
            if lane is not None:
                lane.waiting.append(heard)
                _shorten(lane.waiting)
                return
            self._lanes[event.instance_id] = _Lane([heard])
        self._ports.concurrency.spawn(
            f"events-{event.instance_id[:8]}", lambda: self._drain(event.instance_id)
        )

    def _drain(self, instance_id: str) -> None:
        while not self._ports.stopping.is_set:
            with self._lock:
                waiting = self._lanes[instance_id].waiting
                if not waiting:
                    del self._lanes[instance_id]
                    return
                heard = _take(waiting)
            self._tell(heard)

    def _tell(self, heard: _Heard) -> None:
        attempt, event = 0, heard.event
        while not (self._told(heard) or self._ports.stopping.is_set):
            if not _is_arrival(event):
                break
            attempt += 1
            self._ports.stopping.wait(delay(attempt, AGAIN_S, AGAIN_MOST_S))
        if _is_arrival(event):
            self._look_at(event)
        if self._inventory.has_news:
            self._news()

    def _look_at(self, event: LifecycleEvent) -> None:
        """For what the arrival alone did not prove; the next look at the whole host finds it too."""
        try:
            self._inventory.look_at(event.instance_id)
        except MigratorError as error:
            LOG.info("%s has arrived, and cannot be looked at yet: %s", event.name, error)

    def _told(self, heard: _Heard) -> bool:
        """One try. False when it was in vain: the inventory makes good for it later."""
        event = heard.event
        try:
            message = self._message(event)
        except Exception as error:
            bug = not isinstance(error, MigratorError)
            why = f"{event.event} of {event.name}"
            LOG.warning("%s: cannot look at it: %s", why, error, exc_info=bug)
            return False
        if message is None:
            return False
        try:
            self._send(message, heard.at)
        except Exception as error:
            bug = not isinstance(error, MigratorError)
            why = f"{event.event} of {event.name}"
            LOG.warning("%s could not be told: %s", why, error, exc_info=bug)
            newest = error.facts.get("generation", 0) if isinstance(error, Refused) else 0
            if not 0 < newest <= self._inventory.acknowledged:
                # Otherwise it was in an inventory that was read after it, and told before it.
                self._inventory.count_from(newest)
                self._inventory.tell_all()
            return isinstance(error, Refused)
        self._inventory.told_of(event.instance_id, message.summary, message.generation)
        return True

    def _send(self, message: DomainEvent, heard_at: float) -> None:
        with self._ports.window.inside():
            held_ms = round((self._ports.clock.monotonic() - heard_at) * 1000)
            self._ports.reports.domain_event(msgspec.structs.replace(message, held_ms=held_ms))

    def _message(self, event: LifecycleEvent) -> DomainEvent | None:
        """None when only half of it can be known now: a summary left out would mean that the domain is
        gone. :raises Transient: libvirt does not answer."""
        number = self._ports.numbering.next()
        arrived = self._arrived(event, number)
        if arrived is not None:
            return self._compose(event, *arrived, number)
        view = self._ports.hypervisor.view(event.instance_id)
        summary = self._inventory.look_at(event.instance_id)
        if view.state is DomainState.ABSENT:
            return self._compose(event, view, None, number)
        if summary is None:
            return None
        summary = replace(summary, state=view.state, reason=view.reason, persistent=view.persistent)
        return self._compose(event, view, summary, number)

    def _arrived(
        self, event: LifecycleEvent, number: int
    ) -> tuple[DomainView, DomainSummary] | None:
        """What the event itself proves of a guest that was on its way here, without asking libvirt."""
        reason = ARRIVALS.get((event.event, event.detail))
        expected = self._inventory.domain(event.instance_id)
        if reason is None or expected is None or not expected.incoming:
            return None
        view = DomainView(
            DomainState.RUNNING, reason, name=event.name, persistent=expected.persistent
        )
        summary = replace(expected, state=DomainState.RUNNING, reason=reason, incoming=False)
        self._inventory.arrived(summary, number)
        return view, summary

    def _compose(
        self,
        event: LifecycleEvent,
        view: DomainView,
        summary: DomainSummary | None,
        number: int,
    ) -> DomainEvent:
        return DomainEvent(
            host=self._ports.settings.host,
            incarnation=self._incarnation,
            instance_id=event.instance_id,
            event=event.event,
            detail=event.detail,
            view=view,
            summary=summary,
            generation=number,
        )


def _is_arrival(event: LifecycleEvent) -> bool:
    return (event.event, event.detail) in ARRIVALS


def _take(waiting: list[_Heard]) -> _Heard:
    """The next to tell: an arrival overtakes what came before it, which it makes old news."""
    for position, heard in enumerate(waiting):
        if _is_arrival(heard.event):
            del waiting[: position + 1]
            return heard
    return waiting.pop(0)


def _shorten(waiting: list[_Heard]) -> None:
    """Forget the oldest that is no arrival; the newest says how the domain is."""
    while len(waiting) > LONGEST_LANE:
        position = next((i for i, heard in enumerate(waiting) if not _is_arrival(heard.event)), 0)
        del waiting[position]
