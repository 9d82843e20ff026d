"""Everything in one process, with hosts that do not answer: it must come up and wait for them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from migrator.db import schema

CONFIGURATION = """
[DEFAULT]
state_path = {path}
migration_encryption = off
[database]
connection = sqlite:///{path}/m.sqlite
[api]
listen = unix://{path}/{name}.sock
[fleet]
hosts = h1, h2
[host:h1]
libvirt_uri = qemu+unix:///system?socket={path}/h1
peer_uri = qemu+tcp://127.0.0.11/system
control_address = 127.0.0.11
[host:h2]
libvirt_uri = qemu+unix:///system?socket={path}/h2
peer_uri = qemu+tcp://127.0.0.12/system
control_address = 127.0.0.12
"""

Launch = Callable[[str], subprocess.Popen[str]]


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    """Start one; both of a test share the database."""
    running = []

    def start(name: str) -> subprocess.Popen[str]:
        file = tmp_path / f"{name}.conf"
        file.write_text(CONFIGURATION.format(path=tmp_path, name=name))
        program = Path(sys.executable).with_name("migrator-standalone")
        process = subprocess.Popen(
            [program, "--config-file", file],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


def wait_until_ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert any("is ready" in line for line in process.stdout)


def test_hosts_that_do_not_answer_do_not_keep_it_from_starting(
    launch: Launch, tmp_path: Path
) -> None:
    process = launch("first")
    wait_until_ready(process)
    transport = httpx.HTTPTransport(uds=str(tmp_path / "first.sock"))
    with httpx.Client(transport=transport, base_url="http://migrator") as client:
        hosts = client.get("/v1/hosts").json()
    assert {host["name"]: host["alive"] for host in hosts["hosts"]} == {"h1": False, "h2": False}
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_a_second_one_on_the_same_database_is_refused(launch: Launch) -> None:
    first = launch("first")
    wait_until_ready(first)
    second = launch("second")
    _, errors = second.communicate(timeout=60)
    assert second.returncode == 2
    assert errors.startswith("database.in_use: ")
    assert f"process {first.pid}" in errors


def test_after_a_kill_the_next_one_gets_the_database(launch: Launch) -> None:
    first = launch("first")
    wait_until_ready(first)
    first.kill()
    first.wait(timeout=60)
    wait_until_ready(launch("first"))


def test_a_database_of_another_release_is_refused_untouched(launch: Launch, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/m.sqlite"
    database = schema.Database(url)
    with database.writer() as connection:
        connection.exec_driver_sql(f"CREATE TABLE {schema.VERSION_TABLE} (version_num TEXT)")
        connection.exec_driver_sql(f"INSERT INTO {schema.VERSION_TABLE} VALUES ('9999')")
    database.close()
    process = launch("first")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 3
    assert errors.startswith("database.revision: ")
    assert schema.current(url) == "9999"
