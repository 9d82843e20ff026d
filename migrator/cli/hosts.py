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
    "tags",
    "zone",
    "cells",
    "devices",
    "alarms",
    "needs_attention",
    "foreign",
)


def _alive(row: Row) -> str:
    if row["alive"]:
        return "yes"
    return f"no: {words.plain(row['why_down'])}" if row["why_down"] else "no"


def _state(row: Row) -> str:
    more = " (needs attention)" if row["needs_attention"] else ""
    return f"{words.plain(row['state'])}{more}"


def _cells(row: Row) -> str:
    """One line for each."""
    lines = []
    for cell in row["cells"] or []:
        pages = "".join(
            f", {pool['free']} of {pool['total']} pages of {words.size_mib(pool['size_kib'] // 1024)}"
            for pool in cell["pages"]
        )
        free = cell["free_cpus"] or "none"
        memory = words.size_mib(cell["memory_mib"])
        lines.append(f"{cell['id']}: CPUs {cell['cpus']} (free: {free}), {memory}{pages}")
    return "\n".join(lines)


def _devices(row: Row) -> str:
    lines = []
    for device in row["devices"] or []:
        where = "" if device["numa_node"] is None else f" cell {device['numa_node']}"
        network = f" network {words.printable(device['network'])}" if device["network"] else ""
        owner = f", {words.printable(device['instance'])}'s" if device["instance"] else ""
        make = f"{device['vendor']}:{device['product']} {device['kind']}"
        lines.append(f"{device['address']} {make}{where}{network}{owner}")
    return "\n".join(lines)


PARTS: Columns = {
    "cells": _cells,
    "devices": _devices,
    "alarms": lambda row: "\n".join(words.printable(line) for line in row["alarms"]),
    "foreign": lambda row: "\n".join(words.printable(line) for line in row["foreign"]),
}


def _share(used: str, total: str) -> str:
    return used if total == words.NOTHING else f"{used} of {total}"


class ListHosts(ListCommand):
    """List the hosts, whether they are alive, and what is claimed on them."""

    keys = KEYS
    empty = "there are no hosts; [fleet] hosts in the service's configuration lists them"
    table: ClassVar[Columns] = {
        **field_columns("name"),
        "state": _state,
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
    table: ClassVar[Columns] = PARTS

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


class SetHost(_OneHost):
    """Change a host's state, the tags guests ask for, or its zone. What is not given stays."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--state",
            choices=("enabled", "disabled", "draining", "maintenance"),
            help="whether instances may come: to an enabled host only; a draining one is being emptied",
        )
        tags = parser.add_mutually_exclusive_group()
        tags.add_argument(
            "--tag",
            action="append",
            metavar="TAG",
            help="a tag it has; may be repeated: all it has from now on",
        )
        tags.add_argument("--no-tags", action="store_true", help="it has none")
        zone = parser.add_mutually_exclusive_group()
        zone.add_argument(
            "--zone", metavar="ZONE", help="what it shares its fate with: a row, a room"
        )
        zone.add_argument("--no-zone", action="store_true", help="it is in none")
        return parser

    def fetch(self, parsed: argparse.Namespace) -> Row:
        changes = {
            "state": parsed.state,
            "tags": [] if parsed.no_tags else parsed.tag,
            "zone": "" if parsed.no_zone else parsed.zone,
        }
        given = {name: value for name, value in changes.items() if value is not None}
        host = self.client.patch("v1", "hosts", parsed.host, **given)
        tags = ", ".join(words.printable(tag) for tag in host["tags"]) or "none"
        self.sentence = (
            f"{words.printable(host['name'])} is {host['state']}; tags: {tags}; zone:"
            f" {words.plain(host['zone'])}"
        )
        return host
