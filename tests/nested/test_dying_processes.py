"""Processes die in the middle of a transfer, of ours and of libvirt's."""

from __future__ import annotations

import pytest

from tests.nested.lab import SLOWLY, Lab, Moving, await_
from tests.nested.verify import verify

pytestmark = pytest.mark.nested


def start(lab: Lab, guest: str) -> Moving:
    """In the middle of a transfer to the host the guest is not on."""
    moving = lab.migrate(guest, lab.other(lab.home_of(guest)), *SLOWLY)
    moving.until_memory_flows()
    return moving


def test_a_conductor_that_is_killed_and_restarted_completes_the_migration(
    lab: Lab, roamer: str
) -> None:
    source = lab.home_of(roamer)
    moving = start(lab, roamer)
    lab.tool("kill", "conductor")
    lab.up()
    lab.hurry(roamer, source)
    ended = moving.until_ended()
    assert ended["state"] == "completed", moving.story()
    assert lab.home_of(roamer) == lab.other(source)
    verify(lab)


def test_a_transfer_that_ended_while_the_conductor_was_dead_is_recorded_as_completed(
    lab: Lab, roamer: str
) -> None:
    source = lab.home_of(roamer)
    destination = lab.other(source)
    moving = start(lab, roamer)
    lab.tool("kill", "conductor")
    lab.hurry(roamer, source)
    await_(lambda: lab.names_on(source) == [], "libvirt carries it on by itself", 60)
    assert lab.state_on(destination, roamer) == "running"
    lab.up()
    ended = moving.until_ended()
    assert ended["state"] == "completed", moving.story()
    assert ended["destination"] == destination.name
    verify(lab)


@pytest.mark.parametrize("side", ["source", "destination"])
def test_a_libvirtd_that_is_killed_fails_the_migration_and_the_next_one_works(
    lab: Lab, roamer: str, side: str
) -> None:
    source = lab.home_of(roamer)
    destination = lab.other(source)
    moving = start(lab, roamer)
    lab.tool("kill", "libvirtd", (source if side == "source" else destination).name)
    lab.up()
    ended = moving.until_ended()
    assert ended["state"] == "failed", moving.story()
    assert ended["error_code"] == "transfer.failed", ended["error"]
    assert lab.home_of(roamer) == source
    verify(lab)
    lab.move(roamer, destination)
    verify(lab)


def test_a_guest_that_powers_off_while_it_moves_fails_the_migration(lab: Lab) -> None:
    source, destination = lab.hosts
    guest = lab.boot("mortal", source, "--memory", "192", "--dirty", "32", "--dirty-rate", "4")
    moving = start(lab, guest)
    # By itself: libvirt's power button waits for the migration's job. QEMU looks once a second whether
    # somebody has opened the console.
    console = lab.virsh(source, "ttyconsole", guest)
    lab.tool("exec", source.name, "sh", "-c", f"(sleep 2; echo poweroff; sleep 2) > {console}")
    ended = moving.until_ended()
    assert (ended["state"], ended["error_code"]) == ("failed", "guest.died"), moving.story()
    assert guest not in lab.names_on(destination)
    assert lab.state_on(source, guest) == "shut off"
    lab.discard(guest)
    verify(lab)
