"""Which process of each agent is the one to command now, without asking the database each time."""

from __future__ import annotations

from dataclasses import dataclass, field

from migrator.conductor.ports import HostStore
from migrator.ports import Clock, Concurrency

RETURNS = 2
"""A report of an agent's former process that arrives after the first of its next one makes each of them
seem to have returned once."""


@dataclass
class _Known:
    """What one host's agents have said of themselves, here."""

    newest: str
    earlier: set[str] = field(default_factory=set)
    returns: int = 0
    """How often an earlier one spoke after a newer one, without a pause."""
    returned_at: float | None = None


class Incarnations:
    """What agents last said of themselves here; the database's word for those that spoke elsewhere.

    Being behind is harmless: the agent refuses and names its own
    (:func:`migrator.conductor.run.send`).

    :param rivals_s: one of two agents counts as gone after this many seconds without a word.
    """

    def __init__(self, concurrency: Concurrency, clock: Clock, rivals_s: float) -> None:
        self._lock = concurrency.lock()
        self._clock = clock
        self._rivals_s = rivals_s
        self._known: dict[str, _Known] = {}

    def heard(self, host: str, incarnation: str) -> bool:
        """The agent has just spoken. True while two processes speak for the host in turns: the newer
        one has not replaced the other."""
        now = self._clock.monotonic()
        with self._lock:
            known = self._known.setdefault(host, _Known(incarnation))
            if known.returned_at is not None and now - known.returned_at >= self._rivals_s:
                known.returned_at, known.returns = None, 0
            if incarnation != known.newest:
                if incarnation in known.earlier:
                    known.returned_at, known.returns = now, known.returns + 1
                known.earlier.add(known.newest)
                known.newest = incarnation
            return known.returns > RETURNS

    def of(self, host: str, hosts: HostStore) -> str:
        """The incarnation to address a command to."""
        with self._lock:
            known = self._known.get(host)
        return known.newest if known is not None else hosts.get(host).incarnation
