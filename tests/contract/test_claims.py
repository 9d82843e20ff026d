"""Claims of particular CPUs and devices: double use cannot be stored, and nothing is left behind."""

from __future__ import annotations

import dataclasses
from collections import Counter
from contextlib import contextmanager
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Engine, event, exc, select
from sqlalchemy.exc import IntegrityError

from migrator.db.tables import claim_cpus, claim_devices, claims
from migrator.errors import Broken, MigratorError, Transient
from migrator.model import (
    CellPlacement,
    DeviceGiven,
    DomainState,
    DomainSummary,
    DropClaim,
    HostUse,
    Instance,
    InstanceStatus,
    PagesTaken,
    Placement,
    Reason,
    SwitchOwner,
    TakeClaim,
)
from migrator.scheduler.fit import fit
from migrator.scheduler.fit import take as fit_take
from migrator.scheduler.snapshot import use_of
from migrator.states import MigrationState as S
from tests.contract.database_world import at_once, whole
from tests.unit.scheduler.fit import worlds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from migrator.conductor.ports import Lead
    from tests.contract.database_world import World

pytest_plugins = ["tests.contract.database_fixtures"]

WHOLE = Placement(
    vcpus=1,
    memory_mib=0,
    pins=((0, 4), (1, 6)),
    emulator_cpu=8,
    emulator_cpus=(8,),
    blocked_cpus=(5, 7),
    cells=(CellPlacement(0, 1, 1, 0, (0, 1)),),
    pages=(PagesTaken(1, 2048, 512),),
    page_kib=2048,
    devices=(DeviceGiven("nic", "0000:3b:02.1"),),
    blocked_devices=("0000:3b:02.2",),
)


def pinned(*cpus: int, blocked: tuple[int, ...] = ()) -> Placement:
    return Placement(0, 256, tuple(enumerate(cpus)), blocked_cpus=blocked)


def given(*addresses: str, blocked: tuple[str, ...] = ()) -> Placement:
    devices = tuple(DeviceGiven("r", address) for address in addresses)
    return Placement(1, 256, devices=devices, blocked_devices=blocked)


def placing(world: World, name: str) -> Lead:
    """A led migration that looks for a place."""
    lead = world.led(world.queued(world.instance(name)))
    world.advance(lead, S.SCHEDULING)
    return lead


def take(world: World, lead: Lead, placement: Placement, host: str = "h2") -> None:
    effect = dataclasses.replace(world.take(host), placement=placement)
    places = {"source": "h1", "destination": host}
    world.stores.journal.move(lead, S.SCHEDULING, S.CLAIMED, "placed", [effect], **places)


def parts(world: World) -> set[tuple[str, str, str]]:
    """(instance's claim, part, use) of everything exclusive."""
    found = set()
    with world.database.reader() as connection:
        for table, key in ((claim_cpus, "cpu"), (claim_devices, "address")):
            query = select(table.c.host, table.c[key], table.c.use)
            found |= {(row[0], str(row[1]), row[2]) for row in connection.execute(query)}
    return found


def test_a_claim_is_kept_whole_and_read_back_whole(world: World) -> None:
    take(world, placing(world, "web1"), WHOLE)
    (claim,) = world.stores.claims.on_host("h2")[1]
    assert claim.placement == WHOLE
    assert parts(world) == {
        ("h2", "4", "given"),
        ("h2", "6", "given"),
        ("h2", "8", "emulator"),
        ("h2", "5", "blocked"),
        ("h2", "7", "blocked"),
        ("h2", "0000:3b:02.1", "given"),
        ("h2", "0000:3b:02.2", "blocked"),
    }


def test_a_place_chosen_before_something_was_given_back_may_be_claimed_and_before_a_claim_not(
    world: World,
) -> None:
    first, second, third = (placing(world, name) for name in ("web1", "web2", "web3"))
    take(world, first, pinned(4))
    chosen = dataclasses.replace(world.take("h2"), placement=pinned(6))
    journal = world.stores.journal
    journal.move(first, S.CLAIMED, S.SCHEDULING, "again", [DropClaim("h2")], destination=None)
    assert world.stores.claims.on_host("h2")[0] > chosen.claims_generation
    journal.move(second, S.SCHEDULING, S.CLAIMED, "placed", [chosen], destination="h2")
    late = dataclasses.replace(chosen, placement=pinned(7))
    with pytest.raises(Transient) as conflict:
        journal.move(third, S.SCHEDULING, S.CLAIMED, "placed", [late], destination="h2")
    assert conflict.value.code == "claim.conflict"


@pytest.mark.parametrize(
    ("first", "second", "what"),
    [
        (pinned(1), pinned(1), "CPU 1"),
        (pinned(1, blocked=(2,)), pinned(2), "CPU 2"),
        (pinned(2), pinned(1, blocked=(2,)), "CPU 2"),
        (pinned(0, 1), pinned(1, 2), "CPU 1"),
        (WHOLE, pinned(8), "CPU 8"),
        (given("0000:01:00.1"), given("0000:01:00.1"), "device 0000:01:00.1"),
        # a physical function and one of its virtual ones, either way round
        (
            given("0000:01:00.0", blocked=("0000:01:00.1",)),
            given("0000:01:00.1"),
            "device 0000:01:00.1",
        ),
        (
            given("0000:01:00.1"),
            given("0000:01:00.0", blocked=("0000:01:00.1",)),
            "device 0000:01:00.1",
        ),
    ],
)
def test_what_one_claim_has_no_other_gets(
    world: World, first: Placement, second: Placement, what: str
) -> None:
    take(world, placing(world, "web1"), first)
    lead = placing(world, "web2")
    before = whole(world, lead.migration_id), parts(world)
    with pytest.raises(Transient, match=f"{what} of h2") as conflict:
        take(world, lead, second)
    assert conflict.value.code == "claim.conflict"
    assert (whole(world, lead.migration_id), parts(world)) == before
    take(world, lead, second, host="h3")


@pytest.mark.parametrize(
    "row", [{"host": "h2", "cpu": 4, "use": "given"}, {"host": "h2", "cpu": 5, "use": "given"}]
)
def test_double_use_cannot_even_be_written_by_hand(world: World, row: dict[str, Any]) -> None:
    take(world, placing(world, "web1"), WHOLE)
    take(world, placing(world, "web2"), pinned(20))
    with world.database.reader() as connection:
        other = connection.execute(select(claims.c.id).order_by(claims.c.id.desc())).scalar()
    add = claim_cpus.insert().values(claim_id=other, **row)
    with pytest.raises(Broken) as broken:
        world.database.write(lambda connection: connection.execute(add))
    assert isinstance(broken.value.__cause__, IntegrityError)


def test_releasing_gives_back_everything_that_was_taken(world: World) -> None:
    take(world, placing(world, "web1"), pinned(1))
    world.instance("web2")
    before = parts(world)
    for _ in range(2):
        lead = world.led(world.queued(world.stores.instances.resolve("web2")))
        world.advance(lead, S.SCHEDULING)
        take(world, lead, WHOLE)
        assert parts(world) != before
        journal = world.stores.journal
        journal.move(lead, S.CLAIMED, S.ROLLING_BACK, "failed")
        journal.move(lead, S.ROLLING_BACK, S.FAILED, "undone", [DropClaim("h2")])
        assert parts(world) == before


@contextmanager
def failing_at(number: int) -> Iterator[None]:
    """The numbered writing statement from now on fails, as for a lost connection."""
    seen = Counter[str]()

    def fail(*args: Any) -> None:
        if args[2].lstrip().upper().startswith(("INSERT", "UPDATE", "DELETE")):
            seen["writes"] += 1
            if seen["writes"] == number:
                raise exc.OperationalError(args[2], {}, Exception("the connection is gone"))

    event.listen(Engine, "before_cursor_execute", fail)
    try:
        yield
    finally:
        event.remove(Engine, "before_cursor_execute", fail)


def test_a_failure_at_any_statement_of_a_claim_leaves_none_of_it(world: World) -> None:
    lead = placing(world, "web1")
    before = whole(world, lead.migration_id), parts(world)
    failed = 0
    while True:
        try:
            with failing_at(failed + 1):
                take(world, lead, WHOLE)
        except MigratorError:
            failed += 1
            assert (whole(world, lead.migration_id), parts(world)) == before
        else:
            break
    # the migration, the host's generation, the claim, its CPUs, its devices, the history
    assert failed == 6
    assert len(parts(world)) == 7


def test_the_parts_of_a_claim_survive_the_switch_and_the_sources_stay_until_it_is_released(
    world: World,
) -> None:
    one = world.instance("web1")
    world.stores.instances.keep_use_claim(one, pinned(0, 1))
    lead = world.led(world.queued(one))
    world.advance(lead, S.SCHEDULING)
    take(world, lead, WHOLE)
    journal = world.stores.journal
    journal.move(lead, S.CLAIMED, S.PREPARING, "on")
    journal.move(lead, S.PREPARING, S.RUNNING, "on")
    journal.move(lead, S.RUNNING, S.SWITCHED, "there", [SwitchOwner("h1", "h2")])
    both = parts(world)
    assert {("h1", "0", "given"), ("h1", "1", "given"), ("h2", "4", "given")} <= both
    journal.update(lead, [DropClaim("h1")])
    assert parts(world) == {part for part in both if part[0] == "h2"}


# ---------------------------------------------------------------- fifty for one slot

FIFTY = 50


@pytest.mark.timeout(300)
def test_of_fifty_that_want_one_slot_at_once_exactly_one_gets_it(world: World) -> None:
    leads = [placing(world, f"web{number}") for number in range(FIFTY)]

    def place(lead: Lead) -> str:
        """As the step does: look, and claim by what was seen; look again after a conflict."""
        for _ in range(FIFTY + 1):
            generation, there = world.stores.claims.on_host("h2")
            if any(claim.placement is not None for claim in there):
                return "refused"
            effect = TakeClaim("h2", generation, 1, 256, pinned(3))
            try:
                world.stores.journal.move(lead, S.SCHEDULING, S.CLAIMED, "placed", [effect])
            except Transient as conflict:
                if conflict.code != "claim.conflict":
                    return conflict.code
            else:
                return "won"
        return "never"

    answers = Counter(map(str, at_once(*(partial(place, lead) for lead in leads))))
    assert answers == {"won": 1, "refused": FIFTY - 1}
    assert parts(world) == {("h2", "3", "given")}
    assert len(world.stores.claims.on_host("h2")[1]) == 1


@pytest.mark.timeout(300)
def test_of_a_groups_members_that_find_their_places_at_once_one_comes_first(world: World) -> None:
    """On hosts of their own, whose generations tell them nothing of each other."""
    hosts = ("h1", "h2", "h3")
    leads = [placing(world, f"web{number}") for number in range(len(hosts))]
    for mark in range(2):
        seen_marks = world.stores.instances.group_marks(["db", "web"])
        assert seen_marks == (("db", mark), ("web", mark))
        claims_ = [dataclasses.replace(world.take(host), group_marks=seen_marks) for host in hosts]

        def place(lead: Lead, effect: TakeClaim) -> str:
            try:
                world.stores.journal.move(lead, S.SCHEDULING, S.CLAIMED, "placed", [effect])
            except Transient as conflict:
                return conflict.code
            return "won"

        pairs = zip(leads, claims_, strict=True)
        answers = list(map(str, at_once(*(partial(place, *pair) for pair in pairs))))
        assert sorted(answers) == ["claim.conflict", "claim.conflict", "won"]
        winner = leads[answers.index("won")]
        host = hosts[answers.index("won")]
        world.stores.journal.move(
            winner, S.CLAIMED, S.SCHEDULING, "again", [DropClaim(host)], destination=None
        )


@pytest.mark.timeout(300)
def test_nobody_gets_a_cpu_twice_even_by_the_same_generation(world: World) -> None:
    """The second line of defence: uniqueness holds where the generation was not looked at anew."""
    leads = [placing(world, f"web{number}") for number in range(8)]
    works: list[Callable[[], str]] = []
    for number, lead in enumerate(leads):
        host = "h2" if number % 2 else "h3"
        works.append(partial(_try, world, lead, host))
    answers = Counter(map(str, at_once(*works)))
    assert answers["won"] <= 2
    assert len(parts(world)) == answers["won"]


def _try(world: World, lead: Lead, host: str) -> str:
    try:
        take(world, lead, pinned(3), host)
    except Transient as conflict:
        return conflict.code
    return "won"


# ---------------------------------------------------------------- what runs on a host


def seen(world: World, one: Instance, placement: Placement | None) -> None:
    world.stores.instances.save(one, use_claim=True, held=placement)


def test_a_guest_that_is_found_has_what_it_was_seen_to_have(world: World) -> None:
    seen(world, world.instance("web1", "h2"), pinned(0, 1))
    assert parts(world) == {("h2", "0", "given"), ("h2", "1", "given")}
    lead = placing(world, "web2")
    with pytest.raises(Transient, match="CPU 1 of h2"):
        take(world, lead, pinned(1))


def test_pins_that_somebody_changed_change_the_claim_and_its_generation(world: World) -> None:
    one = world.instance("web1")
    seen(world, one, pinned(0))
    generation = world.stores.claims.on_host("h1")[0]
    world.stores.instances.keep_use_claim(one, pinned(0))
    assert world.stores.claims.on_host("h1")[0] == generation
    world.stores.instances.keep_use_claim(one, pinned(2))
    assert parts(world) == {("h1", "2", "given")}
    assert world.stores.claims.on_host("h1")[0] > generation


def test_what_a_claim_keeps_free_beside_what_can_be_seen_stays_kept(world: World) -> None:
    one = world.instance("web1")
    isolated = pinned(0, blocked=(1,))
    seen(world, one, isolated)
    world.stores.instances.keep_use_claim(one, pinned(0))
    assert parts(world) == {("h1", "0", "given"), ("h1", "1", "blocked")}


def test_nothing_is_forgotten_when_nobody_says_what_a_guest_has(world: World) -> None:
    one = world.instance("web1")
    seen(world, one, pinned(0))
    seen(world, one, None)
    assert parts(world) == {("h1", "0", "given")}


def test_two_that_sit_on_one_cpu_by_hand_are_told_apart_and_the_second_inherits(
    world: World,
) -> None:
    first, second = world.instance("web1"), world.instance("web2")
    seen(world, first, pinned(0))
    seen(world, second, pinned(0, 1))
    assert parts(world) == {("h1", "0", "given"), ("h1", "1", "given")}
    gone = dataclasses.replace(first, status=InstanceStatus.GONE, host=None)
    world.stores.instances.save(gone, use_claim=False)
    assert parts(world) == {("h1", "1", "given")}
    world.stores.instances.keep_use_claim(second, pinned(0, 1))
    assert parts(world) == {("h1", "0", "given"), ("h1", "1", "given")}


def domain_of(instance: Instance, placement: Placement) -> DomainSummary:
    return DomainSummary(
        id=instance.id,
        name=instance.name,
        state=DomainState.RUNNING,
        reason=Reason.BOOTED,
        persistent=True,
        vcpus=2,
        memory_mib=512,
        held=placement,
    )


def test_what_a_second_copy_of_a_guest_has_is_nobody_elses_as_long_as_it_is_there(
    world: World,
) -> None:
    copied, store = world.instance("copied"), world.stores.claims
    rival = placing(world, "web1")
    before, _ = store.on_host("h2")
    store.keep_foreign(copied.id, {"h2": domain_of(copied, pinned(3))})
    generation, (claim,) = store.on_host("h2")
    assert (claim.purpose, claim.placement, claim.migration_id) == ("foreign", pinned(3), None)
    assert generation > before
    with pytest.raises(Transient):
        take(world, rival, pinned(3))
    store.keep_foreign(copied.id, {"h2": domain_of(copied, pinned(3))})
    assert store.on_host("h2")[0] == generation
    assert not store.sweep()
    store.keep_foreign(copied.id, {"h2": domain_of(copied, pinned(4))})
    take(world, rival, pinned(3))
    store.keep_foreign(copied.id, {})
    assert [each.instance_name for each in store.on_host("h2")[1]] == ["web1"]
    assert {part for _, part, _ in parts(world)} == {"3"}


def test_a_claim_of_the_guest_itself_is_never_called_foreign(world: World) -> None:
    guest = world.instance("web1")
    before = world.stores.claims.list()
    world.stores.claims.keep_foreign(guest.id, {guest.host or "": domain_of(guest, pinned(3))})
    world.queued(guest)
    world.stores.claims.keep_foreign(guest.id, {"h2": domain_of(guest, pinned(3))})
    assert world.stores.claims.list() == before


def test_while_a_guest_moves_its_claims_are_the_journals(world: World) -> None:
    one = world.instance("web1")
    seen(world, one, pinned(0))
    world.queued(one)
    world.stores.instances.keep_use_claim(one, pinned(5))
    assert parts(world) == {("h1", "0", "given")}


# ---------------------------------------------------------------- what was left


def test_what_an_ended_migration_has_left_is_swept(world: World) -> None:
    lead = placing(world, "web1")
    take(world, lead, WHOLE)
    journal = world.stores.journal
    journal.move(lead, S.CLAIMED, S.ROLLING_BACK, "failed")
    assert world.stores.claims.sweep() == []
    journal.move(lead, S.ROLLING_BACK, S.FAILED, "undone, but for the claim")
    generation = world.stores.claims.on_host("h2")[0]
    swept = {(claim.host, claim.instance_name) for claim in world.stores.claims.sweep()}
    assert swept == {("h2", "web1")}
    assert parts(world) == set()
    assert world.claimed("h1") == {("web1", "use")}
    assert world.stores.claims.on_host("h2")[0] > generation
    assert world.stores.claims.sweep() == []


# ---------------------------------------------------------------- the fit and the claim

STEPS = 60


@pytest.mark.parametrize("seed", range(12))
def test_what_the_fit_gives_can_be_claimed_and_what_is_claimed_is_not_given_again(
    world: World, seed: int
) -> None:
    """Filter and claim never disagree: guests come and go, each placed by what is claimed."""
    dice = Random(seed)
    topology = worlds.world(dice).topology
    there: list[tuple[Lead, Placement]] = []
    for number in range(STEPS):
        _, claims_there = world.stores.claims.on_host("h2")
        use = use_of(claims_there)
        assert use == use_of_all(placement for _, placement in there)
        if there and dice.random() < 0.4:
            lead, _ = there.pop(dice.randrange(len(there)))
            drop = [DropClaim("h2")]
            world.stores.journal.move(lead, S.CLAIMED, S.SCHEDULING, "on", drop, destination=None)
            continue
        found = fit(topology, use, worlds.world(dice).request)
        if isinstance(found, Placement):
            lead = placing(world, f"g{number}")
            take(world, lead, found)
            there.append((lead, found))


def use_of_all(placements: Iterable[Placement]) -> HostUse:
    use = HostUse()
    for placement in placements:
        use = fit_take(use, placement)
    return use
