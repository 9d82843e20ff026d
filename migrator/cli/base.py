"""What all commands share: the client, one way to fail, and output for programs and for people.

A program (``-f json``, ``yaml``) gets the API's object with exactly its keys. A person (``table``)
gets the fields that matter, with units. ``csv`` and ``value`` are for shells: the raw fields, lists
and objects as JSON.
"""

from __future__ import annotations

import argparse
import difflib
import json
import re
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, ClassVar, NoReturn

from cliff.command import Command
from cliff.lister import Lister
from cliff.show import ShowOne

from migrator.cli import words
from migrator.cli.client import Client, endpoint_from_environment
from migrator.cli.exits import DONE, INTERRUPTED, REFUSED, UNKNOWN, CommandFailed

PROGRAMS = frozenset({"json", "yaml"})
SHELLS = frozenset({"csv", "value", "shell"})

OUTPUT_HELP = {
    "--format": "how to print it: table (the default), ",
    "--column": "print this field only; may be repeated",
    "--sort-column": "sort by this field; may be repeated, the first counts most",
    "--sort-ascending": "smallest first (the default)",
    "--sort-descending": "largest first",
}
"""The options of cliff's that are explained; the others work and are not worth a line."""

Row = dict[str, Any]
Columns = Mapping[str, Callable[[Row], str]]
"""Column of a table -> what a person reads in it."""


def say(text: str) -> None:
    """A line for the person at the terminal; stdout is for the answer."""
    print(text, file=sys.stderr, flush=True)


def field_columns(*names: str) -> Columns:
    """Columns that are fields of the object, in their units."""

    def column(name: str) -> Callable[[Row], str]:
        return lambda row: words.field(name, row.get(name))

    return {name: column(name) for name in names}


class PlainHelp(argparse.HelpFormatter):
    """Not cliff's own, whose colours count as width and push the explanations out of line."""


class ApiCommand(Command):
    """A command that asks the service."""

    exit_code = DONE
    """Set by a command whose answer is printed although it did not end well."""

    _client: Client | None = None

    @property
    def client(self) -> Client:
        if self._client is None:
            self._client = Client(endpoint_from_environment())
        return self._client

    def get_epilog(self) -> str:
        """Nothing: cliff would name the package of a plug-in here, and reads all installed ones for it,
        which takes longer than everything else a command does."""
        return ""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.formatter_class = PlainHelp
        # argparse's own form of an error has no code.
        vars(parser)["error"] = _error_of(parser)
        return parser

    def run(self, parsed_args: argparse.Namespace) -> int:
        try:
            return super().run(parsed_args) or self.exit_code
        except CommandFailed as error:
            say(words.printable(error))
            return error.status
        except KeyboardInterrupt:
            return INTERRUPTED
        except BrokenPipeError:
            raise
        except Exception as error:
            if self.app.options.debug:
                raise
            say(f"internal: {type(error).__name__}: {error}; --debug shows where")
            return UNKNOWN
        finally:
            if self._client is not None:
                self._client.close()


def _error_of(parser: argparse.ArgumentParser) -> Callable[[str], NoReturn]:
    def error(message: str) -> NoReturn:
        raise SystemExit(usage_error(message, parser))

    return error


def usage_error(message: str, parser: argparse.ArgumentParser) -> int:
    """Say what is wrong with a command line, and what was probably meant. :returns: the exit code."""
    known = [option for action in parser._actions for option in action.option_strings]
    unknown = re.match(r"unrecognized arguments: (--\S+)", message)
    meant = difflib.get_close_matches(unknown[1], known, n=1) if unknown else []
    hint = f"; did you mean {meant[0]}?" if meant else ""
    say(
        words.printable(
            f"request.invalid: {message}{hint} (`{parser.prog} --help` has the options)"
        )
    )
    return REFUSED


class _Shown(ApiCommand):
    """Of a command that prints objects: which fields they have and what a person sees of them."""

    keys: tuple[str, ...]
    """Every key of the API's object, in its order."""
    table: ClassVar[Columns]
    """What a person sees when no column was asked for."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        _explain_output(parser)
        return parser

    def run(self, parsed_args: argparse.Namespace) -> int:
        try:
            self._check_columns(parsed_args)
        except CommandFailed as error:
            say(words.printable(error))
            return error.status
        return super().run(parsed_args)

    def _check_columns(self, parsed: argparse.Namespace) -> None:
        """Before anything is asked for: a wrong column must not hide that a migration began."""
        known = [*self.keys, *(self.table if parsed.formatter == "table" else ())]
        for column in [*parsed.columns, *getattr(parsed, "sort_columns", ())]:
            if column.lower() not in known:
                close = difflib.get_close_matches(column.lower(), known, n=1)
                meant = (
                    f"did you mean {close[0]}?" if close else f"there are {', '.join(self.keys)}"
                )
                raise CommandFailed("request.invalid", f"no column {column!r}; {meant}", REFUSED)

    def _names(self, rows: Iterable[Row]) -> list[str]:
        """All keys, also those a newer service has added."""
        names = dict.fromkeys(self.keys)
        for row in rows:
            names.update(dict.fromkeys(row))
        return list(names)

    def _for_people(self, parsed: argparse.Namespace) -> Columns:
        if not parsed.columns:
            return self.table
        return {**self.table, **field_columns(*(key for key in self.keys if key not in self.table))}


def _explain_output(parser: argparse.ArgumentParser) -> None:
    for group in parser._action_groups[2:]:  # after argparse's two own
        group.title, group.description = "output", None
        for action in group._group_actions:
            name = action.option_strings[-1]
            action.help = OUTPUT_HELP.get(name, argparse.SUPPRESS)
            if name == "--format":
                formats = [each for each in action.choices or () if each != "table"]
                action.metavar, action.help = "FORMAT", action.help + ", ".join(formats)
            elif name == "--sort-column":
                action.metavar = "COLUMN"


def _for_shells(value: Any) -> Any:
    if value is None:
        return ""
    return json.dumps(value) if isinstance(value, list | dict | bool) else value


class ListCommand(_Shown, Lister):
    """Prints many objects."""

    empty: str
    """What is said when there are none."""

    def fetch(self, parsed: argparse.Namespace) -> list[Row]:
        """The API's objects."""
        raise NotImplementedError

    @property
    def need_sort_by_cliff(self) -> bool:
        return False  # it would sort what people read, not what is meant: 9 MiB after 10 GiB

    def take_action(self, parsed: argparse.Namespace) -> tuple[Sequence[str], Iterable[Any]]:
        rows = self.fetch(parsed)
        if not rows:
            say(self.empty)
        _sort(rows, parsed)
        if parsed.formatter in PROGRAMS | SHELLS:
            names = self._names(rows)
            adapt = _for_shells if parsed.formatter in SHELLS else lambda value: value
            return names, [[adapt(row.get(name)) for name in names] for row in rows]
        columns = self._for_people(parsed)
        return list(columns), [[shown(row) for shown in columns.values()] for row in rows]

    def produce_output(
        self, parsed: argparse.Namespace, names: Sequence[str], rows: Iterable[Sequence[Any]]
    ) -> int:
        if parsed.formatter == "table" and not rows and not parsed.print_empty:
            return DONE
        return super().produce_output(parsed, names, rows)


def _sort(rows: list[Row], parsed: argparse.Namespace) -> None:
    def key_of(column: str) -> Callable[[Row], tuple[bool, Any]]:
        numbers = all(isinstance(row.get(column), int | float | None) for row in rows)
        return lambda row: (
            row.get(column) is None,
            row.get(column) if numbers else str(row.get(column)),
        )

    for column in reversed(parsed.sort_columns):
        rows.sort(key=key_of(column.lower()), reverse=parsed.sort_direction == "desc")


class ShowCommand(_Shown, ShowOne):
    """Prints one object."""

    table: ClassVar[Columns] = {}
    """Fields that need more than their unit to be read by people."""

    sentence = ""
    """What a person reads instead of the table of the whole object."""

    def fetch(self, parsed: argparse.Namespace) -> Row:
        """The API's object."""
        raise NotImplementedError

    def pointless(self, row: Row) -> Collection[str]:
        """Fields that tell a person nothing about this object."""
        return ()

    def produce_output(
        self, parsed: argparse.Namespace, names: Sequence[str], values: Sequence[Any]
    ) -> int:
        if not self.sentence:
            return super().produce_output(parsed, names, values)
        if parsed.formatter == "table" and not parsed.columns:
            self.app.stdout.write(f"{self.sentence}\n")
            return DONE
        say(self.sentence)
        return super().produce_output(parsed, names, values)

    def take_action(self, parsed: argparse.Namespace) -> tuple[Sequence[str], Iterable[Any]]:
        row = self.fetch(parsed)
        names = self._names([row])
        if parsed.formatter in PROGRAMS:
            return names, [row.get(name) for name in names]
        if parsed.formatter in SHELLS:
            return names, [_for_shells(row.get(name)) for name in names]
        shown = {**field_columns(*names), **self.table}
        # A person who asked for no column is not shown what is unknown or empty.
        wanted = [
            name
            for name in shown
            if parsed.columns
            or not (row.get(name) in (None, [], "") or name in self.pointless(row))
        ]
        labels = wanted if parsed.columns else [re.sub("_(mib|ms)$", "", name) for name in wanted]
        return labels, [shown[name](row) for name in wanted]
