"""What must be true once nothing is under way: the rules, over hosts, witness and database."""

from __future__ import annotations

from collections.abc import Iterator

from migrator.compute_agent.held import held
from migrator.model import DomainState, Instance, InstanceStatus, Kind, Migration, Placement
from migrator.states import TERMINAL, TRANSITIONS, MigrationState
from tests.fakes.hypervisor import FakeGuest
from tests.fakes.hypervisor_domain import FakeDomain
from tests.simulation.furniture import content, volume
from tests.simulation.hosts import EXECUTING
from tests.simulation.world import World

ENDED_ELSEWHERE = frozenset({"guest_is_deleted", "guest_powers_off", "guest_crashes"})
DOUBT_S = 2.0
"""Before a switch: how long a monitor needs to be sure that a guest was paused by hand, and more."""
HELD_WITHIN_S = 1.0
"""Once the agent lives and its host answers."""
NOBODY_HOLDS = frozenset({"kill_source_agent", "freeze_source_agent", "kill_source_libvirtd"})
DIES = ENDED_ELSEWHERE | {"kill_source_qemu", "kill_destination_qemu", "take_source_power"}


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
        yield from _volumes(world, guest, struck)
        yield from _parts(world, guest)
    yield from _claims(world)
    for migration in migrations:
        yield from _migration(world, migration, struck)
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
    if bool(active) != world.wanted(guest).running and not DIES & set(struck):
        yield f"{guest.name} is {'on' if active else 'off or lost'}: {seen}"
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
    meant = world.wanted(guest).paused or guest.id in world.paused_by_user
    paused = domain.state is DomainState.PAUSED
    if meant and not paused and _paused_as_it_switched(world, guest.id):
        return
    if paused != meant:
        yield (
            f"{guest.name} on {host} is {domain.state} ({domain.reason}), and should be "
            f"{'paused' if meant else 'running'}"
        )


def _paused_as_it_switched(world: World, guest_id: str) -> bool:
    """libvirt tells a user's pause of a guest that leaves as it tells the switch, and runs the guest
    where it arrives: shortly before the switch nobody can tell one from the other."""
    paused_at = world.paused_by_user.get(guest_id)
    arrived_at = world.fleet.witness.arrived_at.get(guest_id, 0.0)
    return paused_at is not None and paused_at <= arrived_at <= paused_at + DOUBT_S


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


def _migration(world: World, migration: Migration, struck: list[str]) -> Iterator[str]:
    """Rules 5 and 6: it ended, truthfully, by a legal path."""
    name = f"migration {migration.id[:8]} of {migration.instance_name}"
    if migration.state not in TERMINAL:
        yield f"{name} is {migration.state}: {migration.attention}"
        return
    completed = migration.state is MigrationState.COMPLETED
    yield from _moved(world, migration, name, struck)
    went_well = completed or migration.state is MigrationState.REVERTED
    if not went_well and not (migration.error and migration.error_code):
        yield f"{name} is {migration.state} without a reason"
    if completed and migration.error_code:
        yield f"{name} is completed with error {migration.error_code}"
    if world.stores().migrations.open_todos(migration.id):
        yield f"{name} has ended and leaves to-dos"
    yield from _history(world, migration, name)


def _moved(world: World, migration: Migration, name: str, struck: list[str]) -> Iterator[str]:
    """What the record says has become of the guest is what really has."""
    completed = migration.state is MigrationState.COMPLETED
    if migration.kind is Kind.COLD:
        yield from _moved_cold(world, migration, name)
        return
    witness = world.fleet.witness
    moved = [host for _, host in witness.moved.get(migration.id, [])]
    if not moved and migration.id in witness.split:
        moved = [witness.split[migration.id][1]]
    if migration.state is MigrationState.LOST:
        if migration.id not in witness.split or not DIES & set(struck):
            yield f"{name} is lost, and no QEMU has died while its memory was split"
        return
    if completed != bool(moved):
        yield f"{name} is {migration.state}, and really {'moved' if moved else 'did not move'}"
    if completed and moved and migration.destination != moved[-1]:
        yield f"{name} says {migration.destination}, it went to {moved[-1]}"
    if migration.id in witness.split and not completed:
        yield f"{name} is {migration.state}, and was split between two hosts"


def _moved_cold(world: World, migration: Migration, name: str) -> Iterator[str]:
    """Its last move says where it is; where it is gone there is nothing to compare."""
    last = world.latest(migration.instance_id)
    homes = list(_domains(world, migration.instance_id))
    completed = migration.state is MigrationState.COMPLETED
    said = migration.destination if completed else migration.source
    if last == migration.id and said is not None and homes and homes != [said]:
        yield f"{name} is {migration.state}, so the guest is on {said}; it is on {homes}"


def _volumes(world: World, guest: FakeGuest, struck: list[str]) -> Iterator[str]:
    """Rules 4 and 7: its own volume is where it is, whole, and nowhere else."""
    number, wanted = int(guest.name.removeprefix("g")), world.wanted(guest)
    if not (wanted.local and wanted.disk):
        return
    found = {
        name: stored.content
        for name, host in world.fleet.hosts.items()
        if (stored := host.pools["local"].storage.volumes.get(volume(number))) is not None
    }
    homes = set(_domains(world, guest.id))
    if not homes <= found.keys():
        yield f"{guest.name} is on {sorted(homes)}, its volume on {sorted(found)}"
    if homes and found.keys() - homes and not DIES & set(struck):
        yield f"a volume of {guest.name} is left on {sorted(found.keys() - homes)}"
    for name in homes & found.keys():
        if found[name] != content(number):
            yield f"{guest.name} has {found[name]!r} in its volume on {name}"


def _parts(world: World, guest: FakeGuest) -> Iterator[str]:
    """Rule 3, of what a guest has to itself: what it is bound to is what it claims, live and defined."""
    if world.wanted(guest).pin is None:
        return
    claims = {c.host: c for c in world.stores().claims.list() if c.instance_name == guest.name}
    for name, domain in _domains(world, guest.id).items():
        claimed = claims[name].placement if name in claims else None
        if not domain.active or claimed is None:
            continue
        for xml in filter(None, (domain.live_xml, domain.inactive_xml)):
            has = held(xml)
            if _own(has) != _own(claimed):
                yield f"{guest.name} on {name} has {_own(has)}, and claims {_own(claimed)}"
        if bool(held(domain.xml).devices) != world.wanted(guest).device:
            yield f"{guest.name} on {name} has devices {held(domain.xml).devices}"


def _own(placement: Placement) -> tuple[object, list[str]]:
    return placement.pins, sorted(device.address for device in placement.devices)


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
    while nobody could reach the source; then its agent holds it at once, and the record raises an
    alarm."""
    kinds = {fault.kind for fault in world.plan.faults}
    away = sum(each.seconds for each in world.plan.faults if each.kind in NOBODY_HOLDS)
    witness = world.fleet.witness
    if witness.longest_two_ran > away + HELD_WITHIN_S:
        yield f"a guest ran in two places for {witness.longest_two_ran:.3f} s"
    for instance_id, (at, where) in witness.two_ran.items():
        alarmed = any(
            event.kind == "alarm"
            for migration in migrations
            if migration.instance_id == instance_id
            for event in world.stores().migrations.events(migration.id, 0, 10_000)
        )
        if "lose_replies" not in kinds or not alarmed:
            yield f"{instance_id} ran on {sorted(where)} at once at {at:.3f} s, alarm: {alarmed}"


def _once(world: World) -> Iterator[str]:
    """libvirt is made to begin an attempt once."""
    for (migration_id, attempt), times in world.fleet.witness.transfers.items():
        if times > 1:
            yield f"migration {migration_id[:8]} attempt {attempt} was begun {times} times"
