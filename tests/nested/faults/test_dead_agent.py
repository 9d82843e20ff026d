"""The source's agent is dead when its transfer ends, and finds out when it is back."""

from __future__ import annotations

import threading
import time

import pytest

from tests.nested.lab import SLOWLY, Lab, await_
from tests.nested.test_lost_replies import replies_dropped
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


def test_a_guest_that_libvirt_let_run_at_its_source_meanwhile_is_held_at_once(
    broker_lab: Lab, broker_roamer: str
) -> None:
    """With no conductor to look at the destination, which runs the guest too."""
    lab, guest = broker_lab, broker_roamer
    source = lab.home_of(guest)
    destination = lab.other(source)
    moving = lab.migrate(guest, destination, *SLOWLY)
    moving.until_memory_flows()
    lab.tool("stop", "conductor")
    lab.tool("kill", "agent", source.name)
    with replies_dropped(lab, destination, source):
        lab.hurry(guest, source)
        await_(lambda: lab.state_on(destination, guest) == "running", "it is switched", 60)
        await_(lambda: lab.state_on(source, guest) == "running", "libvirt lets it run here", 60)
    starting = threading.Thread(target=lab.up)
    starting.start()
    try:
        await_(lambda: lab.state_on(source, guest) == "paused", "its agent holds it", 30)
    finally:
        lab.tool("cont", "conductor")
        starting.join()
    ended = moving.until_ended()
    assert ended["state"] == "completed", moving.story()
    assert ended["destination"] == destination.name
    assert lab.home_of(guest) == destination
    assert any("as well" in each["text"] for each in moving.events()), moving.story()
    # It ran in two places until its agent was back, and has the beats of both.
    lab.discard(guest)
    verify(lab)
