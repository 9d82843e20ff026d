"""What this host has, as last read, and how much of it the conductor has been told."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from migrator.compute_agent.context import AgentPorts
from migrator.compute_agent.host_limits import limited
from migrator.errors import MigratorError
from migrator.model import DomainSummary, HostFacts

LOG = logging.getLogger(__name__)

FACTS_S = 60.0
"""Processors and memory do not change, pools and networks rarely; the checks before a migration ask
libvirt itself."""
HANGS_S = 10.0
"""A read that takes longer is reported: libvirt answers inventory in milliseconds."""


@dataclass(frozen=True)
class Snapshot:
    """One state of the host."""

    facts: HostFacts | None
    domains: Mapping[str, DomainSummary]
    number: int = field(compare=False)
    """Of the look that read the domains, among all the agent says about its guests."""

    def having(self, instance_id: str, summary: DomainSummary | None) -> Snapshot:
        """The same but for one domain."""
        others = {key: value for key, value in self.domains.items() if key != instance_id}
        if summary is not None:
            others[instance_id] = summary
        return replace(self, domains=others)


@dataclass(frozen=True)
class Untold:
    """A snapshot on its way to a conductor; void once it was found that one missed something."""

    snapshot: Snapshot
    missed: int


class Inventory:
    """Read by several workers; every answer is whole."""

    def __init__(self, ports: AgentPorts) -> None:
        self._ports = ports
        self._lock = ports.concurrency.lock()
        self._now: Snapshot | None = None
        self._told: Snapshot | None = None
        self._alone: dict[str, int] = {}
        """Domains of which more is known than the last look at all has read: since which number."""
        self._missed = 0
        self._acknowledged = 0
        self._trouble: str | None = "libvirt has not been read yet"
        self._facts_at: float | None = None
        self._offers = 0
        """Changes of what the host offers that were told of."""
        self._reading_since: dict[int, float] = {}

    # -- reading libvirt

    def look(self) -> bool:
        """Read the host. True when there is news for a conductor.

        Reads overlap when events come fast; an older answer never replaces a newer one.
        """
        clock = self._ports.clock
        with self._lock:
            number = self._ports.numbering.next()
            self._reading_since[number] = began = clock.monotonic()
            with_facts = self._facts_at is None or began - self._facts_at >= FACTS_S
            offers = self._offers
        try:
            domains = {each.id: each for each in self._ports.hypervisor.list_domains()}
            facts = self._facts() if with_facts else None
        except Exception as error:
            return self._failed(number, error)
        with self._lock:
            self._reading_since.pop(number)
            if self._now is not None and number < self._now.number:
                return False
            if facts is not None:
                # What changed while it was read may be missing in it.
                self._facts_at = began if offers == self._offers else None
            elif self._now is not None:
                facts = self._now.facts
            self._alone = {key: at for key, at in self._alone.items() if at > number}
            read = Snapshot(facts, domains, number)
            for key in self._alone:
                read = read.having(key, self._known(key))
            self._now = read
            recovered = self._trouble is not None
            self._trouble = None
        return recovered or self.has_news

    def look_at(self, instance_id: str) -> DomainSummary | None:
        """Read one domain; what is known of the others stays. A host with a hundred guests is not read
        whole for what happens to one of them.

        :return: None when there is no such domain.
        :raises MigratorError: when libvirt does not answer.
        """
        number = self._ports.numbering.next()
        summary = self._ports.hypervisor.summary(instance_id)
        self._learn(instance_id, summary, number)
        return summary

    def _learn(self, instance_id: str, summary: DomainSummary | None, number: int) -> None:
        """It was so after ``number`` was taken; an older word never replaces a newer one."""
        with self._lock:
            if self._now is None:
                return
            if number > max(self._now.number, self._alone.get(instance_id, 0)):
                self._alone[instance_id] = number
                self._now = self._now.having(instance_id, summary)

    def offer_changed(self) -> None:
        """A pool or a network is not what it was: the next look reads the host's facts too."""
        with self._lock:
            self._offers += 1
            self._facts_at = None

    def _facts(self) -> HostFacts:
        """The host, and what of it guests may have."""
        settings, hypervisor = self._ports.settings, self._ports.hypervisor
        facts = replace(
            hypervisor.host_facts(),
            topology=hypervisor.topology(),
            kernel=hypervisor.kernel(settings.addresses.migration_address),
        )
        return limited(facts, settings.limits, settings.host)

    def _failed(self, number: int, error: Exception) -> bool:
        bug = not isinstance(error, MigratorError)
        why = (
            error.message if isinstance(error, MigratorError) else f"{error!r}; see the agent's log"
        )
        with self._lock:
            self._reading_since.pop(number)
            news = self._trouble != why
            self._trouble = why
            self._facts_at = None
        if news:
            LOG.warning("libvirt cannot be read: %s", error, exc_info=bug)
        return news

    # -- what is known

    def trouble(self) -> str | None:
        """Why libvirt cannot be read now; a read that hangs is trouble too."""
        with self._lock:
            began = min(self._reading_since.values(), default=None)
            trouble = self._trouble
        for_s = 0.0 if began is None else self._ports.clock.monotonic() - began
        if trouble is None and for_s > HANGS_S:
            return f"libvirt has not answered for {for_s:.0f} s"
        return trouble

    def domain(self, instance_id: str) -> DomainSummary | None:
        with self._lock:
            return self._known(instance_id)

    def _known(self, instance_id: str) -> DomainSummary | None:
        return None if self._now is None else self._now.domains.get(instance_id)

    def arrived(self, summary: DomainSummary, number: int) -> None:
        """An event has proved this; whether libvirt can be read or not."""
        self._learn(summary.id, summary, number)

    # -- what has been told

    @property
    def has_news(self) -> bool:
        """A conductor has to be told everything. Not when nothing is known for sure: what was true
        before libvirt went away is not repeated as news."""
        with self._lock:
            return self._trouble is None and self._now is not None and self._now != self._told

    def untold(self) -> Untold | None:
        """What a conductor has to be told whole; None without news."""
        with self._lock:
            if not self.has_news:
                return None
            assert self._now is not None
            return Untold(self._now, self._missed)

    @property
    def acknowledged(self) -> int:
        """The number of the newest word a conductor has taken."""
        with self._lock:
            return self._acknowledged

    def count_from(self, number: int) -> None:
        """A conductor has heard this one already, of this process or a former one."""
        self._ports.numbering.go_on_above(number)

    def told(self, untold: Untold) -> None:
        """A conductor has taken this."""
        with self._lock:
            self._acknowledged = max(self._acknowledged, untold.snapshot.number)
            if untold.missed == self._missed:
                self._told = untold.snapshot

    def told_of(self, instance_id: str, summary: DomainSummary | None, number: int) -> None:
        """A conductor has taken one domain's state, with an event: no need to send all for it."""
        with self._lock:
            self._acknowledged = max(self._acknowledged, number)
            if self._told is not None:
                self._told = self._told.having(instance_id, summary)

    def tell_all(self) -> None:
        """A conductor has missed something, or may have."""
        with self._lock:
            self._missed += 1
            self._told = None


def as_list(domains: Mapping[str, DomainSummary]) -> Sequence[DomainSummary]:
    """In an order that does not depend on libvirt's."""
    return sorted(domains.values(), key=lambda each: each.id)
