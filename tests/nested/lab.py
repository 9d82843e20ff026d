"""A lab of nested libvirt hosts as the tests drive it: by its commands, virsh and the service's API."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx

TOP = Path(__file__).parents[2]
BIN = TOP / ".venv" / "bin"
TOOL = TOP / "tools" / "lab"
BEAT = "heartbeat n="
FAULTS = frozenset({"kill", "stop", "cut", "limit"})
SLOWLY = ("--bandwidth", "2")
"""Options of a migration that does not end by itself: the guest writes more than that."""
FAST_MIB_S = "4000"

Document = dict[str, Any]


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document on its stdout."""
        return json.loads(self.out)

    @property
    def code(self) -> str:
        """The error code of the first line on stderr that carries one."""
        for line in self.err.splitlines():
            head, colon, _ = line.partition(": ")
            if colon and "." in head and " " not in head:
                return head
        return ""


@dataclass(frozen=True)
class Host:
    """One nested host."""

    name: str
    libvirt_uri: str
    peer_uri: str
    address: str
    pools: Mapping[str, str] = field(hash=False)


@dataclass(frozen=True)
class Moving:
    """A migration that was asked for."""

    lab: Lab
    id: str

    def show(self) -> Document:
        """As the API shows it now."""
        return self.lab.api("v1", "migrations", self.id)

    def events(self) -> Sequence[Document]:
        """What has happened to it."""
        return list(self.lab.api("v1", "migrations", self.id, "events")["events"])

    def until(self, wanted: Callable[[Document], bool], within_s: float = 90) -> Document:
        """Its view as soon as the condition holds."""
        view: Document = {}

        def look() -> bool:
            nonlocal view
            view = self.show()
            return wanted(view)

        await_(look, f"migration {self.id}", within_s, lambda: f"{view}\n{self.story()}")
        return view

    def until_memory_flows(self) -> Document:
        """In the middle of the transfer."""
        return self.until(lambda view: view["state"] == "running" and bool(view["memory_total"]))

    def until_ended(self, within_s: float = 90) -> Document:
        """How it ended."""
        return self.until(lambda view: view["finished_at"] is not None, within_s)

    def story(self) -> str:
        """Its events, one line each."""
        return "\n".join(f"{event['kind']}: {event['text']}" for event in self.events())


@dataclass
class Lab:
    """One running lab.

    :param guests: name -> the domain state it is left in, of every guest a test has made.
    :param hurt: something was killed or cut, and not mended since.
    """

    name: str
    options: Sequence[str]
    hosts: Sequence[Host] = ()
    guests: dict[str, str] = field(default_factory=dict)
    endpoint: str = ""
    hurt: bool = False

    # -- commands

    def tool(self, *words: str, check: bool = True) -> Done:
        """One verb of tools/lab."""
        self.hurt = (self.hurt or words[0] in FAULTS) and words[0] != "heal"
        done = run([TOOL, *words], self._environment)
        assert done.status == 0 or not check, f"tools/lab {' '.join(words)}: {done.err}"
        return done

    def migrator(self, *words: str) -> Done:
        """The operator's command line."""
        return run([BIN / "migrator", *words], self._environment)

    def verify(self) -> Done:
        """The operator's verification."""
        return run([BIN / "migrator-manage", "verify"], self._environment)

    def virsh(self, host: Host, *words: str, check: bool = True) -> str:
        """What a host's own libvirt says."""
        done = run(["virsh", "-q", "-c", host.libvirt_uri, *words], self._environment)
        assert done.status == 0 or not check, f"virsh {' '.join(words)}: {done.err}"
        return done.out.strip()

    @property
    def _environment(self) -> Mapping[str, str]:
        return {**os.environ, "MIGRATOR_LAB": self.name, "MIGRATOR_ENDPOINT": self.endpoint}

    def up(self) -> None:
        """Start it, or what has died of it."""
        self.tool("up", *self.options)
        self.hurt = False
        self.hosts = [
            Host(**{key: each[key] for key in Host.__dataclass_fields__})
            for each in self.describe()
        ]
        exports = dict(
            line.removeprefix("export ").split("=", 1) for line in self.tool("env").out.splitlines()
        )
        self.endpoint = exports["MIGRATOR_ENDPOINT"]

    def describe(self) -> Sequence[Document]:
        """tools/lab hosts, which asks no daemon."""
        return list(self.tool("hosts", "-f", "json").json)

    def api(self, *path: str, **query: str) -> Document:
        """GET it."""
        return self._request("GET", "/".join(("", *path)), params=query)

    def verified(self) -> Document:
        """What :meth:`verify` prints, without the command."""
        return self._request("POST", "/v1/verify", json={"repair": False})

    def _request(self, method: str, path: str, **what: Any) -> Document:
        transport = httpx.HTTPTransport(uds=self.endpoint.removeprefix("unix://"))
        with httpx.Client(transport=transport, base_url="http://lab", timeout=20) as client:
            answer = client.request(method, path, **what)
        document: Document = answer.json()
        assert answer.status_code == 200, document
        return document

    # -- hosts

    def host(self, name: str) -> Host:
        return next(host for host in self.hosts if host.name == name)

    def other(self, host: Host) -> Host:
        """The one of the two that is not it."""
        return next(each for each in self.hosts if each != host)

    def names_on(self, host: Host) -> Sequence[str]:
        """Every domain a host's libvirt knows, running or not."""
        return self.virsh(host, "list", "--all", "--name").split()

    def state_on(self, host: Host, guest: str) -> str:
        """libvirt's word for it; empty when the host does not know the guest."""
        return self.virsh(host, "domstate", guest, check=False)

    def xml_on(self, host: Host, guest: str, *options: str) -> ElementTree.Element:
        return ElementTree.fromstring(self.virsh(host, "dumpxml", guest, *options))

    def autostarts_on(self, host: Host) -> Sequence[str]:
        return self.virsh(host, "list", "--all", "--autostart", "--name").split()

    def definitions(self) -> Mapping[str, Sequence[str]]:
        """All that every host's libvirt has about every domain, byte by byte."""
        return {
            f"{host.name}/{guest}": [
                self.virsh(host, "dumpxml", guest),
                self.virsh(host, "dumpxml", "--inactive", guest),
                self.virsh(host, "domstate", "--reason", guest),
                f"autostart: {guest in self.autostarts_on(host)}",
            ]
            for host in self.hosts
            for guest in self.names_on(host)
        }

    # -- guests

    def boot(self, name: str, host: Host, *options: str) -> str:
        """A guest that lives and is known to the service."""
        self.tool("guest", name, "--host", host.name, *options)
        self.guests[name] = "running"
        return name

    def discard(self, name: str) -> None:
        """Take a guest away for good."""
        self.tool("remove", name)
        self.guests.pop(name, None)
        self.await_gone(name)

    def await_gone(self, name: str) -> None:
        """Until the service has noticed too."""

        def gone() -> bool:
            known = self.api("v1", "instances")["instances"]
            return all(each["status"] == "gone" for each in known if each["name"] == name)

        await_(gone, f"the service forgets {name}")

    def home_of(self, guest: str) -> Host:
        """The host that runs it, by its QEMU process."""
        homes = [each["name"] for each in self.describe() if guest in each["pids"]["qemu"]]
        assert len(homes) == 1, f"{guest} has a QEMU on {homes}"
        return self.host(homes[0])

    def console(self, guest: str) -> str:
        return self.tool("log", guest).out

    def beats(self, guest: str) -> Sequence[Mapping[str, str]]:
        """The fields of every heartbeat it printed, in order."""
        return [
            dict(word.split("=", 1) for word in line.split()[1:])
            for line in self.console(guest).splitlines()
            if line.startswith(BEAT) and "writes=" in line
        ]

    # -- migrations

    def migrate(self, guest: str, to: Host, *options: str) -> Moving:
        """Ask for it; the service has accepted."""
        done = self.migrator("migrate", guest, "--host", to.name, *options, "-f", "json")
        assert done.status == 0, done.err
        return Moving(self, done.json["id"])

    def hurry(self, guest: str, source: Host) -> None:
        """Have the source's libvirt send as fast as it can, so that the switch is near."""
        self.virsh(source, "migrate-setspeed", guest, FAST_MIB_S)

    def move(self, guest: str, to: Host, *options: str) -> Document:
        """Migrate and wait; completed."""
        done = self.migrator("migrate", guest, "--host", to.name, "--wait", *options, "-f", "json")
        assert done.status == 0, done.err
        view: Document = done.json
        assert view["state"] == "completed"
        return view


def run(command: Sequence[str | Path], environment: Mapping[str, str]) -> Done:
    """To its end, both outputs kept apart."""
    done = subprocess.run(
        list(map(str, command)),
        env=dict(environment),
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        stdin=subprocess.DEVNULL,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def await_(
    condition: Callable[[], bool],
    what: str,
    within_s: float = 30,
    why: Callable[[], str] = lambda: "",
) -> None:
    """Poll until it holds."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s:.0f} s: {what}\n{why()}"
        time.sleep(0.1)
