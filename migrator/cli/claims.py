"""``migrator claim ...``"""

from __future__ import annotations

import argparse
from typing import ClassVar

from migrator.cli import words
from migrator.cli.base import Columns, ListCommand, Row, field_columns
from migrator.cli.exits import ENDED_BADLY, UNKNOWN


def _own(row: Row) -> str:
    """CPUs, devices and room that are nobody else's."""
    cpus = list(row["pins"].values())
    if row["emulator_cpu"] is not None:
        cpus.append(row["emulator_cpu"])
    told = [f"CPU {words.plain(sorted(cpus))}"] if cpus else []
    told += [words.printable(address) for address in row["devices"]]
    told += [
        f"{words.size(room)} in pool {words.printable(pool)}"
        for pool, room in row["pool_bytes"].items()
    ]
    return "; ".join(told) or words.NOTHING


class ListClaims(ListCommand):
    """List what is reserved on the hosts, for whom and why."""

    keys = (
        "host",
        "instance",
        "purpose",
        "vcpus",
        "memory_mib",
        "migration",
        "created_at",
        "pins",
        "emulator_cpu",
        "blocked_cpus",
        "pages",
        "devices",
        "pool_bytes",
    )
    empty = "nothing is claimed"
    table: ClassVar[Columns] = {
        **field_columns("host", "instance", "purpose", "vcpus"),
        "memory": lambda row: words.size_mib(row["memory_mib"]),
        "its own": _own,
        "migration": lambda row: words.short_id(row["migration"]),
        "since": lambda row: words.ago(row["created_at"]),
    }

    def fetch(self, parsed: argparse.Namespace) -> list[Row]:
        return list(self.client.get("v1", "claims")["claims"])


class AuditClaims(ListCommand):
    """Compare what is claimed with the domains that are really there; exit code 1 when they differ, 3
    when a host did not answer."""

    keys = ("host", "instance", "finding", "message")
    empty = "every claim is what its host has"
    table: ClassVar[Columns] = field_columns(*keys)

    def fetch(self, parsed: argparse.Namespace) -> list[Row]:
        findings = list(self.client.get("v1", "claims", "audit")["findings"])
        if any(each["finding"] != "unchecked" for each in findings):
            self.exit_code = ENDED_BADLY
        elif findings:
            self.exit_code = UNKNOWN
        return findings
