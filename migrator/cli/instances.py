"""``migrator instance ...``"""

from __future__ import annotations

import argparse
from collections.abc import Collection
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
    "spec",
    "wishes",
    "profile",
)

LISTS = ("affinity", "anti_affinity", "tags", "forbidden_tags", "scratch")
CHOICES = {
    "threads": ("prefer", "require", "isolate"),
    "pci_numa": ("required", "socket", "legacy", "preferred"),
    "pci_live": ("refuse", "detach"),
}


def _needs(row: Row) -> str:
    """What its domain says, as far as it is more than its size."""
    if row["spec"] is None:
        return ""
    spec, needs = row["spec"], row["spec"]["resources"]
    said = [f"{spec['virt_type']} {spec['arch']} {spec['machine']}", spec["cpu_model"]]
    if needs["dedicated"]:
        said.append(f"{len(needs['dedicated'])} of {needs['vcpus']} vCPUs on CPUs of their own")
    if needs["emulator"] != "none":
        said.append(f"QEMU's own threads: {needs['emulator']}")
    if needs["cells"]:
        said.append(f"{len(needs['cells'])} NUMA cells")
    if needs["page_kib"]:
        said.append(f"pages of {words.size_mib(needs['page_kib'] // 1024)}")
    said += [f"device {one['id']}" for one in needs["pci"]]
    return "; ".join(words.printable(one) for one in said if one.strip())


def _wishes(row: Row) -> str:
    """Those there are."""
    return "; ".join(
        f"{name.replace('_', '-')}: {words.plain(value)}"
        for name, value in row["wishes"].items()
        if value
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
    table: ClassVar[Columns] = {
        "disks": lambda row: "\n".join(map(words.disk, row["disks"])),
        "spec": _needs,
        "wishes": _wishes,
    }

    def pointless(self, row: Row) -> Collection[str]:
        return () if _wishes(row) else ("wishes",)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("instance", metavar="INSTANCE", help="name or UUID of the instance")
        return parser


class ShowInstance(_OneInstance):
    """Show one instance: where it lives, its size, its unfinished migration."""

    def fetch(self, parsed: argparse.Namespace) -> Row:
        return self.client.get("v1", "instances", parsed.instance)


class SetInstance(_OneInstance):
    """Say what an instance needs of its host beside what its domain says, or on which host it lives when
    several define it (status ambiguous). What is not given stays."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--host",
            metavar="HOST",
            help="of an ambiguous one: the host that is right; must define it",
        )
        for option, metavar, text in (
            ("--tag", "TAG", "a tag its host must have"),
            ("--forbid-tag", "TAG", "a tag its host must not have"),
            ("--affinity", "GROUP", "a group whose members stay on one host"),
            ("--anti-affinity", "GROUP", "a group whose members stay apart"),
            (
                "--scratch",
                "DISK",
                "a disk that a cold move makes anew, empty, instead of copying it",
            ),
        ):
            parser.add_argument(
                option,
                action="append",
                metavar=metavar,
                help=f"{text}; may be repeated: all of them",
            )
        parser.add_argument("--zone", metavar="ZONE", help="the zone its host must be in")
        parser.add_argument(
            "--threads",
            choices=CHOICES["threads"],
            help="how its own CPUs lie on cores: siblings if possible, siblings only, a core each",
        )
        parser.add_argument(
            "--pci-numa",
            choices=CHOICES["pci_numa"],
            help="how near its devices must be to its NUMA cells",
        )
        parser.add_argument(
            "--pci-live",
            choices=CHOICES["pci_live"],
            help="what a live migration does with its devices: refuse, or detach and attach again",
        )
        parser.add_argument(
            "--profile",
            metavar="PROFILE",
            help="what it tolerates while it moves; `migrator profile list` shows what there is",
        )
        parser.add_argument(
            "--clear",
            action="append",
            default=[],
            choices=[name.replace("_", "-") for name in (*LISTS, "zone", "profile", *CHOICES)],
            help="take back what was said of it; may be repeated",
        )
        return parser

    def fetch(self, parsed: argparse.Namespace) -> Row:
        cleared = {name.replace("-", "_") for name in parsed.clear}
        said = {
            "host": parsed.host,
            "profile": parsed.profile,
            "tags": parsed.tag,
            "forbidden_tags": parsed.forbid_tag,
            **{
                name: getattr(parsed, name)
                for name in ("affinity", "anti_affinity", "scratch", "zone", *CHOICES)
            },
            **{name: [] if name in LISTS else "" for name in cleared},
        }
        given = {name: value for name, value in said.items() if value is not None}
        instance = self.client.patch("v1", "instances", parsed.instance, **given)
        name, wishes = words.printable(instance["name"]), _wishes(instance)
        lives = f"{name} lives on {words.plain(instance['host'])}, {instance['status']}"
        others = given.keys() - {"host", "profile"}
        self.sentence = lives + (f"; {wishes}" if wishes and others else "")
        if "profile" in given:
            profile = words.printable(instance["profile"] or "the default")
            self.sentence += f"; its profile is {profile}"
        return instance
