"""``migrator migration force-complete|tune|rescue``"""

from __future__ import annotations

import argparse

from migrator.cli import screen, words
from migrator.cli.base import Row
from migrator.cli.migrations import OneMigrationCommand

METHODS = ("auto", "postcopy", "downtime", "pause")


class ForceMigration(OneMigrationCommand):
    """Bring a migration to its end at once, or, when it is too early for that, as soon as the memory has
    been copied once. Saying it twice does no harm."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--method",
            choices=METHODS,
            default="auto",
            help="postcopy: run it at the destination, its memory follows; downtime: let it stand still"
            " for as long as the rest takes; pause: stop it now until the rest is copied; auto"
            " (default): the least disturbing of these that works",
        )
        return parser

    def fetch(self, parsed: argparse.Namespace) -> Row:
        answer = self.client.steer(parsed.migration, "force-complete", method=parsed.method)
        view: Row = answer["migration"]
        asked = {
            "accepted": "is being brought to its end",
            "deferred": "will be brought to its end",
        }
        said = asked.get(answer["result"], words.printable(answer["result"]))
        reason = words.printable(answer["reason"])
        self.sentence = f"{screen.title(view)}, {said} ({answer['result']}: {reason})"
        return view


class TuneMigration(OneMigrationCommand):
    """Change a migration's limits while it runs; before that they are kept for its start."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--bandwidth", metavar="MIB_S", type=int, help="limit of its bandwidth; 0 is none"
        )
        parser.add_argument(
            "--postcopy-bandwidth",
            metavar="MIB_S",
            type=int,
            help="the same for what post-copy sends unasked",
        )
        parser.add_argument(
            "--max-downtime",
            metavar="MS",
            type=int,
            help="longest time the guest may stand still for its switch",
        )
        return parser

    def fetch(self, parsed: argparse.Namespace) -> Row:
        answer = self.client.steer(
            parsed.migration,
            "tune",
            bandwidth_mib_s=parsed.bandwidth,
            postcopy_bandwidth_mib_s=parsed.postcopy_bandwidth,
            max_downtime_ms=parsed.max_downtime,
        )
        view: Row = answer["migration"]
        applied = answer["result"] == "applied"
        said = "has its new limits" if applied else "will have its new limits when it begins"
        self.sentence = f"{screen.title(view)}, {said}"
        return view


class RescueMigration(OneMigrationCommand):
    """Try now to let an interrupted post-copy go on; it is tried again and again anyway."""

    def fetch(self, parsed: argparse.Namespace) -> Row:
        answer = self.client.steer(parsed.migration, "rescue")
        view: Row = answer["migration"]
        tried = answer["result"] == "accepted"
        said = "is being rescued" if tried else "needs no rescue: its memory is on its way"
        self.sentence = f"{screen.title(view)}, {said}"
        return view
