"""``migrator migrate INSTANCE``"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import Any

from migrator.cli import screen, words
from migrator.cli.base import Row, say
from migrator.cli.client import fresh_request_id
from migrator.cli.exits import REFUSED, UNKNOWN, CommandFailed, ConnectionLost
from migrator.cli.migrations import KEYS, MigrationCommand
from migrator.cli.profiles import ON_DEADLINE

DRY_RUN_KEYS = ("instance", "chosen", "hosts", "methods", "forecast")


class Migrate(MigrationCommand):
    """Move an instance to another host, while it runs or (--kind cold) while it is off.

    Answers once every check has passed and the migration is in the queue; with --wait once it has
    ended: exit code 0 when it completed, 1 when it failed, was cancelled or is lost, 2 when it was
    refused or rejected, 3 when its outcome is unknown. Ctrl-C stops the waiting, not the migration.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("instance", metavar="INSTANCE", help="name or UUID of the instance")
        parser.add_argument(
            "--kind",
            metavar="KIND",
            default="live",
            help="how it moves: live (the default), or cold: off, or stopped for it",
        )
        parser.add_argument("--host", metavar="HOST", help="where to; without it a host is chosen")
        parser.add_argument(
            "--force",
            action="store_true",
            help="skip policy on HOST, for a recorded --reason; safety checks are never skipped",
        )
        parser.add_argument("--reason", metavar="TEXT", help="why it is forced")
        _add_tolerances(parser)
        parser.add_argument(
            "--map-disk",
            metavar="DISK=POOL",
            action="append",
            default=[],
            type=_disk_and_pool,
            help="copy this disk (vda...) into that pool of the destination; may be repeated. Without it"
            " a disk both hosts do not share goes into the pool of the same name, or of the same class",
        )
        parser.add_argument(
            "--flatten",
            action="store_true",
            help="let a copied disk that stands on a base image arrive standing alone",
        )
        parser.add_argument(
            "--priority", metavar="N", type=int, default=0, help="higher leaves the queue earlier"
        )
        parser.add_argument(
            "--request-id",
            metavar="ID",
            help="repeat a request whose answer was lost: the same ID never starts two migrations",
        )
        when = parser.add_mutually_exclusive_group()
        when.add_argument(
            "--dry-run",
            action="store_true",
            help="only say what every host answers; changes nothing",
        )
        when.add_argument("--wait", action="store_true", help="until it has ended, with progress")
        return parser

    def _check_columns(self, parsed: argparse.Namespace) -> None:
        self.keys = DRY_RUN_KEYS if parsed.dry_run else KEYS
        super()._check_columns(parsed)

    def fetch(self, parsed: argparse.Namespace) -> Row:
        body = _body(parsed)
        if parsed.dry_run:
            verdict = self.client.dry_run(body)
            self.sentence = describe(verdict)
            return verdict
        view = self._ask({**body, "request_id": parsed.request_id or fresh_request_id()})
        if parsed.wait:
            return self.wait(view["id"])
        self.sentence = (
            f"{screen.title(view)}, {screen.stage(view)}; `migrator migration watch "
            f"{words.short_id(view['id'])}` watches it"
        )
        return view

    def produce_output(
        self, parsed: argparse.Namespace, names: Sequence[str], values: Sequence[Any]
    ) -> int:
        if parsed.dry_run and parsed.formatter != "table":
            self.sentence = ""
        return super().produce_output(parsed, names, values)

    def _ask(self, body: Row) -> Row:
        again = (
            f"the same command with --request-id {body['request_id']} asks for the outcome and never "
            "starts a second migration"
        )
        try:
            return self.client.migrate(body)
        except CommandFailed as error:
            never_sent = error.code == "api.unreachable" and not isinstance(error, ConnectionLost)
            if error.status != UNKNOWN or never_sent:
                raise
            raise CommandFailed(
                error.code, f"{error.message}; {again}", UNKNOWN, error.details
            ) from error
        except KeyboardInterrupt:
            say(f"whether {words.printable(body['instance'])} is being moved is unknown; {again}")
            raise


def _add_tolerances(parser: argparse.ArgumentParser) -> None:
    """What this move says of them itself."""
    parser.add_argument(
        "--profile",
        metavar="PROFILE",
        help="what the guest tolerates; without it what its instance has, or the default",
    )
    parser.add_argument("--deadline", metavar="S", type=int, help="seconds its transfer may take")
    parser.add_argument(
        "--on-deadline", choices=ON_DEADLINE, help="what becomes of it at its deadline"
    )
    parser.add_argument(
        "--postcopy-bandwidth",
        metavar="MIB_S",
        type=int,
        help="the same once the guest runs at its destination",
    )
    parser.add_argument(
        "--bandwidth", metavar="MIB_S", type=int, help="send at most so many MiB each second"
    )


def describe(verdict: Row) -> str:
    """A dry run for people: one line for each host, its refusals below it."""
    lines = [f"{words.printable(verdict['instance'])}: {_choice(verdict)}"]
    for host in verdict["hosts"]:
        score = f", score {host['score']:g}" if host["score"] is not None else ""
        name = words.printable(host["host"])
        lines.append(f"  {name}  {f'fits{score}' if host['fits'] else 'does not fit'}")
        lines += [
            f"      {words.printable(no['code'])}: {words.printable(no['message'])}"
            for no in host["refusals"]
        ]
        lines += [f"      {line}" for line in _given(host)]
        lines += [f"      {words.disk_move(disk)}" for disk in host.get("disks", ())]
    lines += [f"  {words.printable(method)}" for method in verdict["methods"]]
    if verdict["forecast"]:
        lines.append(f"  forecast: {_forecast(verdict['forecast'])}")
    return "\n".join(lines)


def _forecast(forecast: Row) -> str:
    """What is expected of the move."""
    parts = [f"by {words.printable(forecast['method'])}"]
    if forecast["duration_s"] is not None:
        parts.append(f"{forecast['duration_s']['least']:g} to {forecast['duration_s']['most']:g} s")
    if forecast["downtime_ms"] is not None:
        freeze = forecast["downtime_ms"]
        parts.append(f"freeze {freeze['least']:g} to {freeze['most']:g} ms")
    return f"{', '.join(parts)} (from {words.printable(forecast['based_on'])})"


def _given(host: Row) -> Iterator[str]:
    """The CPUs and devices the guest would get there, where it gets particular ones."""
    if host["pins"]:
        pins = (f"{words.printable(who)} on {cpu}" for who, cpu in host["pins"].items())
        yield f"vCPU {', '.join(pins)}"
    for device in host["devices"] or []:
        yield f"device {words.printable(device['address'])} for {words.printable(device['request'])}"


def _choice(verdict: Row) -> str:
    if verdict["chosen"] is None:
        return "no host fits; it would be refused"
    return f"would go to {words.printable(verdict['chosen'])}"


def _disk_and_pool(text: str) -> tuple[str, str]:
    """``vda=POOL``"""
    disk, _, pool = text.partition("=")
    if not disk or not pool:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form DISK=POOL, as in vda=fast")
    return disk, pool


def _disk_pools(wishes: Sequence[tuple[str, str]]) -> Row:
    pools: Row = {}
    for disk, pool in wishes:
        if pools.setdefault(disk, pool) != pool:
            raise CommandFailed(
                "request.invalid",
                f"--map-disk names two pools for {disk}: {pools[disk]} and {pool}",
                REFUSED,
            )
    return pools


def _body(parsed: argparse.Namespace) -> Row:
    return {
        "instance": parsed.instance,
        "kind": parsed.kind,
        "host": parsed.host,
        "force": parsed.force,
        "reason": parsed.reason,
        "bandwidth_mib_s": parsed.bandwidth,
        "disk_pools": _disk_pools(parsed.map_disk),
        "flatten": parsed.flatten,
        "profile": parsed.profile,
        "deadline_s": parsed.deadline,
        "on_deadline": parsed.on_deadline,
        "postcopy_bandwidth_mib_s": parsed.postcopy_bandwidth,
        "priority": parsed.priority,
    }
