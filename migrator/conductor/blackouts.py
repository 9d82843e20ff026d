"""For how long guests stood still, as this conductor's clock saw both ends of it.

Two hosts' clocks differ, so neither can say. An event's way here is not instant either: what its agent
held it for is taken off, and what is left is the difference of two ways through the broker.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass

from migrator.messages import DomainEvent
from migrator.ports import Clock, Concurrency

REMEMBERED = 4096
"""Guests that are moving or have just moved; more than a fleet has under way."""
OF_EACH = 16
"""Events of one guest; a switch makes two to four."""
SLACK_S = 0.5
"""Two agents' events may overtake each other by this."""


@dataclass(frozen=True)
class _Moment:
    host: str
    resumed: bool
    at: float


class Blackouts:
    """Fed with every event of a domain; asked when a migration's statistics are stored."""

    def __init__(self, concurrency: Concurrency, clock: Clock) -> None:
        self._clock = clock
        self._lock = concurrency.lock()
        self._heard: OrderedDict[str, deque[_Moment]] = OrderedDict()

    def hear(self, event: DomainEvent) -> None:
        """Take one."""
        stopped = event.event == "suspended" and event.detail == "migrated"
        if not stopped and event.event != "resumed":
            return
        at = self._clock.monotonic() - event.held_ms / 1000
        with self._lock:
            moments = self._heard.setdefault(event.instance_id, deque(maxlen=OF_EACH))
            moments.append(_Moment(event.host, not stopped, at))
            self._heard.move_to_end(event.instance_id)
            while len(self._heard) > REMEMBERED:
                self._heard.popitem(last=False)

    def of(self, instance_id: str, source: str, destination: str) -> int | None:
        """Milliseconds of the last switch between the two; None when an end of it was not heard here:
        another conductor heard it, or an agent was away."""
        with self._lock:
            moments = tuple(self._heard.get(instance_id, ()))
        stops = [each.at for each in moments if each.host == source and not each.resumed]
        if not stops:
            return None
        starts = [
            each.at
            for each in moments
            if each.host == destination and each.resumed and each.at >= stops[-1] - SLACK_S
        ]
        return max(round((min(starts) - stops[-1]) * 1000), 0) if starts else None
