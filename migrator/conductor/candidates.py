"""The fleet as placements see it, kept decoded in memory and brought up to date before each decision.

A host's facts are large and its claims are many; both are read again only when the host's mark says
that one of them has changed. Whatever is a moment too old is found out by the claim, which compares the
host's claims generation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from migrator.conductor.ports import Stores
from migrator.errors import Refused
from migrator.model import Claim, HostMark
from migrator.ports import Concurrency
from migrator.scheduler.snapshot import Candidate, Promises, candidate

MANY = 64
"""As many changed hosts are read all at once."""


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
            fleet = self._stores.hosts.fleet_mark()
            if fleet == self._fleet:
                return self._candidates
            marks, known = self._stores.hosts.marks(), self._known
            changed = [mark for mark in marks if known.get(mark.name, _NOBODY)[0] != mark]
            if changed:
                self._read(changed)
            self._fleet = fleet
            self._candidates = [known[mark.name][1] for mark in marks if mark.name in known]
            return self._candidates

    def _read(self, changed: Sequence[HostMark]) -> None:
        if len(changed) < MANY:
            for mark in changed:
                self._read_one(mark)
            return
        # Hosts before claims: a claim made in between makes the generation too old, never too new.
        hosts = {host.name: host for host in self._stores.hosts.list()}
        claims: dict[str, list[Claim]] = {}
        for claim in self._stores.claims.list():
            claims.setdefault(claim.host, []).append(claim)
        for mark in changed:
            host = hosts[mark.name]
            made = candidate(host, claims.get(mark.name, []), self._promises)
            self._known[mark.name] = (mark, made)

    def _read_one(self, mark: HostMark) -> None:
        try:
            host = self._stores.hosts.get(mark.name)
        except Refused:
            self._known.pop(mark.name, None)
            return
        generation, claims = self._stores.claims.on_host(mark.name)
        host = replace(host, claims_generation=generation)
        self._known[mark.name] = (mark, candidate(host, claims, self._promises))


_NOBODY: tuple[HostMark | None, None] = (None, None)
