"""The ``migrator`` program: which commands there are, and what is said when none of them is meant."""

from __future__ import annotations

import argparse
import difflib
import logging
import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint

from cliff.app import App
from cliff.commandmanager import CommandManager

from migrator.cli.exits import DONE, REFUSED
from migrator.version import version

PROGRAM = "migrator"

COMMANDS = {
    "claim audit": "claims:AuditClaims",
    "claim list": "claims:ListClaims",
    "complete": "help:Complete",
    "help": "help:Help",
    "host disable": "hosts:DisableHost",
    "host enable": "hosts:EnableHost",
    "host list": "hosts:ListHosts",
    "host set": "hosts:SetHost",
    "host show": "hosts:ShowHost",
    "instance list": "instances:ListInstances",
    "instance set": "instances:SetInstance",
    "instance show": "instances:ShowInstance",
    "migrate": "migrate:Migrate",
    "migration abort": "migrations:AbortMigration",
    "migration confirm": "migrations:ConfirmMigration",
    "migration revert": "migrations:RevertMigration",
    "migration disks": "migrations:ListDisks",
    "migration force-complete": "steering:ForceMigration",
    "migration rescue": "steering:RescueMigration",
    "migration tune": "steering:TuneMigration",
    "migration events": "events:ListEvents",
    "migration list": "migrations:ListMigrations",
    "migration show": "migrations:ShowMigration",
    "migration watch": "migrations:WatchMigration",
    "pool list": "pools:ListPools",
    "pool show": "pools:ShowPool",
    "profile create": "profiles:CreateProfile",
    "profile delete": "profiles:DeleteProfile",
    "profile list": "profiles:ListProfiles",
    "profile set": "profiles:SetProfile",
    "profile show": "profiles:ShowProfile",
}
"""Command -> module and class under this package; loaded when it is asked for."""

DESCRIPTION = """\
Move running virtual machines between libvirt hosts.

The service is found through MIGRATOR_ENDPOINT: unix:///PATH or
http://127.0.0.1:PORT; default unix:///run/migrator/api.sock.

Exit codes: 0 done or accepted; 1 ended failed, cancelled or lost; 2 refused or
wrong input; 3 service unreachable or outcome unknown; 130 interrupted.
"""

LIKELY = 0.6
"""Likeness (0 to 1) from which on a word was probably meant to be another."""


def run(arguments: list[str]) -> int:
    """Run one command; the exit code."""
    for word in arguments:
        if not _is_text(word):
            print(f"request.invalid: {word!a} is not UTF-8 text", file=sys.stderr)
            return REFUSED
    app = Migrator(DESCRIPTION, version(), CommandManager())
    for name, target in COMMANDS.items():
        entry = EntryPoint(name, f"{__package__}.{target}", PROGRAM)
        app.command_manager.commands[name] = entry
    try:
        return app.run(arguments)
    except SystemExit as ended:
        return int(ended.code or DONE)


def _is_text(word: str) -> bool:
    """False for bytes that Python could not decode and smuggles in as surrogates."""
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


class Migrator(App):
    """cliff's application with our errors: coded, on stderr, exit code 2."""

    NAME = PROGRAM

    def build_option_parser(
        self,
        description: str | None,
        version: str | None,
        argparse_kwargs: dict[str, object] | None = None,
    ) -> argparse.ArgumentParser:
        # Not cliff's own options: its log would mix with progress and errors on stderr.
        parser = argparse.ArgumentParser(
            prog=PROGRAM,
            usage=f"{PROGRAM} [--version] [--debug] COMMAND ... | {PROGRAM} COMMAND --help",
            description=description,
            # A help option here would take the one that is meant for the command.
            add_help=False,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        vars(parser)["error"] = _refuse_option
        parser.add_argument("--version", action="version", version=f"{PROGRAM} {version}")
        parser.add_argument(
            "--debug",
            action="store_true",
            help="log every request, show where errors come from",
        )
        return parser

    def configure_logging(self) -> None:
        if self.options.debug:
            logging.basicConfig(level=logging.DEBUG, stream=self.stderr)

    def interact(self) -> None:
        self.parser.print_usage(self.stderr)
        print(f"request.invalid: say what to do; {LIST_THEM}", file=self.stderr)
        raise SystemExit(REFUSED)

    def run_subcommand(self, argv: list[str]) -> int:
        argv = ["help"] if argv[0] in ("-h", "--help") else argv
        try:
            self.command_manager.find_command(argv)
        except ValueError:
            print(f"request.invalid: {explain_unknown(argv)}", file=self.stderr)
            return REFUSED
        return super().run_subcommand(argv)


LIST_THEM = f"`{PROGRAM} help` lists the commands"


def _refuse_option(message: str) -> None:
    print(f"request.invalid: {message}; `{PROGRAM} --help` has the options", file=sys.stderr)
    raise SystemExit(REFUSED)


def explain_unknown(argv: Sequence[str]) -> str:
    """Why these words are no command, and what was probably meant."""
    wanted = [word for word in argv if not word.startswith("-")][:2]
    if not wanted:
        return f"{argv[0]!a} needs a command; {LIST_THEM}"
    noun, verb = [*wanted, ""][:2]
    unknown = f"{' '.join(wanted)!a} is no command"
    nouns = difflib.get_close_matches(noun, {name.split()[0] for name in COMMANDS}, 1, LIKELY)
    if not nouns:
        return f"{unknown}; {LIST_THEM}"
    names = [name for name in COMMANDS if name.split()[0] == nouns[0]]
    verbs = difflib.get_close_matches(verb, [name.partition(" ")[2] for name in names], 1, LIKELY)
    if verbs or len(names) == 1:
        meant = " ".join([nouns[0], *verbs]).strip()
        return f"{unknown}; did you mean {meant!r}?"
    return f"{unknown}; there are: {', '.join(names)}"
