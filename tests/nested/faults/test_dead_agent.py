"""The source's agent dies late in a transfer and comes back long after it has ended."""

from __future__ import annotations

import time

import pytest

from tests.nested.lab import Lab, await_
from tests.nested.verify import verify

pytestmark = [pytest.mark.nested, pytest.mark.broker]

LEFT = 0.2
"""Of the guest's memory, when the agent dies."""
DEAD_S = 30.0
"""Twice what makes a host count as down."""
STEADILY = ("--bandwidth", "8")
"""Options of a migration that ends by itself, some seconds after four fifths are done."""


def test_the_record_says_what_libvirt_did_while_the_agent_was_dead(
    broker_lab: Lab, broker_roamer: str
) -> None:
    lab, source = broker_lab, broker_lab.home_of(broker_roamer)
    destination = lab.other(source)
    moving = lab.migrate(broker_roamer, destination, *STEADILY)
    moving.until_memory_flows()
    late = moving.until(lambda view: view["memory_remaining"] < LEFT * view["memory_total"])
    assert late["state"] == "running", moving.story()
    lab.tool("kill", "agent", source.name)
    await_(lambda: lab.names_on(source) == [], "libvirt carries it on by itself", 60)
    time.sleep(DEAD_S)
    lab.up()
    ended = moving.until_ended()
    assert ended["state"] == "completed", moving.story()
    assert ended["destination"] == destination.name
    assert lab.home_of(broker_roamer) == destination
    verify(lab)
