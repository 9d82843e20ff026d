"""Which commands an agent still obeys, and what it answers a repeat: pure, no lock, no clock.

A command names the agent process it was meant for (incarnation), who leads the migration (epoch) and
which piece of work it is (attempt, step, op). A leader that was replaced, and a command addressed to
a process that is gone, must change nothing; a command that arrives twice must act once.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from migrator.errors import Fenced, MigratorError, Transient
from migrator.messages import Command, Message

REMEMBERED_RESULTS = 4096
"""A result is needed only while a copy of its command may still be under way: a caller gives up
after the command's own deadline (a minute or so), and a migration sends an agent fewer than ten
commands, so this is some hundred migrations of head start. By count and not by age, because what has to
be bounded is memory, and the oldest are the first that nobody can ask for any more."""

REMEMBERED_MIGRATIONS = 4096
"""Epochs are needed as long as results are; they are smaller, so there is no reason to keep fewer."""


@dataclass(frozen=True)
class CommandKey:
    """One piece of work of one leader; a repeat has the same."""

    migration_id: str
    attempt: int
    epoch: int
    step: str
    op: str


@dataclass(frozen=True)
class Answered:
    """It was done; this is what was said."""

    reply: Message


@dataclass(frozen=True)
class Failed:
    """It was not done; this is why."""

    error: MigratorError


Outcome = Answered | Failed


@dataclass(frozen=True)
class Run:
    """New: do it, then :meth:`Ledger.settle` it."""

    key: CommandKey


@dataclass(frozen=True)
class Join:
    """Being done right now: wait for that result."""

    key: CommandKey


@dataclass(frozen=True)
class Repeat:
    """Done before: answer the same."""

    outcome: Outcome


class Ledger:
    """The commands one agent process has seen. Its owner serialises the calls."""

    def __init__(
        self,
        incarnation: str,
        results: int = REMEMBERED_RESULTS,
        migrations: int = REMEMBERED_MIGRATIONS,
    ) -> None:
        self.incarnation = incarnation
        self._epochs: OrderedDict[str, int] = OrderedDict()
        self._settled: OrderedDict[CommandKey, Outcome] = OrderedDict()
        self._running: set[CommandKey] = set()
        self._most_results = results
        self._most_migrations = migrations

    def admit(self, command: Command, op: str) -> Run | Join | Repeat:
        """Judge a command that has just arrived; its epoch is the lowest obeyed from now on.

        :raises Fenced: ``command.stale``, see :meth:`check`.
        """
        self.check(command)
        self._epochs[command.migration_id] = command.epoch
        self._epochs.move_to_end(command.migration_id)
        while len(self._epochs) > self._most_migrations:
            self._epochs.popitem(last=False)
        key = key_of(command, op)
        if key in self._running:
            return Join(key)
        if key in self._settled:
            self._settled.move_to_end(key)
            return Repeat(self._settled[key])
        self._running.add(key)
        return Run(key)

    def check(self, command: Command) -> None:
        """Is it still this process's and its leader's business?

        :raises Fenced: ``command.stale`` for another incarnation or a lower epoch; facts
            ``incarnation`` and ``epoch`` are what would be obeyed.
        """
        epoch = self._epochs.get(command.migration_id)
        if command.incarnation != self.incarnation:
            raise self._stale(
                "was meant for an agent process that is gone; read the host's incarnation again",
                epoch,
            )
        if epoch is not None and command.epoch < epoch:
            raise self._stale(
                f"comes from epoch {command.epoch} of the migration, which epoch {epoch} leads now;"
                " its sender must stop",
                epoch,
            )

    def settle(self, key: CommandKey, outcome: Outcome) -> None:
        """It has ended. What failed for now may be tried again, and so may what failed in an unforeseen
        way, or an undo would never get past its first bad luck: neither is remembered."""
        self._running.discard(key)
        if isinstance(outcome, Failed) and _may_work_later(outcome.error):
            return
        self._settled[key] = outcome
        while len(self._settled) > self._most_results:
            self._settled.popitem(last=False)

    def _stale(self, why: str, epoch: int | None) -> Fenced:
        return Fenced(
            "command.stale",
            f"the command {why}. Nothing was done.",
            incarnation=self.incarnation,
            epoch=epoch,
        )


def _may_work_later(error: MigratorError) -> bool:
    return isinstance(error, Transient) or error.code == "internal"


def key_of(command: Command, op: str) -> CommandKey:
    """What makes two commands the same piece of work."""
    return CommandKey(command.migration_id, command.attempt, command.epoch, command.step, op)
