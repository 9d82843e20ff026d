"""``migrator-manage`` as a person runs it."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from migrator.db import file_lock, schema

Manage = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "migrator.sqlite"


@pytest.fixture
def manage(tmp_path: Path, database: Path) -> Manage:
    """Run it on that database, or on the one of ``connection``."""

    def run(*words: str, connection: str = "") -> subprocess.CompletedProcess[str]:
        file = tmp_path / "migrator.conf"
        file.write_text(f"[database]\nconnection = {connection or f'sqlite:///{database}'}\n")
        program = Path(sys.executable).with_name("migrator-manage")
        command = [program, "--config-file", file, *words]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return run


def test_upgrade_makes_the_database_and_a_second_one_changes_nothing(manage: Manage) -> None:
    first, second = manage("db", "upgrade"), manage("db", "upgrade")
    assert (first.returncode, second.returncode) == (0, 0)
    assert "from empty to" in first.stdout
    assert "nothing to do" in second.stdout
    assert manage("db", "check").returncode == 0


def test_looking_does_not_make_a_database(manage: Manage, database: Path) -> None:
    done = manage("db", "version", "-f", "json")
    assert json.loads(done.stdout) == {"found": None, "wanted": schema.head(), "current": False}
    assert not database.exists()


def test_check_of_an_empty_database_says_what_to_run(manage: Manage, database: Path) -> None:
    sqlite3.connect(database).close()
    done = manage("db", "check")
    assert done.returncode == 2
    assert done.stderr.startswith("database.revision: ")
    assert "migrator-manage db upgrade" in done.stderr


def test_a_database_of_a_newer_release_is_left_alone(manage: Manage, database: Path) -> None:
    manage("db", "upgrade")
    with sqlite3.connect(database) as connection:
        connection.execute(f"UPDATE {schema.VERSION_TABLE} SET version_num = '9999'")
    done = manage("db", "check", "-f", "json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["found"] == "9999"
    assert "newer migrator" in done.stderr


def test_a_database_of_a_newer_release_is_not_upgraded(manage: Manage, database: Path) -> None:
    manage("db", "upgrade")
    with sqlite3.connect(database) as connection:
        connection.execute(f"UPDATE {schema.VERSION_TABLE} SET version_num = '9999'")
    done = manage("db", "upgrade")
    assert done.returncode == 3
    assert done.stderr.startswith("database.revision: ")
    assert schema.current(f"sqlite:///{database}") == "9999"


@pytest.mark.parametrize("words", ["db version", "db check", "db upgrade"])
def test_a_damaged_file_is_left_alone_and_says_what_to_do(
    manage: Manage, database: Path, words: str
) -> None:
    database.write_bytes(b"this was a database once" * 500)
    done = manage(*words.split())
    assert done.returncode == 3
    assert done.stderr.startswith("database.damaged: ")
    assert "restore a backup" in done.stderr
    assert database.read_bytes() == b"this was a database once" * 500


def test_a_database_in_use_is_not_upgraded(manage: Manage, database: Path) -> None:
    lock = file_lock.hold(f"sqlite:///{database}")
    try:
        done = manage("db", "upgrade")
    finally:
        lock.release()
    assert done.returncode == 2
    assert done.stderr.startswith("database.in_use: ")
    assert f"process {os.getpid()}" in done.stderr
    assert manage("db", "upgrade").returncode == 0


def test_a_server_that_is_away_is_no_refusal(manage: Manage) -> None:
    done = manage("db", "version", connection="postgresql+psycopg://u:hidden@127.0.0.1:1/x")
    assert done.returncode == 3
    assert done.stderr.startswith("database.unreachable: ")
    assert "hidden" not in done.stderr


@pytest.mark.parametrize(
    "connection", ["mysql://x/y", "sqlite://", "nonsense", "sqlite:////tmp", "sqlite:////tmp/x%00"]
)
def test_another_kind_of_database_is_refused(manage: Manage, connection: str) -> None:
    done = manage("db", "upgrade", connection=connection)
    assert done.returncode == 2
    assert done.stderr.startswith("config.invalid: ")


def test_a_directory_that_is_missing_is_named(manage: Manage, tmp_path: Path) -> None:
    done = manage("db", "upgrade", connection=f"sqlite:///{tmp_path}/nowhere/m.sqlite")
    assert done.returncode == 2
    assert "nowhere" in done.stderr


@pytest.mark.parametrize("words", [(), ("db",), ("db", "downgrade")])
def test_an_unknown_command_exits_2(manage: Manage, words: tuple[str, ...]) -> None:
    assert manage(*words).returncode == 2
