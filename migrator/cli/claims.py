"""``migrator claim ...``"""

from __future__ import annotations

import argparse
from typing import ClassVar

from migrator.cli import words
from migrator.cli.base import Columns, ListCommand, Row, field_columns


class ListClaims(ListCommand):
    """List what is reserved on the hosts, for whom and why."""

    keys = ("host", "instance", "purpose", "vcpus", "memory_mib", "migration", "created_at")
    empty = "nothing is claimed"
    table: ClassVar[Columns] = {
        **field_columns("host", "instance", "purpose", "vcpus"),
        "memory": lambda row: words.size_mib(row["memory_mib"]),
        "migration": lambda row: words.short_id(row["migration"]),
        "since": lambda row: words.ago(row["created_at"]),
    }

    def fetch(self, parsed: argparse.Namespace) -> list[Row]:
        return list(self.client.get("v1", "claims")["claims"])
