"""Have the source's libvirt take the transfer; it runs on there whatever becomes of us."""

from __future__ import annotations

import msgspec

from migrator.conductor.outcome import Verdict, judge
from migrator.conductor.run import Run, send
from migrator.conductor.steps.base import Result, Results, Step, pack
from migrator.conductor.steps.commit import commit
from migrator.conductor.steps.place import Placed
from migrator.conductor.transfer_plan import (
    DiskCopy,
    needs_synchronous_writes,
    start_flags,
)
from migrator.errors import Transient
from migrator.messages import (
    Abort,
    Aborted,
    DestinationPrepared,
    InstanceRef,
    SourceFacts,
    TransferPlan,
)
from migrator.messages import StartTransfer as Ask
from migrator.model import TransferPolicy
from migrator.states import MigrationState

DEADLINE_S = 60.0
"""Until libvirt shows the job: it first starts a QEMU on the destination (0.2 s idle, many loaded)."""
ABORT_DEADLINE_S = 60.0
"""An abort is done when the migrate call has returned; measured 0.1 s, 12 s with a frozen QEMU."""


class StartTransfer(Step):
    """Adopt or start; its undo leaves the source as it was and takes as long as the source needs."""

    name = "start_transfer"
    needs = ("describe_source", "place", "prepare_destination", "render")

    def execute(self, run: Run, results: Results) -> Result:
        if run.migration.state is MigrationState.RUNNING:
            return {"adopted": True}
        run.reread()
        run.refuse_if_aborted()
        facts = msgspec.convert(results["describe_source"], SourceFacts)
        request = Ask(
            **run.head(run.source, self.name, DEADLINE_S),
            plan=self._plan(run, facts, results),
            autostart=facts.view.autostart,
            policy=_policy(run),
        )
        ask = run.context.agents.start_transfer
        # A call that timed out may have started it: adopt-or-start tells, so ask until answered.
        started = run.until_answered(
            f"{run.source} to start the transfer", lambda: send(run.source, ask, request)
        )
        run.move(
            MigrationState.RUNNING,
            "the source's libvirt was transferring already"
            if started.adopted
            else f"transferring from {run.source} to {run.destination}",
            method="precopy",
        )
        return pack(started)

    def revert(self, run: Run, results: Results) -> None:
        if run.migration.state is MigrationState.SWITCHED:
            return
        if not _has_moved(run, abort(run, results)):
            return
        run.note("alarm", "the guest had switched when the transfer was to be undone")
        commit(run, results, "found on the destination while rolling back")

    def _plan(self, run: Run, facts: SourceFacts, results: Results) -> TransferPlan:
        prepared = msgspec.convert(results["prepare_destination"], DestinationPrepared)
        placed = msgspec.convert(results["place"], Placed)
        rendered = results["render"]
        encryption = run.context.settings.encryption
        disks = _disks(run, placed)
        return TransferPlan(
            peer_uri=placed.destination.peer_uri,
            migrate_uri=prepared.migrate_uri,
            listen_address=prepared.listen_address,
            destination_xml=rendered["destination_xml"],
            persistent_xml=rendered["persistent_xml"],
            flags=start_flags(facts.view.persistent, encryption, disks),
            bandwidth_mib_s=run.migration.bandwidth_mib_s,
            disks_uri=prepared.disks_uri,
            migrate_disks=disks.targets,
            tls_destination=run.destination if encryption == "required" else None,
        )


def _disks(run: Run, placed: Placed) -> DiskCopy:
    limit = run.context.settings.synchronous_writes_mib_s
    synchronous = needs_synchronous_writes(
        placed.disks, placed.write_rates, limit, run.migration.bandwidth_mib_s
    )
    return DiskCopy(placed.needs_unsafe, placed.disks, synchronous)


def _policy(run: Run) -> TransferPolicy | None:
    profile = run.migration.profile
    return None if profile is None else TransferPolicy(profile)


def _has_moved(run: Run, answer: Aborted) -> bool:
    """A source that has no guest left to keep cannot tell; the only copy may be over there.

    :raises Transient: ``guest.state_unknown`` while neither host has it for certain.
    """
    if answer.result == "too_late":
        return True
    if answer.view is None or answer.view.active:
        return False
    request = InstanceRef(instance_id=run.migration.instance_id)
    there = run.until_answered(
        f"{run.destination} to say whether it has the guest",
        lambda: run.context.agents.inspect(run.destination, request),
    )
    judgement = judge(answer.view, there.view, call_returned=True)
    if judgement.verdict is Verdict.UNDECIDABLE:
        raise Transient(
            "guest.state_unknown",
            f"{judgement.why} (source {judgement.source}, destination {judgement.destination}); "
            f"nothing is removed from {run.destination} before that is settled: start it or destroy "
            "it there",
        )
    return judgement.verdict is Verdict.FORWARD


def abort(run: Run, results: Results) -> Aborted:
    """Stop the transfer and restore the source; waits for the source as long as it takes."""
    facts = msgspec.convert(results["describe_source"], SourceFacts)

    def ask() -> Aborted:
        request = Abort(
            **run.head(run.source, f"abort-{run.migration.attempt}", ABORT_DEADLINE_S),
            autostart=facts.view.autostart,
        )
        return send(run.source, run.context.agents.abort, request)

    return run.until_answered(f"{run.source} to stop the transfer", ask)
