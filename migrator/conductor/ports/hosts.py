"""Hosts, and what their agents say of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from migrator.model import Host, HostAddresses, HostFacts, HostMark, HostState, LastReport


class HostStore(Protocol):
    """Hosts, and what their agents say of them."""

    def register(self, name: str, addresses: HostAddresses) -> None:
        """Make the host known (enabled), or update its addresses."""
        ...

    def heartbeat(
        self,
        name: str,
        incarnation: str,
        agent_version: str,
        why_down: str,
    ) -> LastReport | None:
        """Store that the agent spoke (``why_down`` is empty when it reaches its libvirt).

        How it was before this heartbeat, None for an unknown host."""
        ...

    def set_facts(self, name: str, facts: HostFacts) -> None: ...

    def get(self, name: str) -> Host:
        """:raises Refused: ``host.unknown`` (facts ``known``: the names that are)."""
        ...

    def list(self, names: Sequence[str] | None = None) -> Sequence[Host]:
        """By name; all of them, or those of ``names`` that there are."""
        ...

    def set_state(self, name: str, state: HostState) -> Host: ...

    def set_labels(self, name: str, tags: Sequence[str], zone: str | None) -> Host: ...

    def fleet_mark(self) -> object:
        """Equal to an earlier one only if no host's mark has changed since; cheaper than the marks."""
        ...

    def marks(self) -> Sequence[HostMark]:
        """Of every host, by name: cheap enough to ask for before every decision."""
        ...
