"""migrator-manage: the database from the outside (``db upgrade``, ``db version``, ``db check``), whether
the rules hold (``verify``, which asks the running service), and what the broker must allow (``broker``).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence

from migrator import config, rpc, service, verify
from migrator.db import file_lock, schema
from migrator.errors import Refused, Transient
from migrator.version import version

BROKER = (
    "print the rabbitmqctl lines that give each host's agent a user of its own, which can take what is "
    "addressed to that agent and tell conductors, and nothing of other agents"
)
OK = 0
NOT_CURRENT = 2


def _upgrade(url: str, _form: str) -> int:
    lock = file_lock.hold(url)
    try:
        before = schema.current(url)
        after = schema.upgrade(url)
    finally:
        lock.release()
    if before == after:
        print(f"The database is at revision {after}, which this release needs; nothing to do.")
    else:
        print(f"The database has been brought from {before or 'empty'} to revision {after}.")
    return OK


def _version(url: str, form: str) -> int:
    found, wanted = _found(url), schema.head()
    _print(form, f"{found or 'empty'} (this release needs {wanted})", found, wanted)
    return OK


def _check(url: str, form: str) -> int:
    found, wanted = _found(url), schema.head()
    _print(form, f"{found or 'empty'} (this release needs {wanted})", found, wanted)
    if found == wanted:
        return OK
    try:
        schema.check(url)
    except Transient as error:
        print(error, file=sys.stderr)
    return NOT_CURRENT


def _broker(hosts: Sequence[str], vhost: str) -> int:
    if not hosts:
        raise Refused(
            "config.invalid",
            "no host is configured here; name them: migrator-manage broker h1 h2 ...",
        )
    print("\n".join(rpc.rabbitmqctl_lines(hosts, vhost)))
    return OK


def _found(url: str) -> str | None:
    return None if file_lock.is_missing(url) else schema.current(url)


def _print(form: str, sentence: str, found: str | None, wanted: str) -> None:
    if form == "json":
        print(json.dumps({"found": found, "wanted": wanted, "current": found == wanted}))
    else:
        print(sentence)


COMMANDS: Mapping[str, tuple[Callable[[str, str], int], str]] = {
    "upgrade": (_upgrade, "make the database, or bring it to the revision this release needs"),
    "version": (_version, "print the revision the database has"),
    "check": (_check, "exit 2 unless the database has the revision this release needs"),
}


def main() -> int:
    """The console script: exit 0 done, 2 refused or not current, 3 the database is unreachable."""
    return service.entry(_run)


def _run(argv: Sequence[str]) -> int:
    asked = _parser().parse_args(argv)
    if asked.command == "verify":
        return verify.run(asked.repair, asked.format)
    conf = config.load(config.file_arguments(asked), "migrator-manage")
    if asked.command == "broker":
        return _broker(asked.host or sorted(config.hosts(conf)), asked.vhost)
    command, _ = COMMANDS[asked.command]
    return command(conf.database.connection, getattr(asked, "format", "table"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="migrator-manage", description="Manage the database, and verify."
    )
    parser.add_argument("--version", action="version", version=version())
    config.add_file_arguments(parser)
    nouns = parser.add_subparsers(metavar="NOUN", required=True)
    broker = nouns.add_parser("broker", help=BROKER, description=BROKER)
    broker.set_defaults(command="broker")
    broker.add_argument("host", nargs="*", help="the configured hosts, where none is named")
    broker.add_argument("--vhost", default="migrator", help="RabbitMQ's virtual host")
    rules = nouns.add_parser("verify", help=verify.SUMMARY, description=verify.SUMMARY)
    rules.set_defaults(command="verify")
    rules.add_argument("--repair", action="store_true", help=verify.REPAIR)
    rules.add_argument("-f", "--format", choices=("table", "json"), default="table")
    database = nouns.add_parser("db", help="the database")
    verbs = database.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (_, text) in COMMANDS.items():
        verb = verbs.add_parser(name, help=text, description=text)
        if name != "upgrade":
            verb.add_argument("-f", "--format", choices=("table", "json"), default="table")
    return parser
