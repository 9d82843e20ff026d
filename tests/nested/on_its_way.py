"""What must be true of a lab while a guest is on its way, and that somebody sees to it.

One look is cheap, by the service's API, the database, libvirt and /proc: how soon everything holds is
measured with it, and on a busy machine starting a program would be most of what is measured.
"""

from __future__ import annotations

import configparser
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import libvirt
import psycopg

from tests.nested.lab import Document, Host, Moving

WITHIN_S = 120
"""Many times what is promised: how long it took is written down, not asserted."""
GONE = "gone"
NETWORK_NAMESPACES = Path("/run/netns")


@dataclass(frozen=True)
class Led:
    """Who leads a migration, by the database."""

    leader: str | None
    epoch: int
    held: bool
    """Its lease runs, by the database's clock."""


def led(moving: Moving) -> Led:
    """Read from the database itself, which is no process of migrator's."""
    file = configparser.RawConfigParser()
    file.read(moving.lab.endpoint.removeprefix("unix://").replace("api.sock", "migrator.conf"))
    url = file["database"]["connection"].replace("+psycopg", "")
    query = (
        "SELECT leader, epoch, coalesce(lease_until > clock_timestamp(), false)"
        " FROM migrations WHERE id = %s"
    )
    with psycopg.connect(url) as connection:
        row = connection.execute(query, (moving.id,)).fetchone()
    assert row is not None
    return Led(*row)


@dataclass
class Watch:
    """One migration after a fault.

    :param dead: who led it when the conductor that did was hurt: only a later epoch is another's.
    """

    moving: Moving
    guest: str
    dead: Led | None
    seen: object = None
    """How far it was when that was first heard of."""

    def await_held(self) -> None:
        """Until it is led, its transfer is watched, and every rule holds; or it has ended so."""
        deadline = time.monotonic() + WITHIN_S
        while wrong := self._wrong():
            assert time.monotonic() < deadline, "\n".join(["", *wrong, self.moving.story()])
            time.sleep(0.05)

    def _wrong(self) -> list[str]:
        try:
            view = self.moving.show()
            return [*self._cared_for(view), *self._in_one_place(), *self._recorded(view)]
        except (httpx.TransportError, psycopg.Error, libvirt.libvirtError, AssertionError) as error:
            return [f"somebody cannot be asked: {error}"]

    def _cared_for(self, view: Document) -> Iterator[str]:
        """A living conductor leads it, and a living agent tells how far it is."""
        if view["switched_at"] is None and view["finished_at"] is None:
            lead = led(self.moving)
            if self.dead is not None and lead.epoch <= self.dead.epoch:
                yield f"led by {lead.leader} in epoch {lead.epoch}, and that was hurt"
            elif not lead.held:
                yield f"led by nobody: {lead}"
        if view["state"] == "running":
            now = (view["iteration"], view["memory_remaining"])
            self.seen = self.seen or (now if view["memory_total"] else None)
            if not view["memory_total"] or now == self.seen:
                yield f"its transfer is not heard of: {now}"

    def _in_one_place(self) -> Iterator[str]:
        """It executes on one host, with at most one more QEMU that takes it in or has let it go."""
        hosts = self.moving.lab.hosts
        active = [host.name for host in hosts if runs_on(host, self.guest)]
        if len(active) != 1:
            yield f"{self.guest} should run in one place, libvirt says {active}"
        qemus = [host.name for host in hosts for _ in range(qemus_on(host, self.guest))]
        if len(set(qemus)) != len(qemus) or not set(active) <= set(qemus):
            yield f"{self.guest} has a QEMU on {qemus}"

    def _recorded(self, view: Document) -> Iterator[str]:
        """Owner and claims are where the record says that it is, and `migrator-manage verify` agrees."""
        lab = self.moving.lab
        moved = view["switched_at"] is not None or view["state"].startswith("postcopy")
        shown = next(
            each for each in self._mine("instances", "name") if each["status"] != GONE
        )  # the guests of that name before it are remembered
        owner = view["destination"] if moved else view["source"] or shown["host"]
        if (shown["host"], shown["status"]) != (owner, "running"):
            yield f"{self.guest} is recorded {shown['status']} on {shown['host']}, not on {owner}"
        claims = {(each["host"], each["purpose"]) for each in self._mine("claims", "instance")}
        other = "leaving" if moved else "incoming"
        for host, purpose in claims - {(owner, "use")}:
            if purpose != other or host == owner or view["finished_at"] is not None:
                yield f"{self.guest} has a claim on {host} ({purpose})"
        if (owner, "use") not in claims:
            yield f"{self.guest} has no claim on {owner}"
        yield from (f"verify: {each['message']}" for each in lab.verified()["breaches"])

    def _mine(self, what: str, name: str) -> list[Document]:
        every = self.moving.lab.api("v1", what)[what]
        return [each for each in every if each[name] == self.guest]


def runs_on(host: Host, guest: str) -> bool:
    """libvirt says that it executes there."""
    connection = libvirt.openReadOnly(host.libvirt_uri)
    try:
        domains: Mapping[str, libvirt.virDomain] = {
            domain.name(): domain for domain in connection.listAllDomains()
        }
        found = domains.get(guest)
        return found is not None and found.state()[0] == libvirt.VIR_DOMAIN_RUNNING
    finally:
        connection.close()


def qemus_on(host: Host, guest: str) -> int:
    """QEMU processes of the guest in the host's own namespace."""
    namespace = (NETWORK_NAMESPACES / host.name).stat().st_ino
    found = 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = Path("/proc", pid, "cmdline").read_bytes().split(b"\0")
            is_its = any(word.startswith(f"guest={guest},".encode()) for word in words)
            found += is_its and Path("/proc", pid, "ns", "net").stat().st_ino == namespace
        except OSError:
            continue
    return found
