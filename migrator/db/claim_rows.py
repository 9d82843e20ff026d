"""What every change of claims does besides: the host's claims generation grows."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import update
from sqlalchemy.engine import Connection

from migrator.db.tables import hosts


def bump_generations(connection: Connection, names: Collection[str]) -> None:
    """Whoever chose by what these hosts had claimed must look again."""
    if names:
        grown = {"claims_generation": hosts.c.claims_generation + 1}
        connection.execute(update(hosts).where(hosts.c.name.in_(sorted(names))).values(grown))
