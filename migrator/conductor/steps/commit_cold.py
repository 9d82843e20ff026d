"""The destination owns the guest from this transaction on; the source keeps all of it until let go."""

from __future__ import annotations

from datetime import datetime

import msgspec

from migrator.conductor.run import Run
from migrator.conductor.steps.base import Result, Results, Step
from migrator.messages import SourceFacts
from migrator.model import AddTodo, Effect, Migration, MoveDisks, Statistics, SwitchOwner, TodoKind
from migrator.states import MigrationState
from migrator.storage.plan import copied
from migrator.storage.tell import planned_volumes


class CommitCold(Step):
    """No undo: from here on only an operator's revert leads back."""

    name = "commit_cold"
    abortable = False
    needs = ("describe_source", "stop_guest", "copy_volumes", "start_guest")

    def execute(self, run: Run, results: Results) -> Result:
        commit_cold(run, results, results["start_guest"]["why"])
        return {}


def commit_cold(run: Run, results: Results, why: str) -> None:
    """Owner moved, claims swapped, what follows written down: one transaction."""
    facts = msgspec.convert(results["describe_source"], SourceFacts)
    window_s = run.context.settings.cold_confirm_s
    effects: list[Effect] = [
        SwitchOwner(run.source, run.destination, in_use=facts.view.active),
        *([MoveDisks(run.migration.disks)] if run.migration.disks else []),
        AddTodo(
            TodoKind.FINISH_DESTINATION,
            run.destination,
            {
                "persistent": True,
                "autostart": facts.view.autostart,
                "created": msgspec.to_builtins(planned_volumes(run.migration.disks)),
            },
        ),
    ]
    if window_s > 0:
        payload = {"autostart": facts.view.autostart, "running": facts.view.active}
        effects.append(AddTodo(TodoKind.CONFIRM, run.source, payload, window_s))
    else:
        effects += let_go(run.migration, run.context.settings.delete_grace_s)
    run.move(
        MigrationState.SWITCHED,
        why,
        effects,
        statistics=_statistics(run, results),
        attention=None,
        # Of a roll-back that found the guest there after all.
        error_code=None,
        error=None,
    )


def let_go(migration: Migration, grace_s: float) -> list[Effect]:
    """What is left of the guest at its source is removed: the definition, then the volumes that were
    copied; never one that both hosts share."""
    assert migration.source is not None
    volumes = [[move.source_pool, move.source_volume] for move in copied(migration.disks)]
    release: list[Effect] = [AddTodo(TodoKind.RELEASE_SOURCE, migration.source)]
    if volumes:
        payload = {"volumes": volumes}
        release.append(AddTodo(TodoKind.DELETE_VOLUMES, migration.source, payload, grace_s))
    return release


def _statistics(run: Run, results: Results) -> Statistics:
    """How long the guest was off for its move, and how much was copied."""
    began = (results.get("stop_guest") or {}).get("began")
    off = None
    if began is not None:
        off = run.context.clock.now() - datetime.fromisoformat(began)
    return Statistics(
        downtime_ms=None if off is None else round(off.total_seconds() * 1000),
        disk_total=(results.get("copy_volumes") or {}).get("bytes"),
    )
