"""Everything the conductor's driving code works with, in one value."""

from __future__ import annotations

from dataclasses import dataclass

from migrator.compute_agent.rpcapi import AgentApi
from migrator.conductor.blackouts import Blackouts
from migrator.conductor.candidates import Candidates
from migrator.conductor.host_turns import HostTurns
from migrator.conductor.incarnations import Incarnations
from migrator.conductor.mailroom import Mailroom
from migrator.conductor.ports import Stores
from migrator.conductor.rpcapi import PeersApi
from migrator.conductor.settings import ConductorSettings
from migrator.ports import Clock, Concurrency, Inbox


@dataclass(frozen=True)
class Context:
    """Ports, settings, and what is kept in memory."""

    settings: ConductorSettings
    stores: Stores
    agents: AgentApi
    peers: PeersApi
    """The other conductors that share the database."""
    clock: Clock
    concurrency: Concurrency
    mail: Mailroom
    incarnations: Incarnations
    blackouts: Blackouts
    candidates: Candidates
    """The hosts as placements see them."""
    turns: HostTurns
    """At claiming on one of them."""
    dispatch: Inbox[object]
    """Wakes the dispatcher: something may start now."""
    todo: Inbox[object]
    """Wakes the to-do loop: something may be due now."""
