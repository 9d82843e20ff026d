"""Durable work after the flow, retried until done; nothing blocks while a host is away.

What each kind is stands in :mod:`migrator.conductor.todo_calls`. To-dos of one host and migration are
worked in the order they were written: the source is fenced before it is released.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from migrator.about import about
from migrator.conductor.confirmation import Done
from migrator.conductor.context import Context
from migrator.conductor.todo_calls import KINDS
from migrator.errors import Broken, Fenced, MigratorError, Transient
from migrator.model import (
    Effect,
    Migration,
    Todo,
    TodoKind,
)
from migrator.storage.moves import made

LOG = logging.getLogger(__name__)

T = TypeVar("T")

IDLE_S = 30.0
"""Longest sleep of the loop while nothing is to be done; it is woken when something is written."""
BUSY_S = 3.0
"""While something is: another conductor may have learnt that a host is back, and what is being worked
on has to be kept."""
AGAIN_S = 1.0
"""After a look that failed."""
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 60.0
"""Between two tries while the host is away; its return makes everything due."""
LONGEST_HERE_S = 5.0
"""Between two tries while its agent is heard of."""
ATTENTION_AFTER = 3
"""Tries that failed before a person is asked to look."""
WATCHES = frozenset({TodoKind.START_AGAIN})
"""That a guest is as it should be is no reason for a person to look."""


class Todos:
    """The loop."""

    def __init__(self, context: Context, settled: Callable[[str], None]) -> None:
        """:param settled: called with the instance's id when its migration has ended."""
        self._context = context
        self._settled = settled
        self._stopped = False
        self._lock = context.concurrency.lock()
        self._working: set[int] = set()

    def run(self) -> None:
        """Work what is due, for ever."""
        while not self._stopped:
            try:
                pause = self._work_due()
            except MigratorError as error:
                LOG.warning("to-dos wait for the database: %s", error)
                pause = AGAIN_S
            except Exception:
                # Without this loop no migration ends.
                LOG.exception("the to-do loop met something unforeseen and goes on")
                pause = AGAIN_S
            self._context.todo.get(pause)

    def stop(self) -> None:
        self._stopped = True
        self._context.todo.put("stop")

    def _work_due(self) -> float:
        """Start everything due; seconds until the next look."""
        stores = self._context.stores
        self._keep()
        due: dict[str, dict[str, list[Todo]]] = {}
        for todo in stores.migrations.due_todos(self._context.settings.name):
            due.setdefault(todo.migration_id, {}).setdefault(todo.host, []).append(todo)
        for migration_id, hosts in due.items():
            self._spawn(migration_id, partial(self._work_migration, migration_id, hosts))
        upcoming = stores.migrations.next_todo_in(self._context.settings.name)
        return IDLE_S if upcoming is None else min(max(upcoming, 0.05), BUSY_S)

    def _keep(self) -> None:
        with self._lock:
            working = sorted(self._working)
        if working:
            self._context.stores.migrations.keep_todos(self._context.settings.name, working)

    def _spawn(self, migration_id: str, work: Callable[[], None]) -> None:
        def bound() -> None:
            with about(migration_id):
                work()

        self._context.concurrency.spawn(f"todo-{migration_id[:8]}", bound)

    def _work_migration(self, migration_id: str, hosts: Mapping[str, Sequence[Todo]]) -> None:
        """All hosts at once; the last one here."""
        get = self._context.stores.migrations.get
        migration = self._written(lambda: get(migration_id))
        *others, last = hosts.values()
        for todos in others:
            self._spawn(migration_id, partial(self._work_group, migration, todos))
        self._work_group(migration, last)

    def _work_group(self, migration: Migration, todos: Sequence[Todo]) -> None:
        ids = {todo.id for todo in todos}
        with self._lock:
            self._working |= ids
        try:
            self._work_in_order(migration, todos)
        finally:
            with self._lock:
                self._working -= ids

    def _work_in_order(self, migration: Migration, todos: Sequence[Todo]) -> None:
        """In their order. One that changed nothing is written down with what follows."""
        unwritten: list[Todo] = []
        for todo in todos:
            done = self._work(migration, todo)
            if done is None:
                break
            unwritten.append(todo)
            effects, changes = done
            if effects or changes or todo is todos[-1]:
                self._write_down(migration, unwritten, effects, changes)
                unwritten = []
        if unwritten:
            self._write_down(migration, unwritten, [], {})
        if done is None:
            return
        if made(migration.disks):
            # What waits out its grace waited for these, and is due at a time of its own.
            self._context.todo.put(migration.id)

    def _written(self, ask: Callable[[], T]) -> T:
        """Ask the database until it answers: what was done on a host is not forgotten because the record
        of it could not be written, and every such write may be repeated."""
        while True:
            try:
                return ask()
            except Transient as error:
                if not error.code.startswith("database.") or self._stopped:
                    raise
                LOG.warning("a to-do waits for the database: %s", error)
                self._context.clock.sleep(AGAIN_S)

    def _work(self, migration: Migration, todo: Todo) -> Done | None:
        """One try; None when it must be tried again."""
        try:
            effects, changes = KINDS[todo.kind](self._context, migration, todo)
        except Fenced as fenced:
            LOG.warning("to-do %s of %s is another leader's: %s", todo.kind, migration.id, fenced)
            self._postpone(todo, fenced)
            return None
        except MigratorError as error:
            self._postpone(todo, error)
            return None
        except Exception as bug:
            LOG.exception("to-do %s of %s", todo.kind, migration.id)
            self._postpone(todo, Broken("internal", f"{bug!r}; the conductor's log says more"))
            return None
        if todo.attempts >= ATTENTION_AFTER and self._waits_for(migration.id, todo):
            changes.setdefault("attention", None)
        return effects, changes

    def _write_down(
        self,
        migration: Migration,
        todos: Sequence[Todo],
        effects: Sequence[Effect],
        changes: Mapping[str, Any],
    ) -> None:
        finish = self._context.stores.journal.finish_todo
        *before, todo = todos
        ended = self._written(lambda: finish(todo, effects, before=before, **changes))
        # None: it had been done before, perhaps by the very write that was repeated.
        if ended is None or ended.finished_at is not None:
            self._settled(migration.instance_id)

    def _postpone(self, todo: Todo, error: MigratorError) -> None:
        attempts = todo.attempts + 1
        attention = f"{_waiting_for(todo)}{error.message}"
        postpone = self._context.stores.journal.postpone_todo
        waits = todo.kind in WATCHES and error.code == "guest.busy"
        flag = attention if attempts >= ATTENTION_AFTER and not waits else None
        hosts = self._context.stores.hosts
        self._written(
            lambda: postpone(
                todo, str(error), pause_before(attempts, hosts.get(todo.host).alive), flag
            )
        )
        self._context.todo.put(todo.id)

    def _waits_for(self, migration_id: str, todo: Todo) -> bool:
        """The flag is up for this to-do, and not for an alarm that has to stay."""
        get = self._context.stores.migrations.get
        attention = self._written(lambda: get(migration_id)).attention
        return attention is not None and attention.startswith(_waiting_for(todo))


def pause_before(attempts: int, heard: bool) -> float:
    """Seconds until a to-do that failed ``attempts`` times is tried again: doubles up to a limit.

    :param heard: the host's agent is not away.
    """
    longest = LONGEST_HERE_S if heard else LONGEST_PAUSE_S
    return float(min(FIRST_PAUSE_S * 2 ** min(attempts, 16), longest))


def _waiting_for(todo: Todo) -> str:
    return f"waiting for {todo.host} to {todo.kind.replace('_', ' ')}: "
