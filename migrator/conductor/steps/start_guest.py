"""Start the guest at the destination if it ran at the source; what was off stays off."""

from __future__ import annotations

import msgspec

from migrator.conductor.run import Run, send
from migrator.conductor.steps.base import Result, Results, Step
from migrator.conductor.steps.commit_cold import commit_cold
from migrator.conductor.steps.stop_guest import check_off, look_until
from migrator.messages import SourceFacts
from migrator.messages import StartGuest as Ask
from migrator.states import PAST_NO_RETURN

DEADLINE_S = 90.0


class StartGuest(Step):
    """Its undo makes sure that the guest does not run there: it is about to be started at the source."""

    name = "start_guest"
    needs = ("describe_source", "stop_guest", "copy_volumes", "define_guest")

    def execute(self, run: Run, results: Results) -> Result:
        facts = msgspec.convert(results["describe_source"], SourceFacts)
        check_off(run, facts)
        if not facts.view.active:
            return {"why": f"{facts.name} is defined on {run.destination}, off as it was"}
        host = run.destination
        request = Ask(**run.head(host, self.name, DEADLINE_S))
        ask = run.context.agents.start_guest
        # A call that timed out may have started it; only the host knows.
        run.until_answered(f"{host} to start {facts.name}", lambda: send(host, ask, request))
        return {"why": f"{facts.name} was started on {host}"}

    def revert(self, run: Run, results: Results) -> None:
        facts = msgspec.convert(results["describe_source"], SourceFacts)
        if run.migration.state in PAST_NO_RETURN or not facts.view.active:
            return
        there = look_until(run, run.destination)
        ours = there.mark is not None and there.mark.migration_id == run.migration.id
        if there.active and ours:
            run.note("alarm", "the guest had been started when the migration was to be undone")
            commit_cold(run, results, "found running on the destination while rolling back")
