"""A private PostgreSQL server on the loopback address."""

import signal
from pathlib import Path

from nested.errors import LabError
from nested.processes import (
    MARK,
    Process,
    Registry,
    all_pids,
    end,
    identify,
    parent,
    run,
    wait_until,
)
from nested.record import Record

NAME = "database"
START_SECONDS = 30


def ensure(record: Record) -> list[str]:
    """Make the data directory, start the server, make the database: what of it is missing."""
    registry, binaries = Registry(record.layout), newest_binaries()
    started = []
    if registry.get(NAME) is None:
        data = _data_directory(record, binaries)
        registry.spawn(NAME, [binaries / "postgres", "-D", data], user="postgres", cwd=data)
        started.append(NAME)
    ready = (
        binaries / "pg_isready",
        "-q",
        "-h",
        "127.0.0.1",
        "-p",
        str(record.ports["postgresql"]),
        "-d",
        "postgres",
    )
    if (
        not wait_until(lambda: _succeeds(ready) or registry.get(NAME) is None, START_SECONDS, 0.1)
        or registry.get(NAME) is None
    ):
        raise LabError("database.start", f"PostgreSQL did not start:\n{registry.log_tail(NAME)}")
    _ensure_database(record, binaries)
    return started


def newest_binaries() -> Path:
    """Return the directory of the newest installed server."""
    versions = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: float(path.parts[4])
    )
    if not versions:
        raise LabError(
            "database.missing", "PostgreSQL is not installed; 'tools/setup broker' installs it."
        )
    return versions[-1].parent


def _data_directory(record: Record, binaries: Path) -> Path:
    home = record.layout.bulk / "database"
    data = home / "data"
    _release(data)
    if (data / "ready").exists():
        return data
    run("rm", "-rf", home)
    home.mkdir(mode=0o700)
    password = home / "password"
    password.write_text(record.password)
    run("chown", "-R", "postgres:", home)
    as_postgres = (
        "setpriv",
        "--reuid",
        "postgres",
        "--regid",
        "postgres",
        "--clear-groups",
        "env",
        "--chdir",
        home,
        f"{MARK}={record.layout.state}",
    )
    run(
        *as_postgres,
        binaries / "initdb",
        "-D",
        data,
        "-U",
        "migrator",
        "--auth=scram-sha-256",
        f"--pwfile={password}",
        "--encoding=UTF8",
        "--no-locale",
        "--no-sync",
        "--no-instructions",
    )
    # No fsync: what is killed in the lab is processes, and what a process has written survives it.
    with (data / "postgresql.conf").open("a") as settings:
        settings.write(
            f"listen_addresses = '127.0.0.1'\nport = {record.ports['postgresql']}\n"
            f"unix_socket_directories = ''\nfsync = off\nmax_connections = 300\n"
            "dynamic_shared_memory_type = mmap\n"
        )
    (data / "ready").touch()
    return data


def _ensure_database(record: Record, binaries: Path) -> None:
    query = (
        binaries / "psql",
        "-X",
        "-A",
        "-t",
        "-v",
        "ON_ERROR_STOP=1",
        "-d",
        f"postgresql://migrator:{record.password}@127.0.0.1:{record.ports['postgresql']}/postgres",
    )
    if run(*query, "-c", "SELECT 1 FROM pg_database WHERE datname = 'migrator'").strip() != "1":
        run(*query, "-c", "CREATE DATABASE migrator")


def _succeeds(command: tuple[str | Path, ...]) -> bool:
    try:
        run(*command)
    except LabError:
        return False
    return True


def processes(record: Record) -> list[Process]:
    """Return the server and its workers, which lead sessions of their own."""
    server = Registry(record.layout).get(NAME)
    workers = [identify(pid) for pid in all_pids() if server and parent(pid) == server.pid]
    return [process for process in [server, *workers] if process]


def stop(record: Record) -> None:
    """End the server in order, so that it takes its shared memory along; after a dead one we do it."""
    process = Registry(record.layout).get(NAME)
    if process:
        end([process], signal.SIGINT, patience=5)
    _release(record.layout.bulk / "database" / "data")


def _release(data: Path) -> None:
    """Take away what a killed server leaves: its lock, and the shared memory named in it."""
    lock = data / "postmaster.pid"
    if not lock.exists():
        return
    lines = lock.read_text().splitlines()
    segment = lines[6].split() if len(lines) > 6 else []
    if len(segment) == 2:
        run("ipcrm", "-m", segment[1], check=False)
    lock.unlink()
