"""Read the guest whole, once: every later step works from this."""

from __future__ import annotations

from migrator.conductor.placement import check_guest
from migrator.conductor.run import Run
from migrator.conductor.steps.base import Result, Results, Step, pack
from migrator.messages import InstanceRef


class DescribeSource(Step):
    """Reads; nothing to undo."""

    name = "describe_source"

    def execute(self, run: Run, results: Results) -> Result:
        request = InstanceRef(instance_id=run.migration.instance_id)
        facts = run.persist(lambda: run.context.agents.describe_source(run.source, request))
        check_guest(run.context, facts)
        return pack(facts)
