"""The destination owns the guest from this transaction on; the source keeps all of it until let go."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from migrator.conductor.run import Run
from migrator.conductor.steps.base import Result, Results, Step
from migrator.conductor.steps.bring_state import HERE, THERE, state_files
from migrator.messages import SourceFacts
from migrator.model import (
    AddTodo,
    DiskMode,
    Effect,
    Migration,
    MoveDisks,
    Statistics,
    SwitchOwner,
    TodoKind,
)
from migrator.states import MigrationState
from migrator.storage.moves import made
from migrator.storage.tell import planned_volumes


class CommitCold(Step):
    """No undo: from here on only an operator's revert leads back."""

    name = "commit_cold"
    abortable = False
    needs = ("describe_source", "bring_state", "stop_guest", "copy_volumes", "start_guest")

    def execute(self, run: Run, results: Results) -> Result:
        commit_cold(run, results, results["start_guest"]["why"])
        return {}


def commit_cold(run: Run, results: Results, why: str) -> None:
    """Owner moved, claims swapped, what follows written down: one transaction."""
    facts = msgspec.convert(results["describe_source"], SourceFacts)
    window_s = _window(run, facts)
    here, there = (msgspec.to_builtins(state_files(results, where)) for where in (HERE, THERE))
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
                "files": there,
            },
        ),
    ]
    if window_s > 0:
        payload = {
            "autostart": facts.view.autostart,
            "running": facts.view.active,
            "here": here,
            "there": there,
        }
        effects.append(AddTodo(TodoKind.CONFIRM, run.source, payload, window_s))
    else:
        effects += let_go(run.migration, run.context.settings.delete_grace_s, here)
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


def let_go(migration: Migration, grace_s: float, files: Sequence[Any]) -> list[Effect]:
    """What is left of the guest at its source is removed: the definition, then the volumes that were
    copied; never one that both hosts share.

    :param files: what was left there besides disks, as it was journalled.
    """
    assert migration.source is not None
    volumes = [[move.source_pool, move.source_volume] for move in made(migration.disks)]
    left = {"files": list(files)} if files else {}
    release: list[Effect] = [AddTodo(TodoKind.RELEASE_SOURCE, migration.source, left)]
    if volumes:
        payload = {"volumes": volumes}
        release.append(AddTodo(TodoKind.DELETE_VOLUMES, migration.source, payload, grace_s))
    return release


def _window(run: Run, facts: SourceFacts) -> float:
    """Seconds the source keeps the guest. A saved memory image fits shared disks only until somebody
    starts the guest over there: brought back after that it would ruin them."""
    shared = any(
        move.mode is DiskMode.SHARED and not move.read_only for move in run.migration.disks
    )
    wanted = run.context.settings.cold_confirm_s
    if facts.saved_xml is None or not shared or wanted <= 0:
        return wanted
    run.note("step", "its saved memory and its shared disks belong together: it cannot be reverted")
    return 0.0


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
