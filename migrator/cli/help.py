"""``migrator help`` and ``migrator complete``."""

from __future__ import annotations

import argparse

from cliff.complete import CompleteCommand
from cliff.help import HelpCommand

from migrator.cli.exits import DONE


class Help(HelpCommand):
    """Explain one command, or list them all."""

    def get_epilog(self) -> str:
        return ""

    def take_action(self, parsed: argparse.Namespace) -> int:
        if parsed.cmd:
            return super().take_action(parsed)
        out = self.app.stdout
        self.app.parser.print_help(out)
        out.write("\ncommands:\n")
        for name, entry in sorted(self.app.command_manager):
            purpose = (entry.load().__doc__ or "").strip().partition("\n")[0]
            out.write(f"  {name:<17} {purpose}\n")
        return DONE


class Complete(CompleteCommand):
    """Print what completes this program's commands and options in bash; source it from .bashrc."""

    def get_epilog(self) -> str:
        return ""
