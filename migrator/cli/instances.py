"""``migrator instance ...``"""

from __future__ import annotations

import argparse
from typing import ClassVar

from migrator.cli import words
from migrator.cli.base import Columns, ListCommand, Row, ShowCommand, field_columns

KEYS = (
    "id",
    "name",
    "host",
    "status",
    "vcpus",
    "memory_mib",
    "persistent",
    "candidates",
    "migration",
    "updated_at",
    "disks",
)


def _host(row: Row) -> str:
    if row["host"] is None and row["candidates"]:
        return " or ".join(words.printable(host) for host in row["candidates"]) + "?"
    return words.plain(row["host"])


class ListInstances(ListCommand):
    """List the instances and the hosts they live on."""

    keys = KEYS
    empty = "there are no instances; the hosts' agents report what libvirt has"
    table: ClassVar[Columns] = {
        **field_columns("name"),
        "host": _host,
        **field_columns("status", "vcpus"),
        "memory": lambda row: words.size_mib(row["memory_mib"]),
        "migration": lambda row: words.short_id(row["migration"]),
    }

    def fetch(self, parsed: argparse.Namespace) -> list[Row]:
        return list(self.client.get("v1", "instances")["instances"])


class _OneInstance(ShowCommand):
    keys = KEYS
    table: ClassVar[Columns] = {"disks": lambda row: "\n".join(map(words.disk, row["disks"]))}

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("instance", metavar="INSTANCE", help="name or UUID of the instance")
        return parser


class ShowInstance(_OneInstance):
    """Show one instance: where it lives, its size, its unfinished migration."""

    def fetch(self, parsed: argparse.Namespace) -> Row:
        return self.client.get("v1", "instances", parsed.instance)


class SetInstance(_OneInstance):
    """Settle on which host an instance lives that several hosts define (status ambiguous)."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--host",
            metavar="HOST",
            required=True,
            help="the host that is right; it must define it",
        )
        return parser

    def fetch(self, parsed: argparse.Namespace) -> Row:
        instance = self.client.patch("v1", "instances", parsed.instance, host=parsed.host)
        name = words.printable(instance["name"])
        self.sentence = f"{name} lives on {words.plain(instance['host'])}, {instance['status']}"
        return instance
