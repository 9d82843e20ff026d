"""``migrator migration ...``"""

from __future__ import annotations

import argparse
from collections.abc import Collection
from typing import ClassVar

from migrator.cli import screen, words
from migrator.cli.base import Columns, ListCommand, Row, ShowCommand, field_columns, say
from migrator.cli.exits import DONE, ENDED_BADLY, exit_of_state
from migrator.cli.follow import follow

KEYS = (
    "id",
    "instance",
    "kind",
    "mode",
    "state",
    "needs_attention",
    "source",
    "destination",
    "profile",
    "created_at",
    "switched_at",
    "finished_at",
    "phase",
    "memory_total",
    "memory_remaining",
    "disk_total",
    "disk_remaining",
    "iteration",
    "dirty_rate",
    "bandwidth",
    "downtime_ms",
    "total_ms",
    "method",
    "actions",
    "queue",
    "error_code",
    "error",
)


def _note(row: Row) -> str:
    if row["needs_attention"]:
        return f"needs attention: {words.printable(row['needs_attention'])}"
    if row["error_code"]:
        return words.printable(row["error_code"])
    if row["state"] == "completed":
        return f"downtime {words.duration_ms(row['downtime_ms'])}"
    return screen.brief(row)


def _action(action: Row) -> str:
    text = {key: words.printable(value) for key, value in action.items()}
    return (
        f"{words.when(action['at'])}  {text['action']} ({text['rule']}) "
        f"by {text['by']}: {text['result']}"
    )


def _queue(place: Row | None) -> str:
    if place is None:
        return words.NOTHING
    return screen.place_in_queue(place)


class ListMigrations(ListCommand):
    """List migrations, newest first."""

    keys: tuple[str, ...] = KEYS
    empty = "there are no migrations yet"
    table: ClassVar[Columns] = {
        "id": lambda row: words.short_id(row["id"]),
        **field_columns("instance"),
        "route": screen.route,
        **field_columns("state"),
        "asked": lambda row: words.ago(row["created_at"]),
        "note": _note,
    }

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("--active", action="store_true", help="that have not ended")
        parser.add_argument(
            "--needs-attention", action="store_true", help="that a person should look at"
        )
        parser.add_argument("--forced", action="store_true", help="that skipped policy (--force)")
        parser.add_argument("--instance", metavar="INSTANCE", help="of this instance")
        parser.add_argument("--host", metavar="HOST", help="from or to this host")
        parser.add_argument(
            "--limit",
            metavar="N",
            type=int,
            default=100,
            help="at most N (default 100, up to 1000)",
        )
        return parser

    def fetch(self, parsed: argparse.Namespace) -> list[Row]:
        wanted = {
            "active": parsed.active,
            "needs_attention": parsed.needs_attention,
            "forced": parsed.forced,
            "instance": parsed.instance,
            "host": parsed.host,
        }
        if any(wanted.values()):
            self.empty = "no migration fits"
        answer = self.client.get("v1", "migrations", limit=parsed.limit, **wanted)
        return list(answer["migrations"])


class MigrationCommand(ShowCommand):
    """Of a command whose answer is one migration."""

    keys: tuple[str, ...] = KEYS
    table: ClassVar[Columns] = {
        "actions": lambda row: "\n".join(map(_action, row["actions"])),
        "queue": lambda row: _queue(row["queue"]),
    }

    def pointless(self, row: Row) -> Collection[str]:
        # Disks that are shared stay where they are.
        return () if row.get("disk_total") else ("disk_total", "disk_remaining")

    def wait(self, migration: str) -> Row:
        """Follow it with progress on stderr; the migration as it ended, its end said."""
        try:
            view = screen.watch(follow(self.client, migration))
        except KeyboardInterrupt:
            say(
                f"the migration goes on: {migration}\n"
                f"  migrator migration watch {migration}    watches it again\n"
                f"  migrator migration abort {migration}    stops it"
            )
            raise
        self._conclude(view)
        return view

    def _conclude(self, view: Row) -> None:
        self.exit_code = exit_of_state(view["state"])
        self.sentence = screen.summary(view)
        if view["error_code"]:
            say(f"{words.printable(view['error_code'])}: {words.plain(view['error'])}")
        if view["needs_attention"]:
            say(f"needs attention: {words.printable(view['needs_attention'])}")


class OneMigrationCommand(MigrationCommand):
    """Of a command about one migration that there is."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        add_migration(parser)
        return parser


def add_migration(parser: argparse.ArgumentParser) -> None:
    """The argument that names a migration."""
    parser.add_argument(
        "migration", metavar="MIGRATION", help="its id, or a beginning of it that fits no other"
    )


class ShowMigration(OneMigrationCommand):
    """Show one migration: its state, its progress, how it ended, who decided what."""

    def fetch(self, parsed: argparse.Namespace) -> Row:
        return self.client.get("v1", "migrations", parsed.migration)


class WatchMigration(OneMigrationCommand):
    """Watch a migration until it has ended; exits 1 when it failed, was cancelled or is lost."""

    def fetch(self, parsed: argparse.Namespace) -> Row:
        # The whole id first: what is a beginning of one id now may fit two in a minute.
        found = self.client.get("v1", "migrations", parsed.migration)
        return self.wait(found["id"])


class ListDisks(ListCommand):
    """Show what becomes of each disk of a guest that moves, and how far its copy is."""

    keys: tuple[str, ...] = (
        "target",
        "mode",
        "source",
        "destination",
        "format",
        "virtual_size",
        "remaining",
        "why",
    )
    empty = "nothing is planned for any disk: the guest has none, or no destination was chosen yet"
    table: ClassVar[Columns] = field_columns(*keys)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        add_migration(parser)
        return parser

    def fetch(self, parsed: argparse.Namespace) -> list[Row]:
        return list(self.client.get("v1", "migrations", parsed.migration, "disks")["disks"])


class AbortMigration(OneMigrationCommand):
    """Stop a migration; the guest stays where it is. Refused once it runs at the destination."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--wait",
            action="store_true",
            help="until everything is undone; exits 1 when the migration ended in another way",
        )
        return parser

    def fetch(self, parsed: argparse.Namespace) -> Row:
        answer = self.client.abort(parsed.migration)
        view: Row = answer["migration"]
        if parsed.wait:
            view = self.wait(view["id"])
            self.exit_code = DONE if view["state"] == "cancelled" else ENDED_BADLY
            return view
        asked = (
            "is being aborted" if answer["result"] == "accepted" else "was being aborted already"
        )
        self.sentence = (
            f"{screen.title(view)}, {asked}; `migrator migration watch {words.short_id(view['id'])}` "
            "tells when everything is undone"
        )
        return view


class _LastWord(OneMigrationCommand):
    word: ClassVar[str]
    doing: ClassVar[str]

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("--wait", action="store_true", help="until that is done")
        return parser

    def fetch(self, parsed: argparse.Namespace) -> Row:
        view: Row = self.client.last_word(parsed.migration, self.word)
        if parsed.wait:
            return self.wait(view["id"])
        self.sentence = (
            f"{screen.title(view)}, {self.doing}; `migrator migration watch "
            f"{words.short_id(view['id'])}` watches it"
        )
        return view


class ConfirmMigration(_LastWord):
    """Let the source of a cold move go: its copy of the guest is deleted and cannot be reverted to."""

    word = "confirm"
    doing = "is confirmed"


class RevertMigration(_LastWord):
    """Bring the guest of a cold move back to its source, as it was there.

    It is shut down where it is now, and what it wrote since its move is lost. Possible until the move
    is confirmed, by hand or by time ([conductor] cold_confirm_s). With --wait exits 0 once it is back.
    """

    word = "revert"
    doing = "is being reverted"

    def fetch(self, parsed: argparse.Namespace) -> Row:
        view = super().fetch(parsed)
        if parsed.wait:
            self.exit_code = DONE if view["state"] == "reverted" else ENDED_BADLY
        return view
