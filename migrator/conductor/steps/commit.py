"""The point of no return: the destination owns the guest from this transaction on."""

from __future__ import annotations

import msgspec

from migrator.conductor.domain_xml import devices_at
from migrator.conductor.run import Run
from migrator.conductor.steering import suspended
from migrator.conductor.steps.base import Result, Results, Step
from migrator.conductor.steps.place import Placed
from migrator.messages import SourceFacts
from migrator.model import (
    AddTodo,
    DomainState,
    Effect,
    Method,
    Migration,
    MoveDisks,
    SwitchOwner,
    TodoKind,
)
from migrator.states import POSTCOPY_STATES, MigrationState
from migrator.storage.moves import made
from migrator.storage.tell import planned_volumes

USER_PAUSED, USER_RESUMED = "user_pause", "user_resume"
"""Actions in a migration's record: what was done to the guest at its host while it moved."""


class Commit(Step):
    """No undo. What follows are to-dos; the first destroys what is left of the guest at the source."""

    name = "commit"
    abortable = False
    telling = True
    needs = ("describe_source", "place", "await_transfer")

    def execute(self, run: Run, results: Results) -> Result:
        if run.migration.state is MigrationState.LOST:
            return {}
        commit(run, results, results["await_transfer"]["why"])
        return {}


def paused_on_its_way(migration: Migration) -> bool:
    """A user has paused the guest while it moved, and not resumed it; its record says so."""
    told = [each.action for each in migration.actions if each.action in (USER_PAUSED, USER_RESUMED)]
    return bool(told) and told[-1] == USER_PAUSED


def _devices(facts: SourceFacts, results: Results) -> list[str]:
    """What the guest gets at the destination in place of what it was to let go of."""
    placed = msgspec.convert(results["place"], Placed)
    given = (
        {}
        if placed.placement is None
        else {each.request_id: each.address for each in placed.placement.devices}
    )
    return devices_at(facts.live_xml, {here: given.get(here, here) for here in placed.detach})


def commit(run: Run, results: Results, why: str) -> None:
    """Owner moved, claims swapped, what follows written down: one transaction."""
    run.reread()
    # In post-copy the destination owns the guest since it began.
    split = run.migration.state in POSTCOPY_STATES
    run.move(
        MigrationState.SWITCHED,
        why,
        [
            *([] if split else new_owner(run)),
            AddTodo(TodoKind.FENCE_SOURCE, run.source),
            finishing(run, results),
            AddTodo(TodoKind.RELEASE_SOURCE, run.source),
            *_what_is_left(run),
        ],
        method=_method(run),
        attention=None,
        # Of a roll-back that found the guest there after all.
        error_code=None,
        error=None,
    )


def new_owner(run: Run) -> list[Effect]:
    """The destination has the guest from here on, and what its disks hold from now."""
    owner = SwitchOwner(run.source, run.destination)
    return [owner, MoveDisks(run.migration.disks)] if run.migration.disks else [owner]


def finishing(run: Run, results: Results) -> AddTodo:
    """Settling the guest at its destination."""
    facts = msgspec.convert(results["describe_source"], SourceFacts)
    return AddTodo(
        TodoKind.FINISH_DESTINATION,
        run.destination,
        {
            "persistent": facts.view.persistent,
            "autostart": facts.view.autostart,
            "expect_paused": facts.view.state is DomainState.PAUSED,
            "pause": paused_on_its_way(run.migration),
            "created": msgspec.to_builtins(planned_volumes(run.migration.disks)),
            "devices": _devices(facts, results),
        },
    )


def _what_is_left(run: Run) -> list[AddTodo]:
    """The source's volumes whose content has moved; never one that both hosts share."""
    volumes = [[move.source_pool, move.source_volume] for move in made(run.migration.disks)]
    if not volumes:
        return []
    grace_s = run.context.settings.delete_grace_s
    return [AddTodo(TodoKind.DELETE_VOLUMES, run.source, {"volumes": volumes}, grace_s)]


def _method(run: Run) -> Method | None:
    if suspended(run.migration) and run.migration.method is Method.PRECOPY:
        return Method.PAUSE
    return run.migration.method
