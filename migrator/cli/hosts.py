"""``migrator host ...``"""

from __future__ import annotations

import argparse
from typing import ClassVar

from migrator.cli import words
from migrator.cli.base import Columns, ListCommand, Row, ShowCommand, field_columns

KEYS = (
    "name",
    "state",
    "alive",
    "why_down",
    "seen_at",
    "agent_version",
    "libvirt_version",
    "hypervisor_version",
    "arch",
    "cpus",
    "memory_mib",
    "claimed_vcpus",
    "claimed_memory_mib",
    "instances",
    "libvirt_uri",
    "peer_uri",
    "control_address",
    "migration_address",
    "disk_address",
    "pools",
    "networks",
)


def _alive(row: Row) -> str:
    if row["alive"]:
        return "yes"
    return f"no: {words.plain(row['why_down'])}" if row["why_down"] else "no"


def _share(used: str, total: str) -> str:
    return used if total == words.NOTHING else f"{used} of {total}"


class ListHosts(ListCommand):
    """List the hosts, whether they are alive, and what is claimed on them."""

    keys = KEYS
    empty = "there are no hosts; [fleet] hosts in the service's configuration lists them"
    table: ClassVar[Columns] = {
        **field_columns("name", "state"),
        "alive": _alive,
        **field_columns("instances"),
        "vcpus": lambda row: _share(words.plain(row["claimed_vcpus"]), words.plain(row["cpus"])),
        "memory": lambda row: _share(
            words.size_mib(row["claimed_memory_mib"]), words.size_mib(row["memory_mib"])
        ),
    }

    def fetch(self, parsed: argparse.Namespace) -> list[Row]:
        return list(self.client.get("v1", "hosts")["hosts"])


class _OneHost(ShowCommand):
    keys = KEYS

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("host", metavar="HOST", help="name of the host")
        return parser


class ShowHost(_OneHost):
    """Show one host: versions, addresses, what it has and what is claimed."""

    def fetch(self, parsed: argparse.Namespace) -> Row:
        return self.client.get("v1", "hosts", parsed.host)


class EnableHost(_OneHost):
    """Let a host receive instances again."""

    def fetch(self, parsed: argparse.Namespace) -> Row:
        host = self.client.patch("v1", "hosts", parsed.host, state="enabled")
        self.sentence = f"{words.printable(host['name'])} is enabled: instances may come to it"
        return host


class DisableHost(_OneHost):
    """Keep instances from coming to a host; those on it and those on their way stay."""

    def fetch(self, parsed: argparse.Namespace) -> Row:
        host = self.client.patch("v1", "hosts", parsed.host, state="disabled")
        name, there = words.printable(host["name"]), host["instances"]
        stays = "the instance on it stays" if there == 1 else f"the {there} instances on it stay"
        self.sentence = (
            f"{name} is disabled: no instance comes to it until `migrator host enable {name}`"
            + (f"; {stays} and may leave" if there else "")
        )
        return host
