"""Real databases for the contract suites: an SQLite file and a private PostgreSQL server."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import text

from migrator.db import schema
from migrator.db.engine import Database
from migrator.db.stores import open_stores
from migrator.db.tables import metadata
from tests.contract.database_world import SteppingClock, World

REQUIRED_BY = ("CI", "MIGRATOR_REQUIRE_DATABASES", "MIGRATOR_REQUIRE_BROKER")
"""Variables under which a missing PostgreSQL is a failure."""

START_S = "60"


def _server_programs() -> Path | None:
    versions = Path("/usr/lib/postgresql")
    found = sorted(versions.glob("*/bin/initdb"), key=lambda path: float(path.parts[4]))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


@dataclass(frozen=True)
class PostgresServer:
    """A PostgreSQL of this test session on loopback: own directory, own port, gone afterwards."""

    programs: Path
    home: Path
    port: int

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://migrator@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        data = self.home / "data"
        initdb = "-U migrator -A trust -E UTF8 --no-sync --locale=C.UTF-8"
        self._run("initdb", *initdb.split(), "-D", str(data))
        options = f"-p {self.port} -k {self.home} -h 127.0.0.1 -F -c max_connections=120"
        log = str(self.home / "log")
        self._run("pg_ctl", "-D", str(data), "-w", "-t", START_S, "-l", log, "-o", options, "start")

    def stop(self) -> None:
        with contextlib.suppress(subprocess.CalledProcessError):
            self._run("pg_ctl", "-D", str(self.home / "data"), "-m", "immediate", "stop")
        shutil.rmtree(self.home, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        # The server refuses to run as root.
        other: Sequence[str] = ("runuser", "-u", "postgres", "--") if os.geteuid() == 0 else ()
        command = [*other, str(self.programs / program), *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=self.home)


@contextlib.contextmanager
def private_postgres() -> Iterator[str | None]:
    """The address of an empty database on a server of our own; None where it is not installed."""
    programs = _server_programs()
    if programs is None:
        yield None
        return
    home = Path(tempfile.mkdtemp(prefix="migrator-pg-"))
    if os.geteuid() == 0:
        owner = pwd.getpwnam("postgres")
        os.chown(home, owner.pw_uid, owner.pw_gid)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    server = PostgresServer(programs, home, port)
    try:
        server.start()
        yield server.url
    finally:
        server.stop()


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The address of an empty database on a server of our own."""
    with private_postgres() as url:
        if url is None:
            reason = "PostgreSQL is not installed: apt-get install postgresql"
            if any(os.environ.get(variable) for variable in REQUIRED_BY):
                pytest.fail(reason)
            pytest.skip(reason)
        yield url


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file at the current revision, to be copied."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    schema.upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def migrated_postgres(postgres_url: str) -> str:
    schema.upgrade(postgres_url)
    return postgres_url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.broker)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty database at the current revision."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("migrated_sqlite"), tmp_path / "migrator.db")
        database = Database(f"sqlite:///{tmp_path}/migrator.db")
    else:
        database = Database(request.getfixturevalue("migrated_postgres"))
        with database.writer() as connection:
            tables = ", ".join(metadata.tables)
            connection.execute(text(f"TRUNCATE {tables} RESTART IDENTITY CASCADE"))
    yield database
    database.close()


@pytest.fixture
def world(database: Database) -> World:
    """Hosts h1, h2 and h3, and nothing else."""
    clock = SteppingClock()
    made = World(database, open_stores(database, clock.now), clock)
    for name in ("h1", "h2", "h3"):
        made.host(name)
    return made
