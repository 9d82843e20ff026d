"""``migrator-status check``: what it finds without any host, and how it says so."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from migrator import status
from migrator.compute_agent.libvirt_probe import HostLook
from migrator.db import schema
from migrator.status import Row

CONFIGURATION = """
[DEFAULT]
transport_url = {transport}
state_path = {path}
migration_encryption = {encryption}
[database]
connection = sqlite:///{path}/m.sqlite
[fleet]
hosts = h1
[host:h1]
libvirt_uri = qemu+unix:///system?socket={path}/nobody
peer_uri = {peer}
control_address = 127.0.0.1
"""


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    return write(tmp_path)


def write(
    path: Path,
    transport: str = "inproc://",
    encryption: str = "required",
    peer: str = "qemu+tls://h1.example/system",
) -> Path:
    file = path / "migrator.conf"
    file.write_text(
        CONFIGURATION.format(path=path, transport=transport, encryption=encryption, peer=peer)
    )
    return file


def rows(file: Path) -> Mapping[str, Row]:
    return {row.check: row for row in status.run_checks(["--config-file", str(file)])}


def test_a_database_that_does_not_exist_yet_is_fine_and_stays_so(
    configuration: Path, tmp_path: Path
) -> None:
    assert rows(configuration)["database"].result == "ok"
    assert not (tmp_path / "m.sqlite").exists()


def test_a_database_at_another_revision_is_found(configuration: Path, tmp_path: Path) -> None:
    schema.upgrade(f"sqlite:///{tmp_path}/m.sqlite")
    with sqlite3.connect(tmp_path / "m.sqlite") as connection:
        connection.execute(f"UPDATE {schema.VERSION_TABLE} SET version_num = '9999'")
    row = rows(configuration)["database"]
    assert row.result == "failed"
    assert row.why.startswith("database.revision: ")


def test_a_dead_broker_is_found(tmp_path: Path) -> None:
    row = rows(write(tmp_path, transport="rabbit://u:hidden@127.0.0.1:1/"))["broker"]
    assert row.result == "failed"
    assert row.why.startswith("rpc.unreachable: ")
    assert "hidden" not in row.why


def test_a_libvirt_that_does_not_answer_is_found(configuration: Path) -> None:
    row = rows(configuration)["libvirt h1"]
    assert row.result == "failed"
    assert row.why.startswith("libvirt.unreachable: ")


def test_a_peer_uri_in_the_clear_is_found_where_encryption_is_required(tmp_path: Path) -> None:
    row = rows(write(tmp_path, peer="qemu+tcp://h1.example/system"))["encryption h1"]
    assert row.result == "failed"
    assert "tls.required" in row.why


def test_a_peer_uri_that_takes_any_certificate_is_found(tmp_path: Path) -> None:
    row = rows(write(tmp_path, peer="qemu+tls://h1.example/system?no_verify=1"))["encryption h1"]
    assert row.result == "failed"


def test_migrations_in_the_clear_are_warned_of(tmp_path: Path) -> None:
    assert rows(write(tmp_path, encryption="off"))["encryption"].result == "warning"


def test_under_an_invalid_configuration_nothing_else_is_looked_at(tmp_path: Path) -> None:
    found = rows(write(tmp_path, encryption="sometimes"))
    assert list(found) == ["configuration"]
    assert found["configuration"].why.startswith("config.invalid: ")


def test_hosts_that_guests_could_not_move_back_to_are_named() -> None:
    newer, older = HostLook(10_000_000, 8_000_000, "", ()), HostLook(9_000_000, 8_000_000, "", ())
    [row] = status.check_versions({"h1": newer, "h2": older})
    assert row.result == "warning"
    assert row.why.startswith("h2: ")
    assert list(status.check_versions({"h1": newer, "h2": newer})) == []


def test_a_problem_exits_2_and_json_is_all_there_is_on_stdout(configuration: Path) -> None:
    program = Path(sys.executable).with_name("migrator-status")
    command = [program, "--config-file", configuration, "check", "-f", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert {row["check"] for row in json.loads(done.stdout)} >= {"database", "broker", "libvirt h1"}
    assert done.stderr == ""
