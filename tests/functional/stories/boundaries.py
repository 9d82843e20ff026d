"""Where one step of a flow ends and the next begins: a test stops a conductor there, for a while or for
good.

Everything a flow does is written through the journal: that a step begins or has begun to be undone, what
came of it, every move of the migration, the end of every to-do. The gate stands before the journal. A
conductor that is held there has done what it is about to write, and nothing after.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from taskflow import states

from migrator.conductor.ports import Stores
from migrator.errors import Fenced, Transient
from migrator.model import Todo
from migrator.states import MigrationState

AT_MOST_S = 60.0
"""A test that forgets a gate does not hang."""

BEFORE, DONE = states.RUNNING, states.SUCCESS
BEFORE_UNDO, UNDONE = states.REVERTING, states.REVERTED


def at(step: str, state: str) -> str:
    """A step is about to be written down so."""
    return f"{step} {state}"


def moved(state: MigrationState) -> str:
    """The migration has come into the state, and nothing has been done in it."""
    return f"moved to {state}"


def finished(kind: str) -> str:
    """A to-do is done, and about to be written down so."""
    return f"to-do {kind}"


class Gate:
    """Holds whoever comes to ``point`` first; ``passed`` is every point that was come to."""

    def __init__(self, point: str) -> None:
        self._point = point
        self._reached = threading.Event()
        self._open = threading.Event()
        self._dead = False
        self.passed: list[str] = []

    def wait(self) -> None:
        """Until somebody is held."""
        assert self._reached.wait(AT_MOST_S), f"{self._point} was not come to: {self.passed}"

    def let_on(self) -> None:
        """They go on."""
        self._open.set()

    def let_die(self) -> None:
        """They find that they are not needed any more; nothing they would write is written."""
        self._dead = True
        self._open.set()

    def pass_by(self, point: str) -> None:
        """:raises Fenced: ``command.stale`` to what has been held here and is dead."""
        self.passed.append(point)
        if point != self._point or self._reached.is_set():
            return
        self._reached.set()
        self._open.wait(AT_MOST_S)
        if self._dead:
            raise Fenced("command.stale", "this conductor is dead")

    def before(self, stores: Stores) -> Stores:
        """The stores of a conductor that meets this gate."""
        return replace(stores, journal=_Journal(stores.journal, self))


class Everywhere(Gate):
    """Holds nobody, and calls ``strike`` wherever something has been done."""

    def __init__(self, strike: Callable[[], None]) -> None:
        super().__init__("")
        self._strike = strike
        self._one_at_a_time = threading.Lock()

    def pass_by(self, point: str) -> None:
        super().pass_by(point)
        if not point.endswith((BEFORE, BEFORE_UNDO)):
            with self._one_at_a_time:
                self._strike()


class _Journal:
    def __init__(self, journal: Any, gate: Gate) -> None:
        self._journal = journal
        self._gate = gate

    def __getattr__(self, verb: str) -> Any:
        return getattr(self._journal, verb)

    def flow_backend(self, lead: Any) -> Any:
        return _Backend(self._journal.flow_backend(lead), self._gate)

    def move(self, lead: Any, old: Any, new: Any, *rest: Any, **changes: Any) -> Any:
        after = self._journal.move(lead, old, new, *rest, **changes)
        self._gate.pass_by(moved(new))
        return after

    def finish_todo(self, todo: Todo, *rest: Any, **changes: Any) -> Any:
        for each in (*changes.get("before", ()), todo):
            self._gate.pass_by(finished(each.kind))
        return self._journal.finish_todo(todo, *rest, **changes)


class _Backend:
    def __init__(self, backend: Any, gate: Gate) -> None:
        self._backend = backend
        self._connection = _Connection(backend.get_connection(), gate)

    def __getattr__(self, verb: str) -> Any:
        return getattr(self._backend, verb)

    def get_connection(self) -> _Connection:
        return self._connection


class _Connection:
    def __init__(self, connection: Any, gate: Gate) -> None:
        self._connection = connection
        self._gate = gate

    def __getattr__(self, verb: str) -> Any:
        return getattr(self._connection, verb)

    def update_atom_details(self, atom: Any) -> Any:
        self._gate.pass_by(at(atom.name, atom.state))
        return self._connection.update_atom_details(atom)


class Answers:
    """The agents as a conductor sees them: one answer may be lost on its way."""

    def __init__(self) -> None:
        self._agents: Any = None
        self._lose: tuple[str, str] | None = None
        self._strike: Callable[[], None] = lambda: None
        self.asked: list[tuple[str, str]] = []

    def of(self, agents: Any) -> Any:
        """Stand before them."""
        self._agents = agents
        return self

    def lose(self, host: str, verb: str, strike: Callable[[], None]) -> None:
        """The next ``verb`` to ``host`` is done, ``strike`` is called, and its answer is lost."""
        self._lose, self._strike = (host, verb), strike

    @property
    def lost(self) -> bool:
        return self._lose is None

    def __getattr__(self, verb: str) -> Any:
        ask = getattr(self._agents, verb)

        def asking(host: str, request: Any) -> Any:
            self.asked.append((host, verb))
            answer = ask(host, request)
            if (host, verb) != self._lose:
                return answer
            self._lose = None
            self._strike()
            raise Transient("rpc.timeout", "no answer")

        return asking
