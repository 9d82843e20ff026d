"""Agents die by force while disks are copied: nothing is lost, and no volume is left behind."""

from __future__ import annotations

import pytest

from tests.nested.lab import Lab, await_
from tests.nested.test_copied_disks import UNUSED, fill, names, volume
from tests.nested.verify import verify

pytestmark = pytest.mark.nested

DISK = ("--memory", "128", "--dirty", "8", "--dirty-rate", "2", "--disk", "local:64:raw")


def test_agents_that_are_killed_in_the_disk_phase_find_the_copy_again(broker_lab: Lab) -> None:
    source, destination = broker_lab.hosts
    guest = broker_lab.boot("carrier", source, *DISK)
    fill(volume(source, "carrier-vda"), UNUSED)
    moving = broker_lab.migrate(guest, destination, "--bandwidth", "3")
    moving.until(lambda view: view["phase"] == "disk" and bool(view["disk_total"]))
    for host in broker_lab.hosts:
        broker_lab.tool("kill", "agent", host.name)
    broker_lab.up()
    await_(
        lambda: (
            broker_lab.state_on(destination, guest) == "running"
            or bool(moving.show()["memory_total"])
        ),
        "the disk is there",
        90,
    )
    broker_lab.hurry(guest, source)
    ended = moving.until_ended(120)
    assert ended["state"] == "completed", moving.story()
    assert broker_lab.home_of(guest) == destination
    assert "carrier-vda" in names(destination)
    assert "carrier-vda" not in names(source)
    assert not [name for host in broker_lab.hosts for name in names(host) if "made" in name]
    verify(broker_lab)
    broker_lab.discard(guest)
