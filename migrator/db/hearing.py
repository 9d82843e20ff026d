"""What keeps an old word of an agent's from overwriting a newer one.

A message may arrive long after its sender gave it up: it waited in a queue, or with a conductor that
stood still. So an agent numbers what it says about its guests, before it reads what it says: whatever
has a higher number was read later. The number of the last inventory that is stored stands in its
host's row, the number of each guest's last word in its sighting; whatever writes a sighting compares
both in the same transaction.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, case, func, select, update
from sqlalchemy.engine import Connection

from migrator.conductor.ports import Heard
from migrator.db.tables import hosts, sightings
from migrator.errors import Refused


def hear(connection: Connection, host: str, heard: Heard) -> None:
    """Let this word about one guest count, if no inventory has been heard that was read after it.

    :raises Refused: ``report.stale``."""
    _hear(connection, host, heard, {})


def hear_whole(connection: Connection, host: str, heard: Heard) -> None:
    """The same of an inventory; the last one may be heard again. :raises Refused: ``report.stale``."""
    _hear(connection, host, heard, {"whole_generation": heard.generation})


def _hear(connection: Connection, host: str, heard: Heard, also: dict[str, int]) -> None:
    newest = hosts.c.inventory_generation
    grown = case((newest < heard.generation, heard.generation), else_=newest)
    counts = (
        update(hosts)
        .where(
            hosts.c.name == host,
            hosts.c.incarnation == heard.incarnation,
            hosts.c.whole_generation <= heard.generation,
        )
        .values(inventory_generation=grown, **also)
    )
    if connection.execute(counts).rowcount == 1:
        return
    # Also above what it answered when it was asked about one guest.
    answered = select(func.max(sightings.c.word)).where(sightings.c.host == host)
    told = select(newest).where(hosts.c.name == host)
    stored = max(connection.execute(each).scalar() or 0 for each in (told, answered))
    raise Refused(
        "report.stale",
        f"word {heard.generation} of the agent of {host} came after a newer one, number {stored}; "
        "send everything anew",
        generation=stored,
    )


def not_covered(host: str, word: int) -> Select[Any]:
    """The host's name, if no inventory of it that is stored was read after ``word``; its row is locked,
    so that it stays so."""
    newer = hosts.c.name == host, hosts.c.whole_generation < word
    return select(hosts.c.name).where(*newer).with_for_update()
