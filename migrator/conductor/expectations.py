"""What a move could do and what to expect of it: asks the source and the record of earlier moves."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from migrator.conductor.context import Context
from migrator.conductor.eligibility import Pair, guest_of, judge
from migrator.conductor.forecast import Expected, forecast, link_of
from migrator.errors import MigratorError
from migrator.messages import InstanceRef, ListMigrations, SourceFacts
from migrator.model import DirtyRate, DomainState, Forecast, Host, MeansVerdict, Migration, Profile
from migrator.states import MigrationState

LOG = logging.getLogger(__name__)

MIB = 1 << 20
REMEMBERED = 50
"""Earlier moves that are looked through for a pair's bandwidth."""


def means_of(
    context: Context, facts: SourceFacts, destination: Host, copies_disks: bool
) -> tuple[MeansVerdict, ...]:
    """Each with its no."""
    there = destination.facts
    pair = Pair(
        libvirt=min(facts.libvirt_version, there.libvirt_version if there else 0),
        qemu=min(facts.hypervisor_version, there.hypervisor_version if there else 0),
        encrypted=context.settings.encryption == "required",
    )
    paused = facts.view.state is DomainState.PAUSED
    return judge(pair, guest_of(facts.live_xml, paused, copies_disks))


@dataclass(frozen=True)
class Outing:
    """A move that is thought about: from the first host to the second."""

    hosts: tuple[str, str]
    facts: SourceFacts
    profile: Profile
    means: tuple[MeansVerdict, ...]
    disks: int = 0
    """Bytes of the disks that are copied."""


def expect(context: Context, outing: Outing, measure: bool) -> Forecast:
    """:param measure: have the source measure the guest, which takes a second."""
    earlier = _between(context, *outing.hosts)
    facts, limit = outing.facts, outing.profile.bandwidth_mib_s
    dirty = _measured(context, outing.hosts[0], facts.instance_id) if measure else None
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
