"""An SQLite database belongs to one process at a time.

SQLite itself lets several processes in; two conductors on one file would each believe to be the only
one. The lock is the kernel's, on a file beside the database, and ends with its holder however that
ends. What the file says is for people only.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from migrator.db.engine import parse_url
from migrator.errors import Refused


class FileLock:
    """Held until it is released or the process ends."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def lock_path(url: str) -> Path | None:
    """The lock's file; None for a database that is not a file."""
    parsed = parse_url(url)
    if parsed.get_backend_name() != "sqlite":
        return None
    return Path(f"{parsed.database}.lock")


def is_missing(url: str) -> bool:
    """Whether it is a file that does not exist; looking into it would make it."""
    parsed = parse_url(url)
    return parsed.get_backend_name() == "sqlite" and not Path(str(parsed.database)).exists()


def hold(url: str) -> FileLock:
    """Take the database for this process; a server's database needs no taking.

    :raises Refused: ``database.in_use`` (facts ``pid``) while another process holds it;
        ``config.invalid`` when the directory is missing or may not be written to.
    """
    path = lock_path(url)
    if path is None:
        return FileLock(None)
    if path.with_suffix("").is_dir():
        raise Refused(
            "config.invalid",
            f"{path.with_suffix('')} is a directory; `[database] connection` must name a file in it",
        )
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Refused(
            "config.invalid",
            f"the database cannot be kept at {path.with_suffix('')}: {error.strerror}; make"
            f" {path.parent}, writable for this user, or correct `[database] connection`",
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 32).decode(errors="replace").strip()
        os.close(descriptor)
        raise Refused(
            "database.in_use",
            f"{path.with_suffix('')} is in use by process {holder or 'unknown'}; only one process"
            " may use an SQLite database: stop that one, or use the one that runs",
            pid=int(holder) if holder.isdigit() else None,
        ) from None
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    return FileLock(descriptor)
