"""Select a destination, claim on it, then let both agents check; the next candidate if they refuse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from migrator.conductor.claiming import Missed, claim
from migrator.conductor.expectations import Outing, means_of, sending_of
from migrator.conductor.host_turns import pause_s
from migrator.conductor.placement import (
    MOST_CANDIDATES,
    Checked,
    check_pair,
    disk_wishes,
    nobody_fits,
    only_full,
    select_hosts,
    to_let_go,
)
from migrator.conductor.run import Run
from migrator.conductor.steps.base import Result, Results, Step, pack
from migrator.conductor.transfer_plan import bandwidth_of
from migrator.conductor.wanted import Move
from migrator.errors import Transient
from migrator.first_use import prepare
from migrator.messages import PlannedVolume, SourceFacts
from migrator.model import (
    PLAIN,
    DiskMove,
    DropClaim,
    HoldBytes,
    Host,
    HostAddresses,
    Kind,
    MeansVerdict,
    Placement,
    Refusal,
    Sending,
)
from migrator.scheduler.select import Judged
from migrator.states import PAST_NO_RETURN, MigrationState
from migrator.storage.moves import copied, relocated
from migrator.storage.tell import planned_volumes, told_move, view_of_move

SLOT_S = 1.0
"""Between two looks for a free incoming slot: a transfer takes seconds to minutes."""
MOST_CONFLICTS = 50
"""Each means that another claim on a host was faster, so that others got on; a claim that does not go
away ends the tries."""


class Placed(msgspec.Struct, frozen=True):
    """Where it goes, as the later steps need it."""

    source: HostAddresses
    destination: HostAddresses
    needs_unsafe: bool
    pools: list[str]
    volumes: list[list[str]]
    placement: Placement | None = None
    detach: list[str] = []
    """Devices of the source, by address, that the guest lets go of for the move."""
    disks: list[DiskMove] = msgspec.field(default_factory=list)
    write_rates: dict[str, float] = msgspec.field(default_factory=dict)
    """target -> bytes/s the guest was seen to write."""
    means: list[MeansVerdict] = msgspec.field(default_factory=list)
    """What the hosts and the guest allow, and what of it is used."""
    sending: Sending = PLAIN
    packed: Sending = PLAIN
    """Of another attempt, if its memory had to be packed."""
    link_mib_s: float | None = None
    excludes_postcopy: bool = False
    """What is chosen cannot be followed by post-copy."""

    @property
    def created(self) -> list[PlannedVolume]:
        """Volumes to be made at the destination."""
        return planned_volumes(self.disks)


prepare(Placed)


class Place(Step):
    """Takes the claim; its undo releases it."""

    name = "place"
    needs = ("describe_source",)

    def execute(self, run: Run, results: Results) -> Result:
        facts = msgspec.convert(results["describe_source"], SourceFacts)
        if run.migration.state is MigrationState.CLAIMED:
            self._release(run, "the claim's check was interrupted; placing again")
        migration = run.migration
        tried: dict[str, Checked] = {}
        conflicts, waited = 0, False
        while True:
            move = _move(run, facts, tried)
            selection = select_hosts(run.context, facts, move, enough=1)
            full = only_full(selection)
            if not selection.fitting and full:
                waited = self._wait_for_a_slot(run, full, waited)
                continue
            if not selection.fitting or len(tried) >= MOST_CANDIDATES:
                raise nobody_fits(selection, list(tried.values()), migration.requested_host)
            run.refuse_if_aborted()
            judged = claim(run, facts, move, selection)
            if isinstance(judged, Missed):
                conflicts += 1
                if conflicts >= MOST_CONFLICTS:
                    tried[judged.host] = _unclaimed(judged.host, judged.conflict)
                self._pause(run, conflicts)
                continue
            host = judged.candidate.host
            checked = check_pair(run.context, facts, move, judged)
            if not checked.refusals:
                checked = self._keep_room(run, checked)
            if not checked.refusals:
                source = run.context.candidates.known(run.source)
                placed = _placed(source, judged, checked)
                let_go = sorted(to_let_go(facts, move.wishes))
                chosen = _sending(run, facts, (source, host), checked)
                return pack(msgspec.structs.replace(placed, detach=let_go, **chosen))
            tried[host.name] = checked
            why = "; ".join(refusal.message for refusal in checked.refusals)
            self._release(run, f"{checked.host} refused: {why}")

    def revert(self, run: Run, results: Results) -> None:
        destination = run.migration.destination
        if destination is not None and run.migration.state not in PAST_NO_RETURN:
            run.update([DropClaim(destination)])

    def _keep_room(self, run: Run, checked: Checked) -> Checked:
        """Hold the bytes for its copies, and say what becomes of its disks."""
        plan = checked.disks.plan
        held = HoldBytes(checked.host, plan.bytes_by_pool, checked.disks.room)
        try:
            if held.pools:
                # What is held is found by what is planned, so both are written at once.
                run.update([held], disks=plan.moves)
        except Transient as conflict:
            if conflict.code != "claim.conflict":
                raise
            return _unclaimed(checked.host, conflict)
        for move in relocated(plan.moves):
            run.tell("step", told_move(move), **view_of_move(move))
        return checked

    def _pause(self, run: Run, conflicts: int) -> None:
        """Unless an abort ends it."""
        run.inbox.get(pause_s(run.migration.id, conflicts))
        run.reread()
        run.refuse_if_aborted()

    def _wait_for_a_slot(self, run: Run, hosts: Sequence[str], told: bool) -> bool:
        """A moment, unless an abort ends it. True: the history says by now what is waited for."""
        if not told:
            run.note("step", f"waiting until fewer migrations arrive at {', '.join(hosts)}")
        run.inbox.get(SLOT_S)
        run.reread()
        run.refuse_if_aborted()
        return True

    def _release(self, run: Run, why: str) -> None:
        run.move(
            MigrationState.SCHEDULING,
            why,
            [DropClaim(run.destination)],
            destination=None,
            disks=(),
        )


def _move(run: Run, facts: SourceFacts, tried: Mapping[str, Checked]) -> Move:
    migration = run.migration
    return Move(
        source=run.source,
        mode=migration.mode,
        host=migration.requested_host,
        most_incoming=run.context.settings.max_incoming,
        tried=frozenset({*tried, *migration.avoided}),
        disks=disk_wishes(migration, run.wishes(), facts),
        migration_id=migration.id,
        kind=migration.kind,
        wishes=run.wishes(),
    )


def _unclaimed(host: str, conflict: Transient) -> Checked:
    return Checked(host, (Refusal("claim", conflict.code, conflict.message, conflict.facts),))


def _sending(
    run: Run, facts: SourceFacts, hosts: tuple[Host, Host], checked: Checked
) -> dict[str, Any]:
    """What the two hosts and the guest allow, and how its memory is sent: for the start, and for whoever
    asks why later."""
    migration = run.migration
    if migration.kind is not Kind.LIVE or migration.profile is None:
        return {}
    copies = bool(copied(checked.disks.plan.moves))
    means = means_of(run.context, facts, hosts, copies)
    outing = Outing(
        *hosts, facts, migration.profile, means, bandwidth_mib_s=bandwidth_of(migration)
    )
    chosen = sending_of(run.context, outing, migration.forecast)
    if chosen.means != migration.means:
        told = [str(each) for each in chosen.means]
        run.tell("step", "; ".join(told), means=told)
    return {
        "means": list(chosen.means),
        "sending": chosen.sending,
        "packed": chosen.packed,
        "link_mib_s": chosen.link_mib_s,
        "excludes_postcopy": chosen.excludes_postcopy,
    }


def _placed(source: Host, judged: Judged, checked: Checked) -> Placed:
    return Placed(
        source=source.addresses,
        destination=judged.candidate.host.addresses,
        needs_unsafe=checked.disks.plan.needs_unsafe,
        pools=list(checked.disks.plan.pools),
        volumes=[list(volume) for volume in checked.disks.plan.volumes],
        disks=list(checked.disks.plan.moves),
        write_rates=dict(checked.disks.write_rates),
        placement=judged.placement,
    )
