"""What must be true once nothing is under way: the rules, over hosts, witness and database."""

from __future__ import annotations

from collections.abc import Iterator

from migrator.model import DomainState, Instance, InstanceStatus, Migration
from migrator.states import TERMINAL, TRANSITIONS, MigrationState
from tests.fakes.hypervisor import FakeGuest
from tests.fakes.hypervisor_domain import FakeDomain
from tests.simulation.hosts import EXECUTING
from tests.simulation.world import World

ENDED_ELSEWHERE = frozenset({"guest_is_deleted", "guest_powers_off", "guest_crashes"})
DIES = ENDED_ELSEWHERE | {"kill_source_qemu", "kill_destination_qemu"}


def violations(world: World, struck: list[str]) -> Iterator[str]:
    """Every sentence is a rule that does not hold."""
    migrations = [
        world.stores().migrations.get(migration_id)
        for migration_id in dict.fromkeys(world.answers.values())
        if len(migration_id) == 36
    ]
    yield from _workers(world)
    for guest in world.guests.values():
        yield from _guest(world, guest, struck)
    yield from _claims(world)
    for migration in migrations:
        yield from _migration(world, migration)
    yield from _two_ran(world, migrations)
    yield from _once(world)


def _workers(world: World) -> Iterator[str]:
    yield from world.scheduler.failures


def _domains(world: World, guest_id: str) -> dict[str, FakeDomain]:
    return {
        name: host.domains[guest_id]
        for name, host in world.fleet.hosts.items()
        if guest_id in host.domains
    }


def _guest(world: World, guest: FakeGuest, struck: list[str]) -> Iterator[str]:
    """Rules 1, 2 and 4: one place, the owner says so, nothing is left elsewhere."""
    domains = _domains(world, guest.id)
    active = {name: domain for name, domain in domains.items() if domain.active}
    seen = {name: f"{domain.state} ({domain.reason})" for name, domain in domains.items()}
    if len(active) > 1:
        yield f"{guest.name} is active on {sorted(active)}: {seen}"
    if not active and not DIES & set(struck):
        yield f"{guest.name} is lost: {seen}"
    if len(domains) > 1:
        yield f"{guest.name} is left on more than one host: {seen}"
    for name, domain in domains.items():
        if domain.mark is not None:
            yield f"{guest.name} on {name} still carries the mark of {domain.mark}"
        if domain.autostart != guest.autostart and domain.persistent:
            yield f"{guest.name} on {name} has autostart {domain.autostart}, had {guest.autostart}"
        if domain.active and domain.persistent != guest.persistent:
            yield f"{guest.name} on {name} is persistent: {domain.persistent}"
    for name, domain in active.items():
        yield from _pause(world, guest, name, domain)
    yield from _owner(world.stores().instances.get(guest.id), guest, domains)


def _pause(world: World, guest: FakeGuest, host: str, domain: FakeDomain) -> Iterator[str]:
    """Rule 7: a paused guest stays paused, a running one runs."""
    number = int(guest.name.removeprefix("g")) - 1
    meant = world.plan.guests[number].paused or guest.id in world.paused_by_user
    paused = domain.state is DomainState.PAUSED
    if paused != meant:
        yield (
            f"{guest.name} on {host} is {domain.state} ({domain.reason}), and should be "
            f"{'paused' if meant else 'running'}"
        )


def _owner(
    instance: Instance | None, guest: FakeGuest, domains: dict[str, FakeDomain]
) -> Iterator[str]:
    if instance is None:
        yield f"{guest.name} is not known"
        return
    said = f"the record says {instance.status} on {instance.host}"
    if not domains:
        if instance.status is not InstanceStatus.GONE:
            yield f"{guest.name} is nowhere, {said}"
        return
    for name, domain in domains.items():
        status = _status(domain)
        if (instance.host, instance.status) != (name, status) and len(domains) == 1:
            yield f"{guest.name} is {status} on {name}, {said}"


def _status(domain: FakeDomain) -> InstanceStatus:
    if not domain.active:
        return InstanceStatus.SHUTOFF
    if domain.state in EXECUTING:
        return InstanceStatus.RUNNING
    return InstanceStatus.PAUSED


def _claims(world: World) -> Iterator[str]:
    """Rule 3."""
    held = sorted((c.host, c.instance_name, str(c.purpose)) for c in world.stores().claims.list())
    wanted = sorted(
        (name, guest.name, "use")
        for guest in world.guests.values()
        for name, domain in _domains(world, guest.id).items()
        if domain.active
    )
    if held != wanted:
        yield f"claims are {held}, should be {wanted}"


def _migration(world: World, migration: Migration) -> Iterator[str]:
    """Rules 5 and 6: it ended, truthfully, by a legal path."""
    name = f"migration {migration.id[:8]} of {migration.instance_name}"
    if migration.state not in TERMINAL:
        yield f"{name} is {migration.state}: {migration.attention}"
        return
    moved = world.fleet.witness.moved.get(migration.id, [])
    completed = migration.state is MigrationState.COMPLETED
    if completed != bool(moved):
        yield f"{name} is {migration.state}, and really {'moved' if moved else 'did not move'}"
    if completed and moved and migration.destination != moved[-1][1]:
        yield f"{name} says {migration.destination}, it went to {moved[-1][1]}"
    if not completed and not (migration.error and migration.error_code):
        yield f"{name} is {migration.state} without a reason"
    if completed and migration.error_code:
        yield f"{name} is completed with error {migration.error_code}"
    if world.stores().migrations.open_todos(migration.id):
        yield f"{name} has ended and leaves to-dos"
    yield from _history(world, migration, name)


def _history(world: World, migration: Migration, name: str) -> Iterator[str]:
    events = world.stores().migrations.events(migration.id, 0, 10_000)
    if [event.seq for event in events] != list(range(1, len(events) + 1)):
        yield f"{name}: its history has gaps"
    states = [
        (event.facts.get("from"), event.facts["to"]) for event in events if event.kind == "state"
    ]
    before = None
    for old, new in states:
        legal = old is None or (MigrationState(old), MigrationState(new)) in TRANSITIONS
        if old != before or not legal:
            yield f"{name}: {old} -> {new} after {before} in its history"
        before = new
    if before != migration.state:
        yield f"{name}: its history ends with {before}, it is {migration.state}"


def _two_ran(world: World, migrations: list[Migration]) -> Iterator[str]:
    """Rule 1 at every moment. Only libvirt itself may break it, 25 s after its replies were lost and
    while nobody could reach the source; then the record raises an alarm."""
    for instance_id, (at, where) in world.fleet.witness.two_ran.items():
        alarmed = any(
            event.kind == "alarm"
            for migration in migrations
            if migration.instance_id == instance_id
            for event in world.stores().migrations.events(migration.id, 0, 10_000)
        )
        if "lose_replies" not in {fault.kind for fault in world.plan.faults} or not alarmed:
            yield f"{instance_id} ran on {sorted(where)} at once at {at:.3f} s, alarm: {alarmed}"


def _once(world: World) -> Iterator[str]:
    """libvirt is made to begin an attempt once."""
    for (migration_id, attempt), times in world.fleet.witness.transfers.items():
        if times > 1:
            yield f"migration {migration_id[:8]} attempt {attempt} was begun {times} times"
