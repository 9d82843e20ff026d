"""Make room at the destination for what belongs to the guest besides its disks.

Its saved memory image and its firmware's variables lie in no pool. Both hosts open their directories as
pools for the time being, so that they are streamed and proven as volumes are.
"""

from __future__ import annotations

from typing import Any

import msgspec

from migrator.conductor.run import Run, send
from migrator.conductor.steps.base import Result, Results, Step
from migrator.errors import Transient
from migrator.messages import GatherState, ReceiveState, SourceFacts, UndoDestination
from migrator.model import AddTodo, StateFile, TodoKind
from migrator.states import PAST_NO_RETURN

DEADLINE_S = 60.0
UNDO_DEADLINE_S = 15.0
HERE, THERE = "source", "destination"


class BringState(Step):
    """Its undo removes the files it made, now or as a to-do when the host is away."""

    name = "bring_state"
    needs = ("describe_source", "prepare_destination")

    def execute(self, run: Run, results: Results) -> Result:
        facts = msgspec.convert(results["describe_source"], SourceFacts)
        if not facts.state_files:
            return {HERE: [], THERE: []}
        agents = run.context.agents
        gather = GatherState(**run.head(run.source, self.name, DEADLINE_S), files=facts.state_files)
        here = run.persist(lambda: send(run.source, agents.gather_state, gather)).files
        receive = ReceiveState(**run.head(run.destination, self.name, DEADLINE_S), files=here)
        there = run.persist(lambda: send(run.destination, agents.receive_state, receive)).files
        return {HERE: msgspec.to_builtins(here), THERE: msgspec.to_builtins(there)}

    def revert(self, run: Run, results: Results) -> None:
        facts = msgspec.convert(results["describe_source"], SourceFacts)
        if run.migration.state in PAST_NO_RETURN or not facts.state_files:
            return
        host = run.destination
        request = UndoDestination(
            **run.head(host, f"{self.name}-undo", UNDO_DEADLINE_S), files=facts.state_files
        )
        try:
            undone = send(host, run.context.agents.undo_destination, request)
        except Transient as away:
            run.note("step", f"{host} is to be cleaned later: {away.message}", code=away.code)
            payload = {"files": msgspec.to_builtins(facts.state_files)}
            run.update([AddTodo(TodoKind.UNDO_DESTINATION, host, payload)])
            run.context.todo.put(host)
            return
        for removed in undone.removed:
            run.note("step", f"{host}: removed {removed}")


def state_files(results: Results, where: str) -> list[StateFile]:
    """What was brought, as one of the two hosts has it; nothing when the step was not reached."""
    found: Any = (results.get(BringState.name) or {}).get(where, [])
    return msgspec.convert(found, list[StateFile])
