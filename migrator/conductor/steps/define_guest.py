"""Define the guest at the destination, off. The preparation undoes it, knowing it by its mark."""

from __future__ import annotations

from migrator.conductor.run import Run, send
from migrator.conductor.steps.base import Result, Results, Step, pack
from migrator.messages import DefineGuest as Ask

DEADLINE_S = 60.0


class DefineGuest(Step):
    """From the definition the conductor rendered."""

    name = "define_guest"
    needs = ("render", "copy_volumes")

    def execute(self, run: Run, results: Results) -> Result:
        host = run.destination
        rendered = results["render"]
        request = Ask(
            **run.head(host, self.name, DEADLINE_S),
            xml=rendered["persistent_xml"],
            saved_xml=rendered.get("saved_xml"),
        )
        return pack(run.persist(lambda: send(host, run.context.agents.define_guest, request)))
