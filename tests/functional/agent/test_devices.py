"""Devices of the host that a guest lets go of for its move, and gets again."""

from __future__ import annotations

import pytest

from migrator.compute_agent.plugged import removable
from migrator.errors import Refused
from migrator.messages import AttachDevices, DetachDevices
from tests.functional.agent.world import World

FIRST, SECOND = "0000:01:00.1", "0000:01:00.2"
DEVICES = "".join(
    "<hostdev mode='subsystem' type='pci' managed='yes'><source>"
    f"<address domain='0x0000' bus='0x01' slot='0x00' function='0x{number}'/></source></hostdev>"
    for number in (1, 2)
)


@pytest.fixture
def passthrough(world: World) -> World:
    world.add_guest(devices=DEVICES)
    return world


def has(world: World) -> list[str]:
    return [*removable(world.h1.describe().live_xml)]


def detach(world: World, *addresses: str, deadline_s: float = 5.0) -> str:
    request = world.h1.command(DetachDevices, addresses=list(addresses), deadline_s=deadline_s)
    return world.h1.agent.endpoint.detach_devices(request).live_xml


def attach(world: World, *devices: str) -> list[str]:
    request = world.h1.command(AttachDevices, devices=list(devices))
    return world.h1.agent.endpoint.attach_devices(request).attached


def test_what_is_asked_for_is_let_go_of_and_nothing_else(passthrough: World) -> None:
    assert [*removable(detach(passthrough, FIRST))] == [SECOND]
    assert has(passthrough) == [SECOND]


def test_letting_go_and_giving_back_may_be_asked_for_again(passthrough: World) -> None:
    devices = [*removable(passthrough.h1.describe().live_xml).values()]
    for _ in range(2):
        detach(passthrough, FIRST, SECOND)
        assert has(passthrough) == []
    assert attach(passthrough, *devices) == [FIRST, SECOND]
    assert attach(passthrough, *devices) == []
    assert has(passthrough) == [FIRST, SECOND]


def test_a_guest_that_keeps_its_device_is_named_a_refusal(passthrough: World) -> None:
    passthrough.h1.host.guests_let_go = False
    with pytest.raises(Refused) as refused:
        detach(passthrough, FIRST, deadline_s=0.5)
    assert refused.value.code == "device.not_released"
    assert FIRST in refused.value.message
    assert has(passthrough) == [FIRST, SECOND]


def test_a_guest_that_does_not_run_here_gets_nothing_and_that_is_no_error(
    passthrough: World,
) -> None:
    devices = [*removable(passthrough.h1.describe().live_xml).values()]
    request = passthrough.h2.command(AttachDevices, devices=devices)
    answer = passthrough.h2.agent.endpoint.attach_devices(request)
    assert (answer.attached, answer.seen) == ([], None)
    request_there = passthrough.h2.command(DetachDevices, addresses=[FIRST])
    with pytest.raises(Refused) as refused:
        passthrough.h2.agent.endpoint.detach_devices(request_there)
    assert refused.value.code == "guest.not_active"
