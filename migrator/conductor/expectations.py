"""What a move could do and what to expect of it: asks the source and the record of earlier moves."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from migrator.conductor.context import Context
from migrator.conductor.eligibility import Pair, emulator_cpus, guest_of, judge
from migrator.conductor.forecast import Expected, forecast, link_of
from migrator.conductor.sending_plan import (
    ONE_CONNECTION,
    ONE_ENCRYPTED,
    Route,
    SendingPlan,
    plan,
)
from migrator.errors import MigratorError
from migrator.messages import InstanceRef, ListMigrations, SourceFacts
from migrator.model import (
    DirtyRate,
    DomainState,
    Forecast,
    Host,
    Means,
    MeansVerdict,
    Migration,
    Profile,
)
from migrator.states import MigrationState

LOG = logging.getLogger(__name__)

MIB = 1 << 20
REMEMBERED = 50
"""Earlier moves that are looked through for a pair's bandwidth."""


def means_of(
    context: Context, facts: SourceFacts, hosts: tuple[Host, Host], copies_disks: bool
) -> tuple[MeansVerdict, ...]:
    """Each with its no. :param hosts: source and destination."""
    source, destination = hosts
    there = destination.facts
    libvirt, qemu = _older(facts, destination)
    pair = Pair(
        libvirt,
        qemu,
        encrypted=context.settings.encryption == "required",
        no_page_faults=there.kernel.no_page_faults if there else "",
        locks_memory=_locks(source),
    )
    paused = facts.view.state is DomainState.PAUSED
    return judge(pair, guest_of(facts.live_xml, paused, copies_disks))


def _locks(source: Host) -> bool | None:
    return None if source.facts is None else source.facts.kernel.locks_memory


def _older(facts: SourceFacts, destination: Host) -> tuple[int, int]:
    """Of both hosts' libvirts and QEMUs: both sides must know what they do."""
    there = destination.facts
    return (
        min(facts.libvirt_version, there.libvirt_version if there else 0),
        min(facts.hypervisor_version, there.hypervisor_version if there else 0),
    )


@dataclass(frozen=True)
class Outing:
    """A move that is thought about."""

    source: Host
    destination: Host
    facts: SourceFacts
    profile: Profile
    means: tuple[MeansVerdict, ...]
    disks: int = 0
    """Bytes of the disks that are copied."""
    bandwidth_mib_s: int | None = None
    """What it may use at most; None for all there is."""

    @property
    def hosts(self) -> tuple[str, str]:
        return self.source.name, self.destination.name


def sending_of(context: Context, outing: Outing, expected: Forecast | None) -> SendingPlan:
    """How its memory is sent, and why so."""
    libvirt, qemu = _older(outing.facts, outing.destination)
    encrypted = context.settings.encryption == "required"
    ends = (outing.source, outing.destination)
    cpus = [each.facts.cpus for each in ends if each.facts is not None]
    pinned = emulator_cpus(outing.facts.live_xml)
    route = Route(
        _link(context, outing),
        libvirt,
        qemu,
        cpus=min([*cpus, *([] if pinned is None else [pinned])], default=1),
        encrypted=encrypted,
        locks_memory=_locks(outing.source),
        memory_mib=outing.facts.memory_mib,
    )
    if route.link is not None and route.link > (ONE_ENCRYPTED if encrypted else ONE_CONNECTION):
        route = replace(route, carried=_carried(context, outing))
    return plan(route, outing.profile, outing.means, expected)


def _link(context: Context, outing: Outing) -> float | None:
    """Of the slower end: as the operator says, otherwise as the agent there reads it."""
    settings = context.settings
    speeds = [
        settings.links_mib_s.get(each.name, settings.link_mib_s)
        or (each.facts.kernel.link_mib_s if each.facts is not None else None)
        for each in (outing.source, outing.destination)
    ]
    known = [speed for speed in speeds if speed is not None]
    if len(known) < len(speeds):
        return None
    return float(
        min(known) if outing.bandwidth_mib_s is None else min(*known, outing.bandwidth_mib_s)
    )


def _carried(context: Context, outing: Outing) -> float | None:
    """The most of earlier moves over one connection."""
    single = [
        each
        for each in _between(context, *outing.hosts)
        if not any(one.means is Means.PARALLEL and one.used for one in each.means)
    ]
    span = link_of(single, None)
    return None if span is None else span.most / MIB


def expect(context: Context, outing: Outing, measure: bool) -> Forecast:
    """:param measure: have the source measure the guest, which takes a second."""
    earlier = _between(context, *outing.hosts)
    facts, limit = outing.facts, outing.bandwidth_mib_s
    dirty = _measured(context, outing.source.name, facts.instance_id) if measure else None
    expected = Expected(facts.memory_mib * MIB, link_of(earlier, limit), dirty, outing.disks)
    possible = frozenset(each.means for each in outing.means if each.possible)
    return forecast(expected, outing.profile, possible)


def _between(context: Context, source: str, destination: str) -> list[Migration]:
    """Moves that ended well from one to the other, or back."""
    wanted = {source, destination}
    found = context.stores.migrations.find(ListMigrations(host=source, limit=REMEMBERED))
    return [
        each
        for each in found
        if each.state is MigrationState.COMPLETED and {each.source, each.destination} == wanted
    ]


def _measured(context: Context, source: str, instance_id: str) -> DirtyRate | None:
    """Not knowing it is no reason against a move."""
    try:
        request = InstanceRef(instance_id=instance_id)
        return context.agents.measure_dirty_rate(source, request).rate
    except MigratorError as error:
        LOG.info("the dirty rate of %s is not known: %s", instance_id, error)
        return None
