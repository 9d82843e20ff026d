"""What each kind of to-do is: one agent call that converges, and what its answer changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import msgspec

from migrator.conductor import confirmation
from migrator.conductor.confirmation import Done
from migrator.conductor.context import Context
from migrator.conductor.run import head_of, send
from migrator.errors import Fenced, Refused, Transient
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
    DropClaim,
    Effect,
    Migration,
    Statistics,
    Tell,
    Todo,
    TodoKind,
)
from migrator.storage.tell import planned_bases, planned_volumes

DEADLINES_S: Mapping[TodoKind, float] = {
    TodoKind.FENCE_SOURCE: 20.0,
    TodoKind.FINISH_DESTINATION: 30.0,
    TodoKind.RELEASE_SOURCE: 30.0,
    TodoKind.UNDO_DESTINATION: 20.0,
    TodoKind.DELETE_VOLUMES: 60.0,
    TodoKind.ATTACH_DEVICES: 30.0,
}


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
    try:
        finished = send(todo.host, context.agents.finish_destination, request)
    except Refused as refused:
        if refused.code != "instance.gone":
            raise
        # It arrived, and its owner has ended it since: nothing is left to settle.
        context.stores.journal.note(migration.id, "observed", refused.message)
        return [], {}
    if finished.seen is not None:
        # An agent that restarted may not have reported the guest yet: ended before it has, the
        # migration would leave the instance gone.
        instances = context.stores.instances
        instances.record_look(todo.host, migration.instance_id, finished.seen, finished.word)
    return [], _statistics(context, migration, finished.statistics)


def _release_source(context: Context, migration: Migration, todo: Todo) -> Done:
    request = ReleaseSource(**_head(context, migration, todo), **todo.payload)
    released = send(todo.host, context.agents.release_source, request)
    if released.view.state is DomainState.ABSENT:
        # The agent has just looked: its events may be later than this answer.
        instances = context.stores.instances
        instances.record_look(todo.host, migration.instance_id, None, released.word)
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
    """:raises Transient: while another migration has its own say, and while the guest stands still: it
    may let go of what it was asked to when it runs again."""
    known = context.stores.instances.get(migration.instance_id)
    if known is not None and known.migration_id not in (None, migration.id):
        raise Transient(
            "guest.busy", "another migration moves the guest, and has its devices in hand"
        )
    request = AttachDevices(**_head(context, migration, todo), **todo.payload)
    given = send(todo.host, context.agents.attach_devices, request)
    if given.seen is not None:
        instances = context.stores.instances
        instances.record_look(todo.host, migration.instance_id, given.seen, given.word)
    for address in given.attached:
        context.stores.journal.note(migration.id, "todo", f"{todo.host}: the guest has {address}")
    if given.seen is not None and given.seen.state is DomainState.PAUSED:
        raise Transient("guest.busy", "the guest is paused; its devices are looked at when it runs")
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


KINDS: Mapping[TodoKind, Callable[[Context, Migration, Todo], Done]] = {
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
