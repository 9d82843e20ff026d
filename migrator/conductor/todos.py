"""Durable work after the flow, retried until done; nothing blocks while a host is away.

Each kind is one agent call that converges. To-dos of one host and migration are worked in the order
they were written: the source is fenced before it is released.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import msgspec

from migrator.about import about
from migrator.conductor import confirmation
from migrator.conductor.context import Context
from migrator.conductor.run import head_of, send
from migrator.errors import Broken, Fenced, MigratorError, Refused, Transient
from migrator.messages import (
    AttachDevices,
    DeleteVolumes,
    FenceSource,
    FinishDestination,
    InstanceRef,
    ReleaseSource,
    UndoDestination,
)
from migrator.model import (
    DomainState,
    DomainSummary,
    DomainView,
    DropClaim,
    Effect,
    Migration,
    Statistics,
    Tell,
    Todo,
    TodoKind,
)
from migrator.storage.moves import made
from migrator.storage.tell import planned_bases, planned_volumes

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
DEADLINES_S: Mapping[TodoKind, float] = {
    TodoKind.FENCE_SOURCE: 20.0,
    TodoKind.FINISH_DESTINATION: 30.0,
    TodoKind.RELEASE_SOURCE: 30.0,
    TodoKind.UNDO_DESTINATION: 20.0,
    TodoKind.DELETE_VOLUMES: 60.0,
    TodoKind.ATTACH_DEVICES: 30.0,
}

Done = tuple[list[Effect], dict[str, Any]]
"""What finishing one changes: effects, and fields of the migration."""


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
            effects, changes = _KINDS[todo.kind](self._context, migration, todo)
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


def _head(context: Context, migration: Migration, todo: Todo) -> dict[str, Any]:
    deadline = DEADLINES_S[todo.kind]
    return head_of(context, migration, todo.host, f"todo-{todo.id}-{todo.attempts}", deadline)


def _fence_source(context: Context, migration: Migration, todo: Todo) -> Done:
    request = FenceSource(**_head(context, migration, todo))
    try:
        result = send(todo.host, context.agents.fence_source, request).result
        if result == "may_have_returned":
            if not _is_at_destination(context, migration):
                return _came_back(context, migration, todo)
            sure = msgspec.structs.replace(request, step=f"{request.step}-sure", sure=True)
            result = send(todo.host, context.agents.fence_source, sure).result
    except Refused as refused:
        # Not this attempt's domain; unless two run now there is nothing to fence.
        if isinstance(refused, Fenced) or _is_at_destination(context, migration):
            raise
        return _came_back(context, migration, todo)
    if result != "destroyed_running":
        return [], {}
    text = f"the guest ran on {todo.host} as well; that copy was paused and destroyed"
    context.stores.journal.note(migration.id, "alarm", text)
    return [], {"attention": text + "; check the guest's file systems"}


def _is_at_destination(context: Context, migration: Migration) -> bool:
    assert migration.destination is not None
    request = InstanceRef(instance_id=migration.instance_id)
    return context.agents.inspect(migration.destination, request).view.active


def _came_back(context: Context, migration: Migration, todo: Todo) -> Done:
    """By other hands, after it had left: destroying it would destroy the only one."""
    text = f"the guest is back on {todo.host} and not on {migration.destination}; it is left alone"
    context.stores.journal.note(migration.id, "observed", text)
    return [], {}


def _finish_destination(context: Context, migration: Migration, todo: Todo) -> Done:
    request = FinishDestination(**_head(context, migration, todo), **todo.payload)
    word = context.stores.instances.word_of(todo.host, migration.instance_id)
    try:
        finished = send(todo.host, context.agents.finish_destination, request)
    except Refused as refused:
        if refused.code != "instance.gone":
            raise
        # It arrived, and its owner has ended it since: nothing is left to settle.
        context.stores.journal.note(migration.id, "observed", refused.message)
        return [], {}
    if finished.seen is not None:
        instances = context.stores.instances
        instances.record_look(todo.host, migration.instance_id, finished.seen, word.number)
    elif word.said is None or word.said.incoming:
        _note_arrival(context, todo.host, finished.view, (migration.instance_id, word.number))
    return [], _statistics(context, migration, finished.statistics)


def _note_arrival(context: Context, host: str, view: DomainView, asked: tuple[str, int]) -> None:
    """An agent that restarted may not have reported the guest yet: ended before it has, the migration
    would leave the instance gone. What an agent reports meanwhile is newer than this answer.

    :param asked: for which instance, and the last word heard of its agent before it was asked."""
    instance_id, since = asked
    instances = context.stores.instances
    known = instances.get(instance_id)
    if known is None:
        return
    arrived = DomainSummary(
        id=known.id,
        name=view.name,
        state=view.state,
        reason=view.reason,
        persistent=view.persistent,
        vcpus=known.vcpus,
        memory_mib=known.memory_mib,
    )
    instances.record_look(host, known.id, arrived, since)


def _release_source(context: Context, migration: Migration, todo: Todo) -> Done:
    request = ReleaseSource(**_head(context, migration, todo), **todo.payload)
    since = context.stores.instances.word_of(todo.host, migration.instance_id).number
    released = send(todo.host, context.agents.release_source, request)
    if released.view.state is DomainState.ABSENT:
        # The agent has just looked: its events may be later than this answer.
        context.stores.instances.record_look(todo.host, migration.instance_id, None, since)
    changes = _statistics(context, migration, released.statistics)
    measured = changes.get("statistics", migration.statistics)
    return [DropClaim(todo.host), *_blackout(migration, measured)], changes


def _undo_destination(context: Context, migration: Migration, todo: Todo) -> Done:
    created = [*planned_volumes(migration.disks), *planned_bases(migration.disks)]
    request = UndoDestination(**_head(context, migration, todo), created=created, **todo.payload)
    undone = send(todo.host, context.agents.undo_destination, request)
    for removed in undone.removed:
        context.stores.journal.note(migration.id, "todo", f"{todo.host}: removed {removed}")
    return [], {}


def _delete_volumes(context: Context, migration: Migration, todo: Todo) -> Done:
    """Only while the other host still has the guest that was seen there: until then these volumes are
    the only ones that are known to be whole."""
    assert migration.source is not None
    assert migration.destination is not None
    reverted = todo.host == migration.destination
    keeper = migration.source if reverted else migration.destination
    request = InstanceRef(instance_id=migration.instance_id)
    there = context.agents.inspect(keeper, request).view
    if there.state is DomainState.ABSENT:
        kept = ", ".join(f"{pool}/{volume}" for pool, volume in todo.payload["volumes"])
        text = (
            f"{keeper} has no domain of {migration.instance_name} any more; the volumes "
            f"it left on {todo.host} are kept: {kept}. Delete them when nobody needs them"
        )
        context.stores.journal.note(migration.id, "alarm", text)
        return [], {}
    command = DeleteVolumes(**_head(context, migration, todo), **todo.payload)
    try:
        deleted = send(todo.host, context.agents.delete_volumes, command)
    except Refused as refused:
        if refused.code not in ("volume.in_use", "pool.missing"):
            raise
        context.stores.journal.note(migration.id, "alarm", refused.message)
        return [], {}
    for removed in deleted.removed:
        context.stores.journal.note(migration.id, "todo", f"{todo.host}: deleted {removed}")
    return [], {}


def _attach_devices(context: Context, migration: Migration, todo: Todo) -> Done:
    request = AttachDevices(**_head(context, migration, todo), **todo.payload)
    since = context.stores.instances.word_of(todo.host, migration.instance_id).number
    given = send(todo.host, context.agents.attach_devices, request)
    if given.seen is not None:
        instances = context.stores.instances
        instances.record_look(todo.host, migration.instance_id, given.seen, since)
    for address in given.attached:
        context.stores.journal.note(migration.id, "todo", f"{todo.host}: the guest has {address}")
    return [], {}


def _statistics(
    context: Context, migration: Migration, statistics: Statistics | None
) -> dict[str, Any]:
    """Whichever end's libvirt knows the downtime; both tell the same."""
    if statistics is None or statistics.downtime_ms is None:
        return {}
    assert migration.source is not None
    assert migration.destination is not None
    blackout = context.blackouts.of(migration.instance_id, migration.source, migration.destination)
    return {"statistics": replace(statistics, blackout_ms=blackout)}


def _blackout(migration: Migration, measured: Statistics) -> list[Effect]:
    """Both figures of how long the guest stood still, for the history."""
    if measured.blackout_ms is None:
        return []
    net = measured.downtime_net_ms
    text = (
        f"the guest stood still for {measured.blackout_ms} ms, from its pause on {migration.source} to"
        f" its first instruction on {migration.destination} as seen from here; libvirt counts"
        f" {measured.downtime_ms} ms"
        + ("" if net is None else f", {net} of them without the network")
    )
    facts = {
        "blackout_ms": measured.blackout_ms,
        "downtime_ms": measured.downtime_ms,
        "downtime_net_ms": measured.downtime_net_ms,
    }
    return [Tell("observed", text, facts)]


_KINDS: Mapping[TodoKind, Callable[[Context, Migration, Todo], Done]] = {
    TodoKind.FENCE_SOURCE: _fence_source,
    TodoKind.FINISH_DESTINATION: _finish_destination,
    TodoKind.RELEASE_SOURCE: _release_source,
    TodoKind.UNDO_DESTINATION: _undo_destination,
    TodoKind.DELETE_VOLUMES: _delete_volumes,
    TodoKind.ATTACH_DEVICES: _attach_devices,
    TodoKind.CONFIRM: confirmation.confirm,
    TodoKind.REVERT: confirmation.revert,
    TodoKind.START_AGAIN: confirmation.start_again,
}
