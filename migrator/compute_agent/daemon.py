"""migrator-agent: the composition of one host's agent, and its process."""

from __future__ import annotations

from collections.abc import Sequence

from migrator import config, service
from migrator.compute_agent.agent import Agent
from migrator.compute_agent.libvirt_hypervisor import LibvirtHypervisor
from migrator.compute_agent.settings import AgentSettings
from migrator.conductor.rpcapi import ConductorClient
from migrator.messages import AGENT_METHODS, AGENT_TOPIC, RPC_VERSION
from migrator.rpc import Bus
from migrator.threads import SystemClock, Threads

STOP_GRACE_S = 5.0
"""An abort or a release may wait for libvirt much longer; its caller asks the next agent again."""


class AgentService:
    """An agent that answers on the bus."""

    def __init__(self, settings: AgentSettings, bus: Bus) -> None:
        self._hypervisor = LibvirtHypervisor(settings.addresses.libvirt_uri)
        self._agent = Agent(
            self._hypervisor, SystemClock(), Threads(), ConductorClient(bus), settings
        )
        self._server = bus.server(
            AGENT_TOPIC, settings.host, AGENT_METHODS, self._agent.endpoint, version=RPC_VERSION
        )

    def start(self) -> None:
        """What libvirt is transferring is watched at once; the server waits for its broker."""
        self._agent.start()
        self._server.start()

    def describe(self) -> list[str]:
        """What the agent has in hand."""
        return self._agent.describe()

    def stop(self) -> None:
        self._server.stop(STOP_GRACE_S)
        self._agent.stop()
        self._hypervisor.close()


def build(settings: AgentSettings, bus: Bus) -> AgentService:
    """An agent ready to start."""
    return AgentService(settings, bus)


def main() -> int:
    """The console script."""
    return service.entry(_run)


def _run(argv: Sequence[str]) -> int:
    conf = config.load(argv, "migrator-agent")
    settings = config.agent_settings(conf, config.agent_host(conf))

    def start() -> Sequence[service.Stoppable]:
        agent = build(settings, Bus.open(conf, conf.transport_url))
        agent.start()
        return [agent]

    service.run("migrator-agent", conf, start)
