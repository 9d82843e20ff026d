"""The console script ``migrator``."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence

from migrator.cli.exits import DONE, PIPE_CLOSED
from migrator.version import version


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments == ["--version"]:
        print("migrator", version())
        return DONE
    from migrator.cli.app import run

    _tolerate_terminals()
    code = run(arguments)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # Python would complain once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    return code


def _tolerate_terminals() -> None:
    """A name that the terminal's encoding lacks is written as an escape and stops nothing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    sys.exit(main())
