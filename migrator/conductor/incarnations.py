"""Which process of each agent is the one to command now, without asking the database each time."""

from __future__ import annotations

from migrator.conductor.ports import HostStore
from migrator.ports import Concurrency


class Incarnations:
    """What agents last said of themselves here; the database's word for those that spoke elsewhere.

    Being behind is harmless: the agent refuses and names its own
    (:func:`migrator.conductor.run.send`).
    """

    def __init__(self, concurrency: Concurrency) -> None:
        self._lock = concurrency.lock()
        self._known: dict[str, str] = {}

    def heard(self, host: str, incarnation: str) -> None:
        """The agent has just spoken."""
        with self._lock:
            self._known[host] = incarnation

    def of(self, host: str, hosts: HostStore) -> str:
        """The incarnation to address a command to."""
        with self._lock:
            known = self._known.get(host)
        return known if known is not None else hosts.get(host).incarnation
