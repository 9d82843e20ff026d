"""What connects the processes: a transport and a database, and a configuration that names them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from migrator import config
from migrator.rpc import Bus

AWAY_S = 120.0
"""A fleet in one Python process reports late; that says nothing of its hosts."""
MOST_PER_HOST = 1000


@dataclass(frozen=True)
class Wires:
    """``where``: a directory for files; URLs as in the configuration."""

    where: str
    transport: str
    database: str
    migrations: int

    @property
    def kind(self) -> str:
        """Which database and which transport."""
        schemes = [url.partition(":")[0] for url in (self.database, self.transport)]
        return f"database {schemes[0].partition('+')[0]}, transport {schemes[1]}"

    @property
    def apart(self) -> bool:
        """Other processes can be reached."""
        return not self.transport.startswith("inproc")

    def file(self, name: str) -> Path:
        """A configuration file, written anew."""
        file = Path(self.where) / f"{name}.conf"
        file.write_text(
            f"[DEFAULT]\ntransport_url = {self.transport}\nstate_path = {self.where}\n"
            f"migration_encryption = off\nlog_file = {self.where}/{name}.log\n"
            f"[database]\nconnection = {self.database}\n"
            f"[conductor]\nname = {name}\nhost_down_s = {AWAY_S}\ncpu_overcommit = 1000\n"
            f"max_migrations = {self.migrations + 1}\n"
            f"max_outgoing = {MOST_PER_HOST}\nmax_incoming = {MOST_PER_HOST}\n"
        )
        return file


def open_bus(wires: Wires, name: str) -> Bus:
    """Of a process called ``name``, which logs nothing."""
    logging.disable(logging.WARNING)
    return Bus.open(config.load(["--config-file", str(wires.file(name))], name))
