"""Conductors' wall clock is the database's, whatever their machines' clocks say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from migrator.db.clock import READ_AGAIN_S, DatabaseClock
from migrator.db.engine import Database
from migrator.errors import Transient

NOON = datetime(2026, 5, 6, 12, 0, 0, tzinfo=UTC)


class Machine:
    """An hour ahead of the database's, and of a steady clock that only a test moves."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> datetime:
        return NOON + timedelta(hours=1)

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


class Told:
    """What the database's clock says."""

    def __init__(self) -> None:
        self.now = NOON


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def database(tmp_path: Path, told: Told) -> Database:
    return Database(f"sqlite:///{tmp_path}/test.db", lambda: told.now)


def test_a_machine_an_hour_ahead_writes_the_databases_time(database: Database) -> None:
    machine = Machine()
    clock = DatabaseClock(database, machine)
    assert clock.now() == NOON
    machine.sleep(2.5)
    assert clock.now() == NOON + timedelta(seconds=2.5)


def test_it_is_read_once_in_a_while_and_then_followed(database: Database, told: Told) -> None:
    machine = Machine()
    clock = DatabaseClock(database, machine)
    clock.now()
    read = database.statements
    told.now = NOON + timedelta(hours=3)
    machine.sleep(READ_AGAIN_S - 1)
    assert clock.now() == NOON + timedelta(seconds=READ_AGAIN_S - 1)
    assert database.statements == read
    machine.sleep(2)
    assert clock.now() == NOON + timedelta(hours=3)


def test_it_goes_on_while_the_database_is_away(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    database = Database(f"sqlite:///{home}/test.db", lambda: NOON)
    machine = Machine()
    clock = DatabaseClock(database, machine)
    assert clock.now() == NOON
    database.close()
    home.rename(tmp_path / "elsewhere")
    machine.sleep(READ_AGAIN_S + 1)
    assert clock.now() == NOON + timedelta(seconds=READ_AGAIN_S + 1)


def test_one_that_was_never_read_says_so(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/nowhere/test.db", lambda: NOON)
    with pytest.raises(Transient):
        DatabaseClock(database, Machine()).now()
