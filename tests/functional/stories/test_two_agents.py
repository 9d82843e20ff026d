"""A host that two agents speak for: seen, said, kept out of everything, and back when one is gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrator.compute_agent.agent import Agent
from migrator.compute_agent.settings import AgentSettings
from migrator.conductor.rpcapi import ConductorClient
from migrator.conductor.settings import ConductorSettings
from migrator.errors import MigratorError
from migrator.messages import HostRef, HostView
from migrator.rpc import Bus
from tests.functional.stories.fleet import ServiceUnderTest, addresses

SETTINGS = ConductorSettings(name="c1", encryption="off", lease_s=3.0, host_down_s=2.0)


def host(service: ServiceUnderTest, name: str) -> HostView:
    return service.client.show_host(HostRef(name=name))


def stray_agent(service: ServiceUnderTest, name: str, libvirt: str) -> Agent:
    """Speaks as ``name`` and looks at another host's libvirt."""
    agent = Agent(
        service.fleet.hosts[libvirt],
        service.clock,
        service.concurrency,
        ConductorClient(service.bus),
        AgentSettings(name, addresses(name), encryption="off", heartbeat_s=0.5),
    )
    agent.start()
    return agent


def test_a_second_agent_of_a_host_is_seen_and_its_end_too(tmp_path: Path, bus: Bus) -> None:
    with ServiceUnderTest(tmp_path, bus, settings=SETTINGS) as service:
        service.add_guest("h1", "g1")
        stray = stray_agent(service, "h1", libvirt="h2")
        service.until(lambda: "two agents" in (host(service, "h1").why_down or ""))
        with pytest.raises(MigratorError) as caught:
            service.migrate("g1", host="h2")
        assert caught.value.code == "host.agent_down"
        assert "two agents serve h1" in caught.value.message
        stray.stop()
        service.until(lambda: host(service, "h1").alive)
        service.until(lambda: service.instance("g1").status == "running")
        assert service.wait(service.migrate("g1", host="h2").id).state == "completed"


def test_an_agent_that_restarts_again_and_again_is_one_agent(tmp_path: Path, bus: Bus) -> None:
    with ServiceUnderTest(tmp_path, bus, settings=SETTINGS) as service:
        for _ in range(3):
            service.stop_agent("h1")
            service.start_agent("h1")
            service.until(lambda: host(service, "h1").alive)
        assert host(service, "h1").why_down is None
