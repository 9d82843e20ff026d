"""Everything the conductor's driving code works with, in one value."""

from __future__ import annotations

from dataclasses import dataclass

from migrator.compute_agent.rpcapi import AgentApi
from migrator.conductor.incarnations import Incarnations
from migrator.conductor.mailroom import Mailroom
from migrator.conductor.ports import Stores
from migrator.conductor.rpcapi import PeersApi
from migrator.conductor.settings import ConductorSettings
from migrator.ports import Clock, Concurrency, Inbox


@dataclass(frozen=True)
class Context:
    """Ports and settings; holds nothing of its own."""

    settings: ConductorSettings
    stores: Stores
    agents: AgentApi
    peers: PeersApi
    """The other conductors that share the database."""
    clock: Clock
    concurrency: Concurrency
    mail: Mailroom
    incarnations: Incarnations
    dispatch: Inbox[object]
    """Wakes the dispatcher: something may start now."""
    todo: Inbox[object]
    """Wakes the to-do loop: something may be due now."""
