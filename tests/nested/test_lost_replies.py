"""The destination's replies are lost just before the switch: libvirt alone would let two guests run."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import libvirt
import pytest

from tests.nested.lab import SLOWLY, Host, Lab
from tests.nested.verify import verify

pytestmark = pytest.mark.nested

LIBVIRT_PORT = "16509"
WITH_DATA = "81:65535"
"""Bytes of a packet. Bare acknowledgements pass: without them the source's kernel would hold back
the request to finish, and the guest would never be switched."""
WATCHED_S = 40.0
"""libvirt resumes the source 25 s after its keepalive went unanswered."""
EVERY_S = 0.1


@dataclass
class Watch:
    """Which hosts ran the guest, looked at ten times a second."""

    hosts: list[Host]
    guest: str
    seen: list[frozenset[str]] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def _runs_on(self, connection: libvirt.virConnect) -> bool:
        with contextlib.suppress(libvirt.libvirtError):
            state, _ = connection.lookupByName(self.guest).state()
            return bool(state in (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_BLOCKED))
        return False

    def _look(self) -> None:
        libvirt.registerErrorHandler(lambda _context, _error: None, None)
        connections = {host.name: libvirt.open(host.libvirt_uri) for host in self.hosts}
        while not self._stop.wait(EVERY_S):
            self.seen.append(
                frozenset(name for name, each in connections.items() if self._runs_on(each))
            )
        for connection in connections.values():
            connection.close()

    @contextlib.contextmanager
    def going_on(self) -> Iterator[None]:
        looker = threading.Thread(target=self._look)
        looker.start()
        try:
            yield
        finally:
            self._stop.set()
            looker.join()


@contextlib.contextmanager
def replies_dropped(lab: Lab, destination: Host, source: Host) -> Iterator[None]:
    """What the destination's libvirtd answers the source's; everything else passes."""
    rule = ["OUTPUT", "-p", "tcp", "-d", source.address, "--sport", LIBVIRT_PORT]
    rule += ["-m", "length", "--length", WITH_DATA, "-j", "DROP"]
    lab.tool("exec", destination.name, "iptables", "-w", "-I", *rule)
    try:
        yield
    finally:
        lab.tool("exec", destination.name, "iptables", "-w", "-D", *rule)


def dropped_by(lab: Lab, host: Host) -> int:
    """Packets that met the host's first rule."""
    listed = lab.tool("exec", host.name, "iptables", "-w", "-nvxL", "OUTPUT").out
    return int(listed.splitlines()[2].split()[0])


def test_the_guest_runs_on_the_destination_only_and_the_record_says_so(
    lab: Lab, roamer: str
) -> None:
    source = lab.home_of(roamer)
    destination = lab.other(source)
    moving = lab.migrate(roamer, destination, *SLOWLY)
    watch = Watch(list(lab.hosts), roamer)
    with watch.going_on():
        moving.until_memory_flows()
        with replies_dropped(lab, destination, source):
            lab.hurry(roamer, source)
            until = time.monotonic() + WATCHED_S
            moving.until(lambda view: view["switched_at"] is not None)
            time.sleep(max(0.0, until - time.monotonic()))
            assert dropped_by(lab, destination) > 0
        # The destination's agent reaches its libvirt all the while, so this needs no healing.
        ended = moving.until_ended()

    assert not [seen for seen in watch.seen if len(seen) > 1]
    assert watch.seen[-1] == {destination.name}
    assert ended["state"] == "completed", moving.story()
    assert ended["destination"] == destination.name
    assert lab.names_on(source) == []
    verify(lab)
    lab.move(roamer, source)
    verify(lab)
