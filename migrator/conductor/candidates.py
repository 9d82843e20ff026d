"""The fleet as placements see it, kept decoded in memory and brought up to date before each decision.

A host's facts are large and its claims are many; both are read again only when the host's mark says
that one of them has changed. Whatever is a moment too old is found out by the claim, which compares the
host's claims generation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from migrator.conductor.ports import Stores
from migrator.model import Claim, Host, HostMark
from migrator.ports import Concurrency
from migrator.scheduler.snapshot import Candidate, Promises, candidate

MANY = 64
"""Of so many hosts a mark of the whole fleet is asked for before those of each, and so many changed
hosts are read all at once."""


class Candidates:
    """Shared by everything that places."""

    def __init__(self, stores: Stores, promises: Promises, concurrency: Concurrency) -> None:
        self._stores = stores
        self._promises = promises
        self._lock = concurrency.lock()
        self._fleet: object = None
        self._candidates: Sequence[Candidate] = ()
        self._known: dict[str, tuple[HostMark, Candidate]] = {}

    def now(self) -> Sequence[Candidate]:
        """Every host, by name."""
        with self._lock:
            # Before the marks: a change in between is seen again, never missed.
            fleet = self._stores.hosts.fleet_mark() if len(self._known) >= MANY else None
            if fleet is not None and fleet == self._fleet:
                return self._candidates
            marks, known = self._stores.hosts.marks(), self._known
            changed = [mark for mark in marks if known.get(mark.name, _NOBODY)[0] != mark]
            if changed:
                self._read(changed)
            self._fleet = fleet
            self._candidates = [known[mark.name][1] for mark in marks if mark.name in known]
            return self._candidates

    def known(self, name: str) -> Host:
        """A host as it was at the last look; only for what hardly ever changes."""
        with self._lock:
            return self._known[name][1].host

    def _read(self, changed: Sequence[HostMark]) -> None:
        """A host is read again when itself has changed, its claims whenever its mark has.

        The marks are older than what is read here: a claim made in between makes the generation too
        old, never too new.
        """
        hosts = self._hosts(changed)
        claims = self._claims([mark.name for mark in changed])
        for mark in changed:
            if mark.name in hosts:
                host = replace(hosts[mark.name], claims_generation=mark.claims_generation)
                made = candidate(host, claims.get(mark.name, []), self._promises)
                self._known[mark.name] = (mark, made)

    def _hosts(self, changed: Sequence[HostMark]) -> Mapping[str, Host]:
        kept: dict[str, Host] = {}
        for mark in changed:
            known = self._known.get(mark.name)
            if known is not None and _same_host(known[0], mark):
                kept[mark.name] = known[1].host
        new = [mark.name for mark in changed if mark.name not in kept]
        if not new:
            return kept
        read = self._stores.hosts.list(new if len(new) < MANY else None)
        return {**kept, **{host.name: host for host in read}}

    def _claims(self, names: Sequence[str]) -> Mapping[str, Sequence[Claim]]:
        return self._stores.claims.of_hosts(names if len(names) < MANY else None)


def _same_host(before: HostMark, now: HostMark) -> bool:
    return before._replace(claims_generation=now.claims_generation) == now


_NOBODY: tuple[HostMark | None, None] = (None, None)
