"""The end of a cold move that waits for a word: the source is let go, or the guest is brought back.

Both are to-dos. Letting go is due when the window is over, or at once when an operator confirms;
bringing back takes its place when an operator reverts. And what follows a stop that was called off.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from migrator.conductor.context import Context
from migrator.conductor.run import head_of, send
from migrator.conductor.steps.commit_cold import let_go
from migrator.errors import Refused, Transient
from migrator.messages import InstanceRef, RestoreSource, StopGuest, StopHow
from migrator.model import (
    AddTodo,
    DiskLayer,
    DiskMode,
    DiskMove,
    Effect,
    Migration,
    MoveDisks,
    SwitchOwner,
    Todo,
    TodoKind,
)
from migrator.states import MigrationState
from migrator.storage.moves import made

STOP_DEADLINE_S = 60.0
START_DEADLINE_S = 90.0
POLITE_TRIES = 6
"""A guest that was asked to shut down is looked at again after 1, 2, 4... s: a minute in all."""

Done = tuple[list[Effect], dict[str, Any]]
"""What finishing a to-do changes: effects, and fields of the migration."""


def confirm(context: Context, migration: Migration, todo: Todo) -> Done:
    """The source is let go.

    :raises Transient: ``guest.busy`` while the guest is not settled over there.
    """
    if migration.state is not MigrationState.AWAITING_CONFIRM:
        raise Transient("guest.busy", f"the guest is not settled on {migration.destination} yet")
    files = todo.payload.get("here", ())
    return let_go(migration, context.settings.delete_grace_s, files), {}


def revert(context: Context, migration: Migration, todo: Todo) -> Done:
    """Off at the destination, then as it was at the source; what it wrote over there is lost.

    :raises Transient: ``guest.busy`` while it shuts down over there; look again.
    """
    assert migration.source is not None
    assert migration.destination is not None
    running = bool(todo.payload["running"])
    _stop_there(context, migration, todo)
    request = RestoreSource(
        **_head(context, migration, todo, migration.source, START_DEADLINE_S),
        autostart=bool(todo.payload["autostart"]),
        running=running,
    )
    send(migration.source, context.agents.restore_source, request)
    back: list[Effect] = [
        SwitchOwner(migration.destination, migration.source, in_use=running),
        AddTodo(TodoKind.UNDO_DESTINATION, migration.destination, _left(todo)),
    ]
    volumes = [[move.pool, move.volume] for move in made(migration.disks)]
    if volumes:
        payload = {"volumes": volumes}
        back += [
            MoveDisks(tuple(map(_turned, migration.disks))),
            AddTodo(TodoKind.DELETE_VOLUMES, migration.destination, payload),
        ]
    return back, {}


def start_again(context: Context, migration: Migration, todo: Todo) -> Done:
    """Its stop was called off, and it may obey it all the same until the time is over.

    :raises Transient: ``guest.busy`` while it runs and may; look again.
    """
    request = RestoreSource(
        **_head(context, migration, todo, todo.host, START_DEADLINE_S),
        autostart=bool(todo.payload["autostart"]),
        running=True,
        obeyed=True,
    )
    before = context.agents.inspect(todo.host, InstanceRef(instance_id=migration.instance_id)).view
    try:
        now = send(todo.host, context.agents.restore_source, request).view
    except Refused as refused:
        if refused.code != "instance.gone":
            raise
        context.stores.journal.note(migration.id, "observed", refused.message)
        return [], {}
    if now.active and not before.active:
        context.stores.journal.note(
            migration.id,
            "todo",
            f"the guest had shut down after all, and runs on {todo.host} again",
        )
    elif now.active and context.clock.now() < datetime.fromisoformat(todo.payload["until"]):
        raise Transient("guest.busy", "it runs; it may still obey the stop that was called off")
    return [], {}


def _stop_there(context: Context, migration: Migration, todo: Todo) -> None:
    host = migration.destination
    assert host is not None
    how = StopHow.ASK if todo.attempts < POLITE_TRIES else StopHow.KILL
    request = StopGuest(
        **_head(context, migration, todo, host, STOP_DEADLINE_S), autostart=False, how=how
    )
    try:
        view = send(host, context.agents.stop_guest, request).view
    except Refused as refused:
        if refused.code != "instance.gone":
            raise
        return
    if view.active:
        view = context.agents.inspect(host, InstanceRef(instance_id=migration.instance_id)).view
    if view.active:
        raise Transient("guest.busy", f"the guest is being shut down on {host}")


def _head(
    context: Context, migration: Migration, todo: Todo, host: str, deadline_s: float
) -> dict[str, Any]:
    return head_of(context, migration, host, f"todo-{todo.id}-{todo.attempts}", deadline_s)


def _turned(move: DiskMove) -> DiskMove:
    """The way back."""
    return replace(
        move,
        source_pool=move.pool,
        source_volume=move.volume,
        pool=move.source_pool,
        volume=move.source_volume,
        backing=tuple(
            DiskLayer(base.format, base.source_pool, base.source_volume, length=base.length)
            for base in move.bases
            if move.mode is DiskMode.COPY
        ),
    )


def _left(todo: Todo) -> dict[str, Any]:
    """What lies at the destination besides disks."""
    files = todo.payload.get("there", ())
    return {"files": list(files)} if files else {}
