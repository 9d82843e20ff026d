"""Finding a destination: the pure selection over the database's snapshot, then both agents' checks.

Used by the verdict before a migration is queued, by the step that places it, and by a dry run, so
that the three cannot disagree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from migrator.conductor.context import Context
from migrator.conductor.disks import (
    DiskCase,
    PlacedDisks,
    disks_to_check,
    judge_disks,
    write_rates,
)
from migrator.conductor.domain_xml import unclaimed_devices
from migrator.conductor.domain_xml.portability import reasons_not_to_move
from migrator.conductor.wanted import Move, wanted_by
from migrator.errors import MigratorError, Refused, Transient
from migrator.messages import CheckDestination, CheckSource, SourceFacts
from migrator.model import (
    Host,
    Kind,
    Migration,
    MigrationRequest,
    Mode,
    PciLive,
    Refusal,
    Wishes,
)
from migrator.scheduler.filters.slots import FULL
from migrator.scheduler.requests import wished
from migrator.scheduler.select import Answer, Judged, Selection, explain, select
from migrator.scheduler.snapshot import Candidate
from migrator.storage.destination import DiskWishes

MOST_CANDIDATES = 16
"""Hosts whose agents are asked in `auto` mode before giving up. Each answers within 0.1 s; the first
that fits ends the search, so only a fleet that refuses throughout is asked whole."""

HERE_ALREADY = ("host.is_source",)
MOST_TOLD = 100
"""Hosts whose reasons are told one by one; the sentence counts all."""


@dataclass(frozen=True)
class Checked:
    """Both agents' answer for one destination."""

    host: str
    refusals: tuple[Refusal, ...]
    disks: PlacedDisks = field(default_factory=PlacedDisks)

    @property
    def codes(self) -> tuple[str, ...]:
        """Of its refusals, each once."""
        return tuple(dict.fromkeys(refusal.code for refusal in self.refusals))


def disk_wishes(
    asked: MigrationRequest | Migration, wishes: Wishes, facts: SourceFacts
) -> DiskWishes:
    """What was asked of its disks, and what its kind asks of them. A guest with a saved memory image
    goes on in the middle of what it did: it still needs its scratch disks."""
    return DiskWishes(
        asked.disk_pools,
        asked.flatten,
        offline=asked.kind is Kind.COLD,
        scratch=() if facts.saved_xml is not None else wishes.scratch,
    )


def select_hosts(
    context: Context,
    facts: SourceFacts,
    move: Move,
    enough: int | None = None,
    candidates: Sequence[Candidate] | None = None,
) -> Selection:
    """The pure part: who would take it, in which order, and why not the others.

    :param candidates: the hosts; None as they are now, which a claim has to be chosen from.
    """
    wishes = move.wishes
    groups = () if move.mode is Mode.FORCE else (*wishes.affinity, *wishes.anti_affinity)
    # Before the hosts: a member that gets its place in between makes the marks too old, never too new.
    marks = context.stores.instances.group_marks(groups) if groups else ()
    among = context.candidates.now() if candidates is None else candidates
    wanted = wanted_by(context, facts, move, among)
    return replace(select(wanted, among, enough), group_marks=marks)


def to_let_go(facts: SourceFacts, wishes: Wishes) -> frozenset[str]:
    """Devices, by their names at the source, that the guest lets go of for a live move: those of which
    its domain or its operator says that it copes."""
    if facts.spec is None:
        return frozenset()
    request = wished(facts.spec.resources, wishes, None)
    claimed = frozenset(each.id for each in request.pci if each.live is PciLive.DETACH)
    if wishes.pci_live is not PciLive.DETACH:
        return claimed
    return claimed | unclaimed_devices(facts.live_xml)


def check_guest(facts: SourceFacts, wishes: Wishes) -> None:
    """Refuse a guest that no destination could take.

    :raises Refused: with every reason in facts.
    """
    refusals = [*reasons_not_to_move(facts.live_xml, to_let_go(facts, wishes))]
    refusals += [
        Refusal("devices", "device.not_migratable", sentence) for sentence in facts.host_devices
    ]
    if refusals:
        raise as_refused(refusals)


def check_pair(context: Context, facts: SourceFacts, move: Move, judged: Judged) -> Checked:
    """Ask both agents. An agent that does not answer is a refusal of that host, not a failure."""
    host = judged.candidate.host
    try:
        return _check_pair(context, facts, move, host)
    except MigratorError as error:
        code = "host.agent_down" if isinstance(error, Transient) else error.code
        named = host.name in error.message
        why = error.message if named else f"checking {move.source} -> {host.name}: {error.message}"
        return Checked(host.name, (Refusal("checks", code, why, error.facts),))


def _check_pair(context: Context, facts: SourceFacts, move: Move, host: Host) -> Checked:
    encryption = context.settings.encryption
    asked = disks_to_check(context, facts, move.disks, host)
    there = context.agents.check_destination(
        host.name,
        CheckDestination(
            instance_id=facts.instance_id,
            name=facts.name,
            arch=facts.arch,
            machine=facts.machine,
            virt_type=facts.virt_type,
            cpu_xml=facts.cpu_xml,
            vcpus=facts.vcpus,
            memory_mib=facts.memory_mib,
            pools=list(asked.pools),
            volumes=[list(volume) for volume in asked.volumes],
            look_for=[list(volume) for volume in asked.look_for],
            networks=facts.networks,
            source_libvirt_version=facts.libvirt_version,
            source_hypervisor_version=facts.hypervisor_version,
            encryption=encryption,
        ),
    )
    here = context.agents.check_source(
        move.source,
        CheckSource(
            instance_id=facts.instance_id,
            peer_uri=host.addresses.peer_uri,
            pools=there.pools,
            encryption=encryption,
            kind=move.kind,
            measure_writes=move.kind is Kind.LIVE
            and (len(there.pools) < len(asked.pools) or bool(move.disks.pools)),
        ),
    )
    judged = judge_disks(context, DiskCase(facts, move.disks, move.migration_id, host), there, here)
    return Checked(
        host=host.name,
        refusals=(*judged.told, *here.refusals, *judged.plan.refusals),
        disks=PlacedDisks(plan=judged.plan, room=judged.room, write_rates=write_rates(facts, here)),
    )


def only_full(selection: Selection) -> tuple[str, ...]:
    """Hosts that would do but for the migrations that are on their way there now."""
    return tuple(
        judged.candidate.host.name
        for judged in selection.judged
        if judged.refusals and {each.code for each in judged.refusals} == {FULL}
    )


def nobody_fits(selection: Selection, checked: Sequence[Checked], named: str | None) -> Refused:
    """The refusal that says, host by host, why not; one named host answers with its own code."""
    answers: dict[str, Answer] = {each.name: each for each in selection.judged}
    answers.update({each.host: each for each in checked if each.refusals})
    if named is not None:
        refusals = [refusal for each in answers.values() for refusal in each.refusals]
        if refusals:
            return as_refused(refusals)
    # Where the guest is now was never an option, unless nothing else is.
    others = {
        name: said for name, answer in answers.items() if (said := answer.codes) != HERE_ALREADY
    }
    if not others:
        return Refused("host.none_fits", "there is no other host to go to; add one to the fleet")
    return Refused(
        "host.none_fits",
        f"no host can take the guest. {explain(answers, others)}",
        hosts={
            name: [{"code": each.code, "message": each.message} for each in answer.refusals]
            for name, answer in islice(answers.items(), MOST_TOLD)
        },
    )


def as_refused(refusals: Sequence[Refusal]) -> Refused:
    """Several refusals as one error: the first one's code, every sentence."""
    return Refused(
        refusals[0].code,
        "; ".join(dict.fromkeys(refusal.message for refusal in refusals)),
        refusals=[{"code": each.code, "message": each.message} for each in refusals],
    )
