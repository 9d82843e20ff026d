"""What keeps an old word of an agent's from overwriting a newer one.

A message may arrive long after its sender gave it up: it waited in a queue, or with a conductor that
stood still. So an agent numbers what it says about its guests, and the number of the newest word that
is stored stands in its host's row; whatever writes a sighting compares it in the same transaction.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, select, update
from sqlalchemy.engine import Connection

from migrator.conductor.ports import Heard
from migrator.db.tables import hosts
from migrator.errors import Refused


def hear(connection: Connection, host: str, heard: Heard) -> None:
    """Let this word count, if none newer has. :raises Refused: ``report.stale``."""
    newest = (
        update(hosts)
        .where(
            hosts.c.name == host,
            hosts.c.incarnation == heard.incarnation,
            hosts.c.inventory_generation < heard.generation,
        )
        .values(inventory_generation=heard.generation)
    )
    if connection.execute(newest).rowcount == 1:
        return
    known = select(hosts.c.inventory_generation).where(hosts.c.name == host)
    stored = connection.execute(known).scalar() or 0
    raise Refused(
        "report.stale",
        f"word {heard.generation} of the agent of {host} came after a newer one, number {stored}; "
        "send everything anew",
        generation=stored,
    )


def nothing_newer(host: str, since: int) -> Select[Any]:
    """The host's name, if word ``since`` is still the newest; its row is locked, so that it stays so."""
    newest = hosts.c.name == host, hosts.c.inventory_generation == since
    return select(hosts.c.name).where(*newest).with_for_update()
