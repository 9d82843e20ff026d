"""Every command passes here: fenced, once per key, one at a time per guest, within its deadline."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TypeVar, cast

import msgspec

from migrator.about import about
from migrator.compute_agent.fencing import (
    Answered,
    CommandKey,
    Failed,
    Join,
    Ledger,
    Outcome,
    Repeat,
)
from migrator.compute_agent.latch import Latch
from migrator.compute_agent.turns import Turns
from migrator.errors import Broken, MigratorError, Transient, error_from_dict
from migrator.messages import Command, Message
from migrator.ports import Clock, Concurrency

LOG = logging.getLogger(__name__)

C = TypeVar("C", bound=Command)
R = TypeVar("R", bound=Message)

WITHOUT_TURN = frozenset({"fence_source", "steer"})
"""The first ends a guest that must not run any more, so it never waits behind a command that waits for
that guest's transfer to end; it only takes away. The second only tells a transfer's monitor something,
and is not to wait for its end either."""


@dataclass
class _Pending:
    """A command being worked on, and what came of it."""

    ended: Latch
    outcome: Outcome | None = None


class CommandGate:
    """Serialises what must be, around the pure :class:`Ledger`."""

    def __init__(self, ledger: Ledger, clock: Clock, concurrency: Concurrency) -> None:
        self._ledger = ledger
        self._clock = clock
        self._concurrency = concurrency
        self._turns = Turns(concurrency)
        self._lock = concurrency.lock()
        self._pending: dict[CommandKey, _Pending] = {}

    def run(self, op: str, request: C, work: Callable[[C], R]) -> R:
        """Do ``work`` unless the command is stale, late or known already.

        :raises Fenced: ``command.stale``.
        :raises Transient: ``command.deadline``, and whatever ``work`` raises.
        """
        with about(request.migration_id):
            return self._run(op, request, work)

    def _run(self, op: str, request: C, work: Callable[[C], R]) -> R:
        deadline = self._clock.monotonic() + request.deadline_s
        self._time_left(deadline)
        with self._lock:
            verdict = self._ledger.admit(request, op)
            if isinstance(verdict, Repeat):
                pending = None
            elif isinstance(verdict, Join):
                pending = self._pending[verdict.key]
            else:
                pending = self._pending[verdict.key] = _Pending(Latch(self._concurrency))
        if isinstance(verdict, Repeat):
            return cast(R, _open(verdict.outcome))
        assert pending is not None
        if isinstance(verdict, Join):
            return cast(R, _open(self._join(pending, deadline)))
        outcome = self._outcome(op, request, work, deadline)
        with self._lock:
            self._ledger.settle(verdict.key, outcome)
            del self._pending[verdict.key]
        pending.outcome = outcome
        pending.ended.set()
        return cast(R, _open(outcome))

    def _join(self, pending: _Pending, deadline: float) -> Outcome:
        pending.ended.wait(self._time_left(deadline))
        if pending.outcome is None:
            raise _too_late()
        return pending.outcome

    def _outcome(self, op: str, request: C, work: Callable[[C], R], deadline: float) -> Outcome:
        try:
            with self._turn(op, request, deadline):
                with self._lock:
                    self._ledger.check(request)
                left = self._time_left(deadline)
                return Answered(work(msgspec.structs.replace(request, deadline_s=left)))
        except MigratorError as error:
            return Failed(error)
        except Exception:
            LOG.exception("%s of migration %s failed", op, request.migration_id)
            return Failed(
                Broken("internal", f"{op} failed in an unforeseen way; the agent's log says how")
            )

    def _turn(self, op: str, request: Command, deadline: float) -> AbstractContextManager[None]:
        if op in WITHOUT_TURN:
            return nullcontext()
        return self._turns.hold(request.instance_id, self._time_left(deadline))

    def _time_left(self, deadline: float) -> float:
        left = deadline - self._clock.monotonic()
        if left <= 0:
            raise _too_late()
        return left


def _open(outcome: Outcome) -> Message:
    """The reply, or a copy of the error: one exception object raised in several workers would
    collect the stack of each."""
    if isinstance(outcome, Failed):
        raise error_from_dict(outcome.error.to_dict())
    return outcome.reply


def _too_late() -> Transient:
    return Transient(
        "command.deadline",
        "the command's time was over before its work had ended; look at what is so, then ask again",
    )
