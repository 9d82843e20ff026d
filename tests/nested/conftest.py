"""Two labs for the whole run: everything in one process, and everything in its own with RabbitMQ."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

from tests.nested.lab import Lab, Moving

ROAMER = ("--memory", "192", "--dirty", "32", "--dirty-rate", "4")
"""A guest that writes to its memory, and does not converge at 2 MiB/s."""


def _running(name: str, *options: str) -> Iterator[Lab]:
    lab = Lab(name, ["--hosts", "2", *options])
    try:
        lab.up()
        yield lab
    finally:
        lab.tool("down")


@pytest.fixture(scope="session")
def standalone() -> Iterator[Lab]:
    """Two hosts and migrator-standalone."""
    if os.geteuid() != 0 or shutil.which("libvirtd") is None:
        pytest.skip("needs root and libvirt: tools/setup lab")
    yield from _running(f"t{os.getpid()}")


@pytest.fixture(scope="session")
def distributed() -> Iterator[Lab]:
    """Two hosts, RabbitMQ, PostgreSQL, two conductors, an API and an agent for each host."""
    if shutil.which("rabbitmq-server") is None and not os.path.exists("/usr/lib/rabbitmq"):
        pytest.skip("needs RabbitMQ and PostgreSQL: tools/setup broker")
    yield from _running(f"b{os.getpid()}", "--broker", "rabbit", "--conductors", "2")


@pytest.fixture
def lab(standalone: Lab) -> Iterator[Lab]:
    """The standalone lab, mended when a test leaves it hurt."""
    yield from _mended(standalone)


@pytest.fixture
def broker_lab(distributed: Lab) -> Iterator[Lab]:
    """The distributed lab, mended likewise."""
    yield from _mended(distributed)


def _mended(lab: Lab) -> Iterator[Lab]:
    yield lab
    if lab.hurt:
        lab.up()


@pytest.fixture
def roamer(lab: Lab) -> str:
    """A healthy guest that dirties memory; it lives through many tests and may be anywhere."""
    return _roamer(lab)


@pytest.fixture
def broker_roamer(broker_lab: Lab) -> str:
    """The same in the distributed lab."""
    return _roamer(broker_lab)


def _roamer(lab: Lab) -> str:
    for each in lab.api("v1", "migrations", active="true")["migrations"]:
        Moving(lab, each["id"]).until_ended()
    states = [lab.state_on(host, "roamer") for host in lab.hosts]
    if sorted(states) != ["", "running"]:
        lab.tool("remove", "roamer")
        lab.await_gone("roamer")
        lab.boot("roamer", lab.hosts[0], *ROAMER)
    return "roamer"
