"""How the command line ends: the exit codes, and the failure that carries one."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from migrator import states

DONE = 0
ENDED_BADLY = 1
"""The migration ended failed, cancelled or lost."""
REFUSED = 2
"""Refused, rejected, or the command line was wrong: asking again the same way gets the same answer."""
UNKNOWN = 3
"""The service could not be reached, or what became of the request is unknown."""
INTERRUPTED = 130
PIPE_CLOSED = 141

_NO_DETAILS: Mapping[str, Any] = MappingProxyType({})


class CommandFailed(Exception):
    """A command ends here.

    :param code: of the service, or of the command line itself.
    :param message: what happened, why, and what to do next.
    :param status: the exit code.
    :param details: facts of the service's answer.
    """

    def __init__(
        self, code: str, message: str, status: int, details: Mapping[str, Any] = _NO_DETAILS
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.details = details

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class ConnectionLost(CommandFailed):
    """The connection broke after the request had left: it may have been carried out."""


def exit_of_state(state: str) -> int:
    """The exit code of a migration that was waited for."""
    if state in states.ENDED_BADLY:
        return ENDED_BADLY
    return REFUSED if state == states.MigrationState.REJECTED else DONE
