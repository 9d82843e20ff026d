"""Who reads ``needs_attention`` and does what only a person may: choose between two copies.

What migrator must not decide it leaves as it is, says so, and ends by itself once a person has acted on
the hosts. Here the person follows the manual.
"""

from __future__ import annotations

from migrator.conductor.steps.commit import paused_on_its_way
from migrator.model import DomainState, DomainView, Migration, Reason
from tests.fakes.hypervisor import FakeHypervisor
from tests.simulation.hosts import EXECUTING
from tests.simulation.world import World

IN_TRANSIT = frozenset({Reason.MIGRATION, Reason.STARTING_UP, Reason.UNKNOWN})


def help_out(world: World) -> None:
    """Act on every migration that asks for it; one that asks for nothing is not helped."""
    for migration in world.stores().migrations.unfinished():
        if migration.attention is None:
            continue
        world.say(f"a person reads: {migration.attention}")
        _choose(world, migration)


def _choose(world: World, migration: Migration) -> None:
    assert migration.source is not None
    assert migration.destination is not None
    guest = migration.instance_id
    source = world.fleet.hosts[migration.source]
    destination = world.fleet.hosts[migration.destination]
    here, there = source.view(guest), destination.view(guest)
    if here.active and there.active and here.reason is Reason.MIGRATION_CANCELED:
        _remove(source, guest)
    elif not here.active and there.active and there.reason in IN_TRANSIT:
        _remove(destination, guest)
    elif _in_transit(here) and there.state is DomainState.SHUTOFF:
        # libvirt defines it there only once it has it.
        _remove(source, guest)
    elif _in_transit(here) and not there.active:
        source.resume(guest)
        if paused_on_its_way(migration):
            source.suspend(guest)
    elif here.state in EXECUTING and there.state is DomainState.SHUTOFF:
        destination.undefine(guest)
    elif not here.active and there.state is DomainState.SHUTOFF:
        source.undefine(guest)


def _in_transit(view: DomainView) -> bool:
    return view.state is DomainState.PAUSED and view.reason in IN_TRANSIT


def _remove(host: FakeHypervisor, guest: str) -> None:
    host.destroy(guest)
    host.undefine(guest)
