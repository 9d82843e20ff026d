"""Disks that fail or fill up, a guest that reboots, a link that collapses: in the middle of a copy."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from tests.nested.faults.results import Result, keeping
from tests.nested.lab import Host, Lab, await_
from tests.nested.test_copied_disks import SMALL_POOL, fill, names, small_pool, volume
from tests.nested.verify import verify

pytestmark = [pytest.mark.nested, pytest.mark.broker]

MIB = 1024 * 1024
GUEST = "scratched"
DISK = ("--memory", "128", "--dirty", "8", "--dirty-rate", "2", "--disk", "local:64:raw")
SLOW = ("--bandwidth", "3")
UNUSED = 40 * MIB
COLLAPSED_S = 20.0


@pytest.fixture
def scratched(broker_lab: Lab) -> Iterator[str]:
    """With a raw disk of its own, partly filled where the guest itself does not look."""
    broker_lab.boot(GUEST, broker_lab.hosts[0], *DISK)
    fill(volume(broker_lab.hosts[0], f"{GUEST}-vda"), UNUSED)
    yield GUEST
    broker_lab.discard(GUEST)


def test_a_source_disk_that_cannot_be_read_fails_the_move_and_not_the_guest(
    broker_lab: Lab, scratched: str
) -> None:
    lab, (source, destination) = broker_lab, broker_lab.hosts
    with keeping(Result("eio-source-disk", "read errors", "source disk", "disk", False)) as result:
        break_reading(lab, source, scratched)
        result.is_back()
        moving = lab.migrate(scratched, destination)
        ended = moving.until_ended(120)
        result.has_ended(ended["state"], ended["error_code"])
        assert ended["state"] == "failed", moving.story()
        assert lab.home_of(scratched) == source
        assert f"{scratched}-vda" not in names(destination)
        verify(lab)
        result.has_settled()


def break_reading(lab: Lab, host: Host, guest: str) -> None:
    """From now on a sector that the guest itself never reads cannot be read."""

    def monitor(command: str, **arguments: object) -> object:
        asked = json.dumps({"execute": command, "arguments": arguments})
        answer = json.loads(lab.virsh(host, "qemu-monitor-command", guest, asked))
        assert "return" in answer, answer
        return answer["return"]

    faulty = {"event": "none", "iotype": "read", "errno": 5, "sector": UNUSED // 512 + 64}
    error = {**faulty, "once": False}
    protocol = "libvirt-1-storage"
    monitor(
        "blockdev-add",
        **{"driver": "blkdebug", "node-name": "bad", "image": protocol, "inject-error": [error]},
    )
    node = {"driver": "raw", "node-name": "libvirt-1-format", "file": "bad", "discard": "unmap"}
    cache = {"direct": True, "no-flush": False}
    monitor("blockdev-reopen", options=[{**node, "cache": cache, "read-only": False}])


def test_a_destination_pool_that_fills_up_brings_the_live_move_back(
    broker_lab: Lab, scratched: str
) -> None:
    lab, (source, destination) = broker_lab, broker_lab.hosts
    with (
        small_pool(lab, destination, mib=80) as inside,
        keeping(Result("full-destination-pool", "fill up", "pool", "disk", False)) as result,
    ):
        moving = lab.migrate(scratched, destination, *SLOW, "--map-disk", "vda=small")
        moving.until(lambda view: bool(view["disk_total"]))
        inside("dd", "if=/dev/zero", f"of={SMALL_POOL}/filler", "bs=1M", "count=80")
        result.is_back()
        ended = moving.until_ended(120)
        result.has_ended(ended["state"], ended["error_code"])
        assert ended["state"] == "failed", moving.story()
        assert inside("ls", "-A", SMALL_POOL).split() == ["filler"]
        verify(lab)
        result.has_settled()
    assert lab.home_of(scratched) == source


@pytest.mark.parametrize("phase", ["disk", "memory"])
def test_a_guest_that_reboots_itself_arrives_all_the_same(
    phase: str, broker_lab: Lab, scratched: str
) -> None:
    lab, (source, destination) = broker_lab, broker_lab.hosts
    with keeping(Result(f"reboot-{phase}", "reboots itself", "guest", phase, False)) as result:
        moving = lab.migrate(scratched, destination, *SLOW)
        moving.until(lambda view: bool(view[f"{phase}_total"]))
        console = lab.xml_on(source, scratched).find("devices/console")
        assert console is not None
        typed = f"(sleep 1; echo reboot; sleep 2) > {console.get('tty')}"
        lab.tool("exec", source.name, "sh", "-c", typed)
        await_(lambda: "leaving: reboot" in lab.console(scratched), "it reboots")
        result.is_back()
        lab.migrator("migration", "tune", moving.id, "--bandwidth", "0")
        ended = moving.until_ended(180)
        result.has_ended(ended["state"], ended["error_code"])
        assert ended["state"] == "completed", moving.story()
        assert lab.home_of(scratched) == destination
        came_up = lambda: sum(beat["n"] == "1" for beat in lab.beats(scratched)) == 2  # noqa: E731
        await_(came_up, "it has come up again", 90)
        verify(lab)
        result.has_settled()


def test_a_link_that_loses_nine_tenths_of_its_bandwidth(broker_lab: Lab) -> None:
    lab, (source, destination) = broker_lab, broker_lab.hosts
    guest = lab.boot("narrowed", source, "--memory", "256", "--dirty", "32", "--dirty-rate", "4")
    lab.tool("limit", source.name, "80")
    try:
        with keeping(
            Result("collapse-link-copying", "slow down to a tenth", "link", "copying", False)
        ) as result:
            moving = lab.migrate(guest, destination)
            moving.until_memory_flows()
            lab.tool("limit", source.name, "8")
            time.sleep(COLLAPSED_S)
            lab.tool("limit", source.name, "0")
            result.is_back()
            ended = moving.until_ended(180)
            result.has_ended(ended["state"], ended["error_code"])
            assert ended["state"] == "completed", moving.story()
            assert lab.home_of(guest) == destination
            verify(lab)
            result.has_settled()
    finally:
        lab.tool("limit", source.name, "0")
        lab.discard(guest)
