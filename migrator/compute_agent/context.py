"""What an agent's code works with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from migrator.compute_agent.latch import Latch
from migrator.compute_agent.numbering import Numbering
from migrator.compute_agent.ports import Hypervisor
from migrator.compute_agent.settings import AgentSettings
from migrator.compute_agent.window import Window
from migrator.conductor.rpcapi import ReportsApi
from migrator.ports import Clock, Concurrency

if TYPE_CHECKING:
    from migrator.compute_agent.streams import Streams
    from migrator.compute_agent.transfer import Transfers


@dataclass(frozen=True)
class AgentPorts:
    """The outside, and the sign that this process is to end."""

    settings: AgentSettings
    hypervisor: Hypervisor
    clock: Clock
    concurrency: Concurrency
    reports: ReportsApi
    stopping: Latch
    numbering: Numbering
    window: Window
    """For what is told of single guests."""


@dataclass(frozen=True)
class AgentContext:
    """What an op may use. Whatever lasts is in libvirt; ``transfers`` and ``streams``
    know what runs in this process."""

    settings: AgentSettings
    hypervisor: Hypervisor
    clock: Clock
    transfers: Transfers
    streams: Streams
    numbering: Numbering
