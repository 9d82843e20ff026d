"""What hangs in libvirt holds up nobody for longer than a deadline."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from migrator.compute_agent.libvirt_connections import IN_FLIGHT, Channel
from migrator.errors import MigratorError, Refused, Transient
from tests.contract.hypervisor_fixtures import LabHosts, eventually

pytestmark = pytest.mark.nested


@pytest.fixture
def channel(lab: LabHosts) -> Iterator[Channel]:
    made = Channel(lab.hosts[0]["libvirt_uri"], "test")
    yield made
    made.close()


def test_a_call_past_its_deadline_is_given_up_and_its_connection_replaced(channel: Channel) -> None:
    first = channel.connect()
    over = threading.Event()
    with pytest.raises(Transient) as failure:
        channel.call("waiting", lambda conn: over.wait(), 0.2)
    over.set()
    assert failure.value.code == "libvirt.timeout"
    assert channel.connect() is not first
    assert channel.call("asking", lambda conn: conn.getHostname())


def test_a_connection_carries_one_call_at_a_time_and_four_are_in_flight(channel: Channel) -> None:
    over = threading.Event()
    begun: list[object] = []

    def hang(conn: object) -> None:
        begun.append(conn)
        over.wait()

    def call() -> None:
        with pytest.raises(MigratorError):
            channel.call("hanging", hang, 5)

    for _ in range(IN_FLIGHT):
        channel.call("asking", lambda conn: conn.getHostname())
    callers = [threading.Thread(target=call) for _ in range(IN_FLIGHT + 2)]
    for caller in callers:
        caller.start()
    eventually(lambda: len(begun) >= IN_FLIGHT)
    assert len(set(map(id, begun))) == len(begun) == IN_FLIGHT
    for caller in callers:
        caller.join()
    over.set()
    assert channel.call("asking", lambda conn: conn.getHostname())


def test_a_connection_on_which_a_call_hangs_is_closed_by_that_call(channel: Channel) -> None:
    over = threading.Event()
    closed_by: list[str] = []
    channel.connect().before_close.append(lambda: closed_by.append(threading.current_thread().name))
    with pytest.raises(Transient):
        channel.call("waiting", lambda conn: over.wait(), 0.2)
    channel.close()
    assert closed_by == []
    over.set()
    eventually(lambda: closed_by == ["libvirt-test"])


def test_a_hung_daemon_costs_its_callers_their_deadline_and_others_nothing(
    lab: LabHosts, channel: Channel
) -> None:
    channel.connect()
    other = Channel(lab.hosts[1]["libvirt_uri"], "test")
    # Others in this lab restart their libvirtd.
    pid = json.loads(lab.lab("hosts", "-f", "json"))[0]["pids"]["libvirtd"]
    os.kill(pid, signal.SIGSTOP)
    try:
        for _ in range(2):
            with pytest.raises(Transient) as failure:
                channel.call("asking", lambda conn: conn.getHostname(), 0.5)
            assert failure.value.code in ("libvirt.timeout", "libvirt.unreachable")
        assert other.call("asking", lambda conn: conn.getHostname(), 5)
    finally:
        os.kill(pid, signal.SIGCONT)
        other.close()
    eventually(lambda: answers(channel))


def answers(channel: Channel) -> bool:
    try:
        return bool(channel.call("asking", lambda conn: conn.getHostname(), 2))
    except Transient:
        return False


def test_a_host_that_is_not_there_is_unreachable_and_says_how_to_check(tmp_path: Path) -> None:
    uri = f"qemu+unix:///system?socket={tmp_path}/none"
    channel = Channel(uri, "test")
    with pytest.raises(Transient) as failure:
        channel.connect()
    assert failure.value.code == "libvirt.unreachable"
    assert uri in failure.value.message


def test_what_libvirt_explains_is_an_error_of_libvirt_and_what_we_refuse_passes(
    channel: Channel,
) -> None:
    with pytest.raises(Transient) as failure:
        channel.call("defining", lambda conn: conn.defineXML("<domain/>"))
    assert failure.value.code == "libvirt.error"
    assert failure.value.message.startswith("defining: ")

    def refuse(_conn: object) -> None:
        raise Refused("pool.missing", "no")

    with pytest.raises(Refused):
        channel.call("refusing", refuse)


def test_replaced_connections_leave_no_sockets_and_no_threads_behind(channel: Channel) -> None:
    channel.connect()
    sockets, threads = open_sockets(), threading.active_count()
    for _ in range(5):
        channel.abandon(channel.connect(), "for the test")
    channel.connect()
    eventually(lambda: open_sockets() <= sockets)
    eventually(lambda: threading.active_count() <= threads)


def open_sockets() -> int:
    names = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            names.append(entry.readlink().name)
        except FileNotFoundError:
            time.sleep(0)
    return sum(name.startswith("socket:") for name in names)
