"""``migrator migration events``: the trace of one migration."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar

from migrator.cli import words
from migrator.cli.base import Columns, ListCommand, Row, field_columns
from migrator.cli.exits import DONE
from migrator.cli.follow import Event, follow
from migrator.cli.migrations import add_migration
from migrator.states import MigrationState

_LONGEST = max(map(len, MigrationState))


def _event(row: Row) -> str:
    """The state it has come to; of other events the kind."""
    state = row["facts"].get("to") if row["kind"] == "state" else None
    return words.printable(state or row["kind"])


class ListEvents(ListCommand):
    """Print what has happened to a migration, and with --follow what happens until it has ended."""

    keys = ("seq", "at", "kind", "text", "facts")
    empty = "nothing has happened to it yet"
    table: ClassVar[Columns] = {
        "after": lambda row: "",
        "event": _event,
        **field_columns("text"),
    }

    _followed = False
    _began: datetime | None = None

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        add_migration(parser)
        parser.add_argument(
            "--follow",
            action="store_true",
            help="go on until it has ended; -f json prints the whole trace then",
        )
        return parser

    def fetch(self, parsed: argparse.Namespace) -> list[Row]:
        if not parsed.follow:
            rows = self._so_far(parsed.migration)
            self._began = words.parse_time(rows[0]["at"]) if rows else None
            return rows
        self._followed = parsed.formatter == "table"
        return self._to_the_end(parsed.migration)

    def _for_people(self, parsed: argparse.Namespace) -> Columns:
        return {**super()._for_people(parsed), "after": self._after}

    def _after(self, row: Row) -> str:
        at = words.parse_time(row["at"])
        self._began = self._began or at
        return words.duration_ms((at - self._began).total_seconds() * 1000)

    def _so_far(self, migration: str) -> list[Row]:
        rows: list[Row] = []
        while True:
            after = rows[-1]["seq"] if rows else None
            page = self.client.get("v1", "migrations", migration, "events", after=after)["events"]
            if not page:
                return rows
            rows += page

    def _to_the_end(self, migration: str) -> list[Row]:
        rows: list[Row] = []
        for update in follow(self.client, migration):
            if isinstance(update, Event):
                rows.append(update.data)
                if self._followed:
                    self._print_line(update.data)
        return rows

    def _print_line(self, row: Row) -> None:
        text = words.printable(row["text"])
        self.app.stdout.write(f"{self._after(row):>12}  {_event(row):<{_LONGEST}}  {text}\n")
        self.app.stdout.flush()

    def produce_output(self, parsed: argparse.Namespace, names: Sequence[str], rows: Any) -> int:
        return DONE if self._followed else super().produce_output(parsed, names, rows)
