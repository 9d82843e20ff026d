"""``migrator profile ...``"""

from __future__ import annotations

import argparse
from typing import Any, ClassVar

from migrator.cli import words
from migrator.cli.base import Columns, ListCommand, Row, ShowCommand, field_columns

KEYS = (
    "name",
    "built_in",
    "max_downtime_ms",
    "allow_throttle",
    "allow_postcopy",
    "allow_pause",
    "deadline_s",
    "deadline_per_gib",
    "on_deadline",
    "bandwidth_mib_s",
    "postcopy_bandwidth_mib_s",
)
ON_DEADLINE = ("abort", "force", "continue")


def _permits(row: Row) -> str:
    permitted = [name for name in ("throttle", "postcopy", "pause") if row[f"allow_{name}"]]
    return ", ".join(permitted) or "nothing more"


def _deadline(row: Row) -> str:
    ends = []
    if row["deadline_s"] is not None:
        ends.append(f"{row['deadline_s']} s")
    if row["deadline_per_gib"] is not None:
        ends.append(f"{row['deadline_per_gib']} s per GiB")
    return f"{' or '.join(ends)}, then {words.printable(row['on_deadline'])}" if ends else "none"


def _limit(row: Row) -> str:
    limits = [
        f"{row[key]} MiB/s{what}"
        for key, what in (("bandwidth_mib_s", ""), ("postcopy_bandwidth_mib_s", " in post-copy"))
        if row[key] is not None
    ]
    return ", ".join(limits) or "none"


class ListProfiles(ListCommand):
    """List the profiles: what disturbance an instance that has one tolerates while it moves."""

    keys = KEYS
    empty = "there are no profiles"
    table: ClassVar[Columns] = {
        **field_columns("name"),
        "freeze": lambda row: words.duration_ms(row["max_downtime_ms"]),
        "permits": _permits,
        "deadline": _deadline,
        "bandwidth": _limit,
        "built in": lambda row: "yes" if row["built_in"] else "",
    }

    def fetch(self, parsed: argparse.Namespace) -> list[Row]:
        return list(self.client.get("v1", "profiles")["profiles"])


class _OneProfile(ShowCommand):
    keys = KEYS

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("profile", metavar="PROFILE", help="name of the profile")
        return parser


class ShowProfile(_OneProfile):
    """Show one profile."""

    def fetch(self, parsed: argparse.Namespace) -> Row:
        return self.client.get("v1", "profiles", parsed.profile)


class _PutProfile(_OneProfile):
    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--max-downtime",
            metavar="MS",
            type=int,
            help="the longest freeze of the guest that needs nobody's leave",
        )
        for name, text in (
            ("throttle", "the guest may be slowed down while it moves"),
            ("postcopy", "the guest may run at its destination before all its memory is there"),
            ("pause", "the guest may be frozen for longer than --max-downtime"),
        ):
            parser.add_argument(
                f"--{name}", action=argparse.BooleanOptionalAction, default=None, help=text
            )
        parser.add_argument(
            "--deadline", metavar="S", type=int, help="seconds for a transfer; 0: none"
        )
        parser.add_argument(
            "--deadline-per-gib", metavar="S", type=int, help="seconds for each GiB; 0: none"
        )
        parser.add_argument(
            "--on-deadline", choices=ON_DEADLINE, help="what becomes of it at its deadline"
        )
        parser.add_argument(
            "--bandwidth", metavar="MIB_S", type=int, help="MiB/s at most; 0: no limit"
        )
        parser.add_argument(
            "--postcopy-bandwidth",
            metavar="MIB_S",
            type=int,
            help="MiB/s at most once it runs at its destination; 0: no limit",
        )
        return parser


def _tolerances(parsed: argparse.Namespace) -> dict[str, Any]:
    """What was said; nothing else is sent."""
    said = {
        "max_downtime_ms": parsed.max_downtime,
        "allow_throttle": parsed.throttle,
        "allow_postcopy": parsed.postcopy,
        "allow_pause": parsed.pause,
        "deadline_s": parsed.deadline,
        "deadline_per_gib": parsed.deadline_per_gib,
        "on_deadline": parsed.on_deadline,
        "bandwidth_mib_s": parsed.bandwidth,
        "postcopy_bandwidth_mib_s": parsed.postcopy_bandwidth,
    }
    return {key: value for key, value in said.items() if value is not None}


class CreateProfile(_PutProfile):
    """Make a profile; what is not said is as in the profile named by --like (strict without one)."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("--like", metavar="PROFILE", help="the profile to start from")
        return parser

    def fetch(self, parsed: argparse.Namespace) -> Row:
        like = {} if parsed.like is None else {"like": parsed.like}
        made = self.client.post(
            "v1", "profiles", body={"name": parsed.profile, **like, **_tolerances(parsed)}
        )
        name = words.printable(made["name"])
        self.sentence = (
            f"profile {name} is there: `migrator instance set INSTANCE --profile {name}`"
        )
        return made


class SetProfile(_PutProfile):
    """Change a profile; migrations that were asked for before keep what they got."""

    def fetch(self, parsed: argparse.Namespace) -> Row:
        made = self.client.patch("v1", "profiles", parsed.profile, **_tolerances(parsed))
        self.sentence = f"profile {words.printable(made['name'])} is changed"
        return made


class DeleteProfile(_OneProfile):
    """Delete a profile that no instance has."""

    def fetch(self, parsed: argparse.Namespace) -> Row:
        profile = self.client.get("v1", "profiles", parsed.profile)
        self.client.delete("v1", "profiles", parsed.profile)
        self.sentence = f"profile {words.printable(profile['name'])} is deleted"
        return profile
