"""Select a destination, claim on it, then let both agents check; the next candidate if they refuse."""

from __future__ import annotations

import msgspec

from migrator.conductor.placement import (
    MOST_CANDIDATES,
    Checked,
    Move,
    check_pair,
    nobody_fits,
    select_hosts,
)
from migrator.conductor.run import Run
from migrator.conductor.steps.base import Result, Results, Step, pack
from migrator.errors import Refused, Transient
from migrator.messages import SourceFacts
from migrator.model import DropClaim, HostAddresses, TakeClaim
from migrator.scheduler.select import Judged
from migrator.states import MigrationState


class Placed(msgspec.Struct, frozen=True):
    """Where it goes, as the later steps need it."""

    source: HostAddresses
    destination: HostAddresses
    needs_unsafe: bool
    pools: list[str]
    volumes: list[list[str]]


class Place(Step):
    """Takes the claim; its undo releases it."""

    name = "place"
    needs = ("describe_source",)

    def execute(self, run: Run, results: Results) -> Result:
        facts = msgspec.convert(results["describe_source"], SourceFacts)
        if run.migration.state is MigrationState.CLAIMED:
            self._release(run, "the claim's check was interrupted; placing again")
        migration = run.migration
        hosts = run.context.stores.hosts.list()
        move = Move(run.source, migration.mode, migration.requested_host)
        selection = select_hosts(run.context, facts, move, hosts)
        source = next(host for host in hosts if host.name == run.source)
        tried: list[Checked] = []
        for judged in selection.fitting[:MOST_CANDIDATES]:
            run.refuse_if_aborted()
            if not self._claim(run, facts, judged):
                continue
            checked = check_pair(run.context, facts, run.source, judged)
            if not checked.refusals:
                return pack(
                    Placed(
                        source=source.addresses,
                        destination=judged.candidate.host.addresses,
                        needs_unsafe=checked.needs_unsafe,
                        pools=list(checked.pools),
                        volumes=[list(volume) for volume in checked.volumes],
                    )
                )
            tried.append(checked)
            why = "; ".join(refusal.message for refusal in checked.refusals)
            self._release(run, f"{checked.host} refused: {why}")
        raise nobody_fits(selection, tried, migration.requested_host)

    def revert(self, run: Run, results: Results) -> None:
        destination = run.migration.destination
        if destination is not None and run.migration.state is not MigrationState.SWITCHED:
            run.update([DropClaim(destination)])

    def _claim(self, run: Run, facts: SourceFacts, judged: Judged) -> bool:
        """False when somebody else's claim came first: the snapshot is stale, the next host."""
        host = judged.candidate.host
        claim = TakeClaim(host.name, host.claims_generation, facts.vcpus, facts.memory_mib)
        try:
            run.move(
                MigrationState.CLAIMED,
                f"{host.name} chosen with score {judged.score:.2f}",
                [claim],
                destination=host.name,
                attempt=run.migration.attempt + 1,
                forced_policies=judged.overridden,
            )
        except Transient as conflict:
            if conflict.code != "claim.conflict":
                raise
            run.note("step", f"{host.name}: {conflict.message}", code=conflict.code)
            return False
        except Refused as refused:
            if refused.code != "claim.capacity":
                raise
            return False
        return True

    def _release(self, run: Run, why: str) -> None:
        run.move(MigrationState.SCHEDULING, why, [DropClaim(run.destination)], destination=None)
