"""The point of no return: the destination owns the guest from this transaction on."""

from __future__ import annotations

import msgspec

from migrator.conductor.run import Run
from migrator.conductor.steps.base import Result, Results, Step
from migrator.messages import SourceFacts
from migrator.model import AddTodo, DomainState, SwitchOwner, TodoKind
from migrator.states import MigrationState


class Commit(Step):
    """No undo. What follows are to-dos; the first destroys what is left of the guest at the source."""

    name = "commit"
    abortable = False
    needs = ("describe_source", "await_transfer")

    def execute(self, run: Run, results: Results) -> Result:
        commit(run, results, results["await_transfer"]["why"])
        return {}


def commit(run: Run, results: Results, why: str) -> None:
    """Owner moved, claims swapped, what follows written down: one transaction."""
    facts = msgspec.convert(results["describe_source"], SourceFacts)
    run.move(
        MigrationState.SWITCHED,
        why,
        [
            SwitchOwner(run.source, run.destination),
            AddTodo(TodoKind.FENCE_SOURCE, run.source),
            AddTodo(
                TodoKind.FINISH_DESTINATION,
                run.destination,
                {
                    "persistent": facts.view.persistent,
                    "autostart": facts.view.autostart,
                    "expect_paused": facts.view.state is DomainState.PAUSED,
                },
            ),
            AddTodo(TodoKind.RELEASE_SOURCE, run.source),
        ],
        attention=None,
        # Of a roll-back that found the guest there after all.
        error_code=None,
        error=None,
    )
