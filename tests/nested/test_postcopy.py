"""Guests whose memory is split between two hosts, and transfers that would never end by themselves."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from tests.nested.lab import Done, Host, Lab, Moving, await_
from tests.nested.verify import verify

pytestmark = pytest.mark.nested

GUEST = "restless"
LINK_MBIT = 400
SLOW = ("--bandwidth", "24")
"""A first pass of a few seconds, and no way to catch the guest after it."""
GUARANTEED = ("--profile", "guaranteed")


@pytest.fixture
def restless(lab: Lab) -> Iterator[str]:
    """A guest that rewrites 128 MiB without pause, which no pre-copy catches over such a link."""
    for host in lab.hosts:
        lab.tool("limit", host.name, str(LINK_MBIT))
    if GUEST not in lab.guests:
        lab.boot(GUEST, lab.hosts[0], "--memory", "256", "--dirty", "128", "--dirty-rate", "0")
    yield GUEST
    for host in lab.hosts:
        lab.tool("heal", host.name)
        lab.tool("limit", host.name, "0")


def qemu_of(lab: Lab, host: Host, guest: str) -> int:
    """Its process there; while it moves there is one on each side."""
    pids = next(each["pids"] for each in lab.describe() if each["name"] == host.name)
    pid: int = pids["qemu"][guest]
    return pid


def force(lab: Lab, moving: Moving, *options: str) -> Done:
    return lab.migrator("migration", "force-complete", moving.id, *options)


def tune(lab: Lab, moving: Moving, mib_s: int) -> None:
    done = lab.migrator("migration", "tune", moving.id, "--postcopy-bandwidth", str(mib_s))
    assert done.status == 0, done.err


def split(lab: Lab, guest: str) -> tuple[Host, Host, Moving]:
    """(source, destination, migration) in post-copy that is too slow to end by itself."""
    source = lab.home_of(guest)
    destination = lab.other(source)
    moving = lab.migrate(guest, destination, *SLOW, *GUARANTEED)
    moving.until_memory_flows()
    tune(lab, moving, 1)
    assert force(lab, moving, "--method", "postcopy").status == 0
    moving.until(lambda view: view["state"] == "postcopy")
    return source, destination, moving


def test_a_guest_that_pre_copy_cannot_catch_ends_by_post_copy_where_its_profile_allows_it(
    lab: Lab, restless: str
) -> None:
    destination = lab.other(lab.home_of(restless))
    ended = lab.move(restless, destination, *GUARANTEED)
    assert ended["method"] == "postcopy"
    begun = [action for action in ended["actions"] if action["action"] == "start_postcopy"]
    assert [(each["rule"], each["result"]) for each in begun] == [("not_converging", "agreed")]
    assert lab.home_of(restless) == destination
    verify(lab)


def test_force_complete_waits_for_the_first_pass_is_harmless_twice_and_refused_in_post_copy(
    lab: Lab, restless: str
) -> None:
    source = lab.home_of(restless)
    moving = lab.migrate(restless, lab.other(source), "--bandwidth", "16", *GUARANTEED)
    moving.until_memory_flows()
    tune(lab, moving, 1)
    first, second = force(lab, moving), force(lab, moving)
    assert (first.status, second.status) == (0, 0), first.err + second.err
    assert "deferred" in first.err + first.out
    moving.until(lambda view: view["state"] == "postcopy")
    assert lab.api("v1", "instances", restless)["host"] == lab.other(source).name
    late = force(lab, moving)
    assert (late.status, late.code) == (2, "force.too_late")
    abort = lab.migrator("migration", "abort", moving.id)
    assert (abort.status, abort.code) == (2, "abort.too_late")
    tune(lab, moving, 0)
    assert moving.until_ended()["state"] == "completed", moving.story()
    verify(lab)


def test_a_destination_that_hangs_is_given_up_and_the_next_migration_works(
    lab: Lab, restless: str
) -> None:
    source = lab.home_of(restless)
    destination = lab.other(source)
    moving = lab.migrate(restless, destination, "--bandwidth", "8")
    moving.until_memory_flows()
    os.kill(qemu_of(lab, destination, restless), signal.SIGSTOP)
    ended = moving.until_ended(150)
    assert (ended["state"], ended["error_code"]) == ("failed", "transfer.failed"), moving.story()
    assert lab.home_of(restless) == source
    verify(lab)

    def answers() -> bool:
        """libvirt there listed nothing while it killed what hung."""
        return bool(lab.api("v1", "hosts", destination.name)["alive"])

    await_(answers, f"{destination.name} answers again")
    lab.move(restless, destination, *GUARANTEED)
    verify(lab)


def test_a_guest_that_is_paused_while_it_is_copied_is_paused_at_the_destination(
    lab: Lab, restless: str
) -> None:
    source = lab.home_of(restless)
    destination = lab.other(source)
    moving = lab.migrate(restless, destination, "--bandwidth", "16")
    moving.until_memory_flows()
    lab.virsh(source, "suspend", restless)
    lab.guests[restless] = "paused"
    assert moving.until_ended()["state"] == "completed", moving.story()
    assert lab.virsh(destination, "domstate", "--reason", restless) == "paused (user)"
    verify(lab)
    lab.virsh(destination, "resume", restless)
    lab.guests[restless] = "running"
    verify(lab)


def test_a_libvirtd_that_dies_in_post_copy_destroys_nothing(lab: Lab, restless: str) -> None:
    _, destination, moving = split(lab, restless)
    lab.tool("kill", "libvirtd", destination.name)
    lab.up()
    tune(lab, moving, 0)
    assert moving.until_ended()["state"] == "completed", moving.story()
    assert lab.home_of(restless) == destination
    verify(lab)


def test_a_qemu_that_dies_in_post_copy_is_a_loss_that_says_what_is_lost(
    lab: Lab, restless: str
) -> None:
    source, destination, moving = split(lab, restless)
    os.kill(qemu_of(lab, destination, restless), signal.SIGKILL)
    ended = moving.until_ended()
    assert (ended["state"], ended["error_code"]) == ("lost", "transfer.lost"), moving.story()
    assert f"start it again on {destination.name}" in ended["error"]
    lab.guests.pop(restless)
    await_(lambda: restless not in lab.names_on(source), "its half on the source is gone")
    assert lab.state_on(destination, restless) == "shut off"
    lab.discard(restless)
    verify(lab)
