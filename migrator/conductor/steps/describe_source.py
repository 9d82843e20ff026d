"""Read the guest whole, once: every later step works from this."""

from __future__ import annotations

from migrator.conductor.disk_records import describe, keep_records
from migrator.conductor.placement import check_guest
from migrator.conductor.run import Run
from migrator.conductor.steps.base import Result, Results, Step, pack

HEADER_SUSPICIOUS = "disk.header_suspicious"
"""What the event is known by; nothing is refused for it."""


class DescribeSource(Step):
    """Reads; nothing to undo."""

    name = "describe_source"

    def harmless(self, results: Results) -> bool:
        return True

    def execute(self, run: Run, results: Results) -> Result:
        migration = run.migration
        known = run.context.stores.disks.of_instance(migration.instance_id)
        facts = run.persist(
            lambda: describe(run.context, run.source, migration.instance_id, migration.kind, known)
        )
        check_guest(facts, run.wishes())
        keep_records(run.context, facts, known)
        for disk in facts.disks:
            if disk.header is not None:
                run.note(
                    "alarm",
                    f"{HEADER_SUSPICIOUS}: disk {disk.target} is {disk.format} and begins like a"
                    f" {disk.header} image: its guest may try to have it opened as one. It stays"
                    f" {disk.format}",
                    target=disk.target,
                    header=disk.header,
                )
        return pack(facts)
