"""``migrator help`` and ``migrator complete``."""

from __future__ import annotations

import argparse
import shutil
import textwrap

from cliff.command import Command
from cliff.help import HelpCommand

from migrator.cli import completion
from migrator.cli.app import explain_unknown
from migrator.cli.base import PlainHelp, say
from migrator.cli.exits import DONE, REFUSED

INDENT = 27
WIDEST = 100


class Help(HelpCommand):
    """Explain one command, or list them all."""

    def get_epilog(self) -> str:
        return ""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.formatter_class = PlainHelp
        return parser

    def take_action(self, parsed: argparse.Namespace) -> int:
        commands = sorted(self.app.command_manager)
        matching = [each for each in commands if each[0].split()[: len(parsed.cmd)] == parsed.cmd]
        if not matching:
            say(f"request.invalid: {explain_unknown(parsed.cmd)}")
            return REFUSED
        if " ".join(parsed.cmd) in dict(matching):
            return super().take_action(parsed)
        if not parsed.cmd:
            self.app.parser.print_help(self.app.stdout)
            self.app.stdout.write("\ncommands:\n")
        width = min(shutil.get_terminal_size().columns, WIDEST) - 1
        for name, entry in matching:
            purpose = (entry.load().__doc__ or "").strip().partition("\n")[0]
            first = f"  {name:<{INDENT - 2}}"
            lines = textwrap.wrap(
                purpose, width, initial_indent=first, subsequent_indent=" " * INDENT
            )
            self.app.stdout.write("\n".join(lines) + "\n")
        if not parsed.cmd:
            self.app.stdout.write(f"\n`{self.app.NAME} help COMMAND` explains one.\n")
        return DONE


class Complete(Command):
    """Print what completes this program's commands, options and names in bash.

    For this shell: eval "$(migrator complete)"; for all to come the same line in .bashrc.
    """

    def get_epilog(self) -> str:
        return ""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.formatter_class = PlainHelp
        return parser

    def take_action(self, parsed: argparse.Namespace) -> int:
        parsers = {
            name: entry.load()(self.app, None).get_parser(f"{self.app.NAME} {name}")
            for name, entry in sorted(self.app.command_manager)
        }
        self.app.stdout.write(completion.script(self.app.NAME, parsers))
        return DONE
