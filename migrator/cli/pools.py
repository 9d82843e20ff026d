"""``migrator pool ...``"""

from __future__ import annotations

import argparse
from typing import ClassVar

from migrator.cli import words
from migrator.cli.base import Columns, ListCommand, Row, ShowCommand, field_columns

KEYS = (
    "name",
    "host",
    "kind",
    "class_tag",
    "uuid",
    "path",
    "source",
    "capacity",
    "allocation",
    "available",
    "promised",
    "claimed",
    "formats",
    "lacks",
)


def _on_host(pool: Row) -> str:
    """One host's pool, for people."""
    source = f", {words.printable(pool['source'])}" if pool["source"] else ""
    where = words.plain(pool["path"])
    lines = [
        f"{words.printable(pool['host'])}: {words.printable(pool['kind'])} at {where}{source}",
        f"  {words.size(pool['available'])} of {words.size(pool['capacity'])} free,"
        f" {words.size(pool['claimed'])} kept for migrations",
    ]
    return "\n".join([*lines, *(f"  {words.printable(lack)}" for lack in pool["lacks"])])


class ListPools(ListCommand):
    """List the active storage pools of all hosts, and the room in them."""

    keys: tuple[str, ...] = KEYS
    empty = "there are no storage pools; define one on a host with `virsh pool-define-as`"
    table: ClassVar[Columns] = {
        **field_columns("name", "host", "kind"),
        "class": lambda row: words.plain(row["class_tag"]),
        "free": lambda row: f"{words.size(row['available'])} of {words.size(row['capacity'])}",
        "claimed": lambda row: words.size(row["claimed"]),
        **field_columns("path"),
    }

    def fetch(self, parsed: argparse.Namespace) -> list[Row]:
        return list(self.client.get("v1", "pools")["pools"])


class ShowPool(ShowCommand):
    """Show the pools of one name on every host: what they are, their room, what they cannot do."""

    keys: tuple[str, ...] = ("name", "class_tag", "hosts")
    table: ClassVar[Columns] = {"hosts": lambda row: "\n".join(map(_on_host, row["hosts"]))}

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("pool", metavar="POOL", help="name of the pool")
        return parser

    def fetch(self, parsed: argparse.Namespace) -> Row:
        return self.client.get("v1", "pools", parsed.pool)
