"""Following a migration until it has ended, through everything that happens to the connection."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from migrator.cli.client import Client
from migrator.cli.exits import UNKNOWN, CommandFailed
from migrator.states import TERMINAL

POLL_S = 1.0
"""Between two questions, when the service has no place for another viewer."""

PATIENCE_S = 60.0
"""How long the service may be away; it is restarted in a few seconds."""


@dataclass(frozen=True)
class Event:
    """One line of the migration's history."""

    data: dict[str, Any]


@dataclass(frozen=True)
class View:
    """The migration as it is now."""

    data: dict[str, Any]

    @property
    def ended(self) -> bool:
        return self.data["state"] in TERMINAL


@dataclass(frozen=True)
class Away:
    """The service does not answer; it is asked again, and the migration goes on meanwhile."""


def follow(client: Client, migration: str, after: int = 0) -> Iterator[Event | View | Away]:
    """Its history after ``after`` and everything new, ending with the view in which it has ended.

    :raises CommandFailed: refused, or the service was away for longer than :data:`PATIENCE_S`.
    """
    seen, polling = after, False
    heard = time.monotonic()
    while True:
        try:
            updates = (
                _poll(client, migration, seen) if polling else _stream(client, migration, seen)
            )
            for update in updates:
                heard = time.monotonic()
                if isinstance(update, Event):
                    seen = update.data["seq"]
                yield update
                if isinstance(update, View) and update.ended:
                    return
        except CommandFailed as error:
            polling = polling or error.code == "viewers.too_many"
            if error.status != UNKNOWN:
                raise
            if not polling:
                yield Away()
            if time.monotonic() - heard > PATIENCE_S:
                raise CommandFailed(
                    error.code,
                    f"{error.message}; the migration goes on without us, but how it ends is unknown: "
                    f"ask later with `migrator migration show {migration}`",
                    UNKNOWN,
                ) from error
        time.sleep(POLL_S)


def _stream(client: Client, migration: str, after: int) -> Iterator[Event | View]:
    for kind, data in client.stream(migration, after):
        if kind == "error":
            error = data["error"]
            raise CommandFailed(error["code"], error["message"], UNKNOWN)
        if kind == "event":
            yield Event(data)
        else:
            # The first view that has ended may come before the last events; "end" comes after them.
            view = View(data)
            if kind == "end" or not view.ended:
                yield view


def _poll(client: Client, migration: str, after: int) -> Iterator[Event | View]:
    while True:
        document = client.get("v1", "migrations", migration, "events", after=after or None)
        for event in document["events"]:
            after = event["seq"]
            yield Event(event)
        if not document["events"]:
            yield View(document["migration"])
            return
