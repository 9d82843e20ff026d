"""With migration_encryption = required nobody on the wire reads a guest, neither its memory nor its
disks, live or cold.

Part of the full sweep: its hosts have certificates, and so are a lab of their own.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.nested.lab import Host, Lab, await_
from tests.nested.test_copied_disks import UNUSED, healthy, names, volume
from tests.nested.verify import verify

pytestmark = pytest.mark.nested

DISKS = ("--memory", "128", "--disk", "local:48:raw", "--disk", "local:16:qcow2")
MIB = 1024 * 1024
SECRET = b"what nobody else may read. " * 64
ON_DISK = 8 * MIB
IN_MEMORY = b"Linux version 6."
"""Every kernel has it in its memory."""
EVERY_PROTOCOL = 3
SHOWN = ("server-cert.pem", "server-key.pem")
PLANES = ("control0", "migration0")


@pytest.fixture(scope="module")
def encrypted() -> Iterator[Lab]:
    lab = Lab(f"s{os.getpid()}", ["--hosts", "2", "--tls"])
    try:
        lab.up()
        yield lab
    finally:
        lab.tool("down")


class Wire:
    """What went over a host's cables."""

    def __init__(self) -> None:
        self.bytes = 0
        self.seen: set[bytes] = set()

    def passed(self, frame: bytes) -> None:
        self.bytes += len(frame)
        self.seen |= {each for each in (SECRET[:64], IN_MEMORY) if each in frame}


@contextmanager
def tapped(lab: Lab, host: Host) -> Iterator[Wire]:
    """Reads along on both planes, from the machine's end of the cables."""
    wire, ended = Wire(), threading.Event()
    looked = lab.tool("exec", host.name, "ip", "-j", "link").json
    peers = [each["link_index"] for each in looked if each["ifname"] in PLANES]
    ports = [name for index, name in socket.if_nameindex() if index in peers]
    assert len(ports) == len(PLANES), looked
    taps = [socket.socket(socket.AF_PACKET, socket.SOCK_RAW, EVERY_PROTOCOL) for _ in ports]

    def read(tap: socket.socket) -> None:
        while not ended.is_set():
            try:
                wire.passed(tap.recv(65536))
            except TimeoutError:
                continue

    threads = [threading.Thread(target=read, args=(tap,), daemon=True) for tap in taps]
    for tap, port, thread in zip(taps, ports, threads, strict=True):
        tap.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * MIB)
        tap.settimeout(0.2)
        tap.bind((port, EVERY_PROTOCOL))
        thread.start()
    try:
        yield wire
    finally:
        ended.set()
        for thread in threads:
            thread.join()
        for tap in taps:
            tap.close()


def fill(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(UNUSED)
        file.write((SECRET * (ON_DISK // len(SECRET) + 1))[:ON_DISK])


def test_an_encrypted_guest_is_not_read_on_its_way(encrypted: Lab) -> None:
    lab = encrypted
    source, destination = lab.hosts
    guest = lab.boot("secretive", source, *DISKS)
    fill(volume(source, f"{guest}-vda"))

    with tapped(lab, source) as wire:
        lab.move(guest, destination)
    assert wire.bytes > ON_DISK + 16 * MIB
    assert wire.seen == set()
    assert lab.home_of(guest) == destination
    assert f"{guest}-vda" in names(destination)
    healthy(lab, guest)
    verify(lab)

    with tapped(lab, source) as wire:
        lab.move(guest, source, "--kind", "cold")
    assert wire.bytes > ON_DISK
    assert wire.seen == set()
    verify(lab)


def test_a_destination_with_anothers_certificate_is_not_trusted(encrypted: Lab) -> None:
    """Both are the authority's; the name in it counts."""
    lab = encrypted
    guest = lab.boot("wary", lab.hosts[0], "--memory", "128", "--disk", "local:16:raw")
    destination = lab.hosts[1]
    mine, theirs = (certificates(host) for host in lab.hosts)
    kept = {name: (theirs / name).read_bytes() for name in SHOWN}
    try:
        for name in SHOWN:
            (theirs / name).write_bytes((mine / name).read_bytes())
        ended = lab.migrate(guest, destination).until_ended()
    finally:
        for name, content in kept.items():
            (theirs / name).write_bytes(content)
    assert (ended["state"], ended["error_code"]) == ("failed", "transfer.failed")
    assert "certificate" in ended["error"].lower()
    assert lab.home_of(guest) == lab.hosts[0]
    verify(lab)
    lab.discard(guest)


def certificates(host: Host) -> Path:
    """Where the lab keeps what the host shows."""
    return Path(host.peer_uri.partition("pkipath=")[2])


def test_the_tap_reads_what_is_not_encrypted(encrypted: Lab) -> None:
    """Otherwise it would prove nothing."""
    here, there = encrypted.hosts
    send = f"printf '%s' '{SECRET[:64].decode()}' > /dev/udp/{there.address}/9"
    with tapped(encrypted, here) as wire:
        encrypted.tool("exec", here.name, "bash", "-c", send)
        await_(lambda: bool(wire.seen), "the tap reads")
