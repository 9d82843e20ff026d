"""What the stores promise, on SQLite and on PostgreSQL."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from migrator.conductor.ports import Heard
from migrator.db import schema
from migrator.db.stores import Patience
from migrator.db.tables import metadata
from migrator.errors import Broken, MigratorError, Refused
from migrator.messages import ListMigrations
from migrator.model import (
    AddTodo,
    DiskFormat,
    DiskRecord,
    DomainState,
    DomainSummary,
    HostAddresses,
    HostFacts,
    HostState,
    Instance,
    InstanceStatus,
    Mode,
    Reason,
    RequestSpec,
    ResourceRequest,
    TodoKind,
    Wishes,
)
from migrator.states import MigrationState as S
from tests.contract.database_world import at_once

if TYPE_CHECKING:
    from collections.abc import Sequence

    from migrator.db.engine import Database
    from tests.contract.database_world import World

pytest_plugins = ["tests.contract.database_fixtures"]


def domain(number: int, **changes: Any) -> DomainSummary:
    base = DomainSummary(
        id=str(uuid.UUID(int=number)),
        name=f"guest{number}",
        state=DomainState.RUNNING,
        reason=Reason.BOOTED,
        persistent=True,
        vcpus=1,
        memory_mib=256,
    )
    return dataclasses.replace(base, **changes)


# ---------------------------------------------------------------- schema


def test_migrations_make_exactly_the_tables_the_code_uses(database: Database) -> None:
    with database.reader() as connection:
        options: dict[str, Any] = {
            "version_table": schema.VERSION_TABLE,
            "compare_server_default": schema.default_differs,
        }
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []


def test_an_upgraded_database_is_current_and_upgrading_again_changes_nothing(
    database: Database,
) -> None:
    url = database.url.render_as_string(hide_password=False)
    schema.check(url)
    assert schema.upgrade(url) == schema.current(url) == schema.head()


def test_a_database_of_a_newer_release_is_refused_with_what_to_do(database: Database) -> None:
    url = database.url.render_as_string(hide_password=False)
    stamp = f"UPDATE {schema.VERSION_TABLE} SET version_num = :revision"
    with database.writer() as connection:
        connection.execute(text(stamp), {"revision": "9999"})
    try:
        with pytest.raises(MigratorError, match="upgraded by a newer migrator") as refused:
            schema.check(url)
        assert refused.value.code == "database.revision"
    finally:
        with database.writer() as connection:
            connection.execute(text(stamp), {"revision": schema.head()})


# ---------------------------------------------------------------- hosts


def test_a_registered_host_is_enabled_and_down_until_its_agent_speaks(world: World) -> None:
    host = world.stores.hosts.get("h1")
    assert (host.state, host.alive, host.seen_at, host.facts) == (
        HostState.ENABLED,
        False,
        None,
        None,
    )


def test_a_heartbeat_makes_a_host_alive_and_answers_with_what_was_known_before(
    world: World,
) -> None:
    before = world.stores.hosts.heartbeat("h1", "one", "1.0", "")
    assert before is not None
    assert (before.incarnation, before.alive) == ("", False)
    before = world.stores.hosts.heartbeat("h1", "two", "1.1", "")
    assert before is not None
    assert (before.incarnation, before.agent_version, before.alive) == ("one", "1.0", True)
    assert world.stores.hosts.heartbeat("nowhere", "one", "1.0", "") is None


def test_a_host_is_down_when_its_agent_says_why_or_has_been_silent(world: World) -> None:
    world.stores.hosts.heartbeat("h1", "one", "1.0", "libvirtd does not answer")
    host = world.stores.hosts.get("h1")
    assert (host.alive, host.why_down) == (False, "libvirtd does not answer")
    world.stores.hosts.heartbeat("h2", "one", "1.0", "")
    assert world.stores.hosts.get("h2").alive
    impatient = world.again(Patience(silent_host_s=0.0))
    assert not impatient.stores.hosts.get("h2").alive


def test_registering_again_updates_addresses_and_keeps_the_rest(world: World) -> None:
    world.stores.hosts.set_state("h1", HostState.DISABLED)
    world.stores.hosts.register("h1", HostAddresses("a", "b", "c", "d", "e"))
    host = world.stores.hosts.get("h1")
    assert host.addresses == HostAddresses("a", "b", "c", "d", "e")
    assert host.state is HostState.DISABLED


def test_facts_and_the_number_of_the_newest_word_come_back_as_they_were_told(
    world: World,
) -> None:
    facts = HostFacts(
        9_000_000, 7_002_000, "x86_64", 8, 16_384, ("local",), networks=("default", "br0")
    )
    world.stores.hosts.set_facts("h1", facts)
    world.stores.instances.record_sightings("h1", [], heard(2**40))
    host = world.stores.hosts.get("h1")
    assert (host.facts, host.inventory_generation) == (facts, 2**40)
    assert [one.name for one in world.stores.hosts.list()] == ["h1", "h2", "h3"]


def test_a_host_keeps_its_tags_and_its_zone(world: World) -> None:
    world.stores.hosts.set_labels("h1", ["ssd", "gpu", "ssd"], "row-1")
    host = world.stores.hosts.get("h1")
    assert (host.tags, host.zone) == (("gpu", "ssd"), "row-1")
    world.stores.hosts.set_labels("h1", [], None)
    host = world.stores.hosts.get("h1")
    assert (host.tags, host.zone) == ((), None)


def test_a_hosts_mark_changes_with_whatever_a_decision_depends_on(world: World) -> None:
    hosts = world.stores.hosts
    changes: list[Callable[[], object]] = [
        lambda: hosts.register("h1", HostAddresses("a", "b", "c", "d", "e")),
        lambda: hosts.set_facts("h1", HostFacts(1, 1, "x86_64", 8, 1024)),
        lambda: hosts.set_state("h1", HostState.DRAINING),
        lambda: hosts.set_labels("h1", ["ssd"], None),
        lambda: hosts.heartbeat("h1", "i1", "1.0", ""),
        lambda: hosts.heartbeat("h1", "i1", "1.0", "libvirt is away"),
        lambda: world.instance("web1", host="h1"),
    ]
    before, fleet = hosts.marks(), hosts.fleet_mark()
    assert [mark.name for mark in before] == ["h1", "h2", "h3"]
    for number, change in enumerate(changes):
        change()
        after = hosts.marks()
        assert after[0] != before[0], number
        assert hosts.fleet_mark() != fleet, number
        fleet = hosts.fleet_mark()
        assert after[1:] == before[1:]
        before = after
    hosts.heartbeat("h1", "i1", "1.0", "libvirt is away")
    assert (hosts.marks(), hosts.fleet_mark()) == (before, fleet)


@pytest.mark.parametrize("name", ["h9", "", "h1\0", "\ud800", "h1'; DROP TABLE hosts; --"])
def test_an_unknown_host_is_refused_with_the_names_that_are_known(world: World, name: str) -> None:
    for ask in (
        lambda: world.stores.hosts.get(name),
        lambda: world.stores.hosts.set_state(name, HostState.ENABLED),
    ):
        with pytest.raises(Refused) as refused:
            ask()
        assert refused.value.code == "host.unknown"
        assert refused.value.facts["known"] == ["h1", "h2", "h3"]


# ---------------------------------------------------------------- instances


def test_wishes_stay_while_the_rest_of_an_instance_changes(world: World) -> None:
    one = world.instance("web1")
    wishes = Wishes(affinity=("db",), tags=("ssd",), zone="row-1")
    world.stores.instances.set_wishes(one.id, wishes)
    spec = RequestSpec(ResourceRequest(2, 512, dedicated=(0, 1)), machine="q35")
    world.stores.instances.save(dataclasses.replace(one, vcpus=2, spec=spec), use_claim=True)
    now = world.stores.instances.get(one.id)
    assert now is not None
    assert (now.wishes, now.spec, now.vcpus) == (wishes, spec, 2)


def test_a_group_has_those_who_wish_to_be_in_it_and_are_there(world: World) -> None:
    one, two, gone, _ = (world.instance(f"web{number}") for number in range(1, 5))
    instances = world.stores.instances
    instances.set_wishes(one.id, Wishes(affinity=("db",), anti_affinity=("web",)))
    instances.set_wishes(two.id, Wishes(anti_affinity=("web",)))
    instances.set_wishes(gone.id, Wishes(anti_affinity=("web",)))
    instances.save(dataclasses.replace(gone, status=InstanceStatus.GONE, host=None), False)
    assert instances.groups() == {"db": frozenset({one.id}), "web": frozenset({one.id, two.id})}
    instances.set_wishes(two.id, Wishes())
    assert instances.groups()["web"] == frozenset({one.id})


def test_an_instance_is_found_by_exact_name_and_by_uuid_in_any_case(world: World) -> None:
    one = world.instance("web1")
    world.instance("web10")
    for text_ in ("web1", one.id, one.id.upper()):
        assert world.stores.instances.resolve(text_).id == one.id
    assert world.stores.instances.get(one.id) is not None
    assert world.stores.instances.get("nothing") is None


@pytest.mark.parametrize("name", ["web", "web%", "", "web1\0", "\ud800", "WEB1"])
def test_an_unknown_instance_is_refused(world: World, name: str) -> None:
    world.instance("web1")
    with pytest.raises(Refused) as refused:
        world.stores.instances.resolve(name)
    assert refused.value.code == "instance.unknown"


def test_a_name_that_fits_two_is_refused_with_both(world: World) -> None:
    both = [world.instance("web1", "h1"), world.instance("web1", "h2")]
    with pytest.raises(Refused) as refused:
        world.stores.instances.resolve("web1")
    assert refused.value.code == "instance.ambiguous_name"
    expected = [{"id": one.id, "host": one.host} for one in both]
    assert sorted(refused.value.facts["candidates"], key=str) == sorted(expected, key=str)


def test_a_name_shared_with_an_instance_that_is_gone_means_the_other(world: World) -> None:
    old = world.instance("web1")
    world.stores.instances.save(
        dataclasses.replace(old, status=InstanceStatus.GONE, host=None), use_claim=False
    )
    new = world.instance("web1")
    assert world.stores.instances.resolve("web1").id == new.id


def test_the_unfinished_migration_of_an_instance_is_derived(world: World) -> None:
    one = world.instance()
    moving = world.queued(one)
    assert world.stores.instances.resolve(one.id).migration_id == moving.id
    world.stores.journal.cancel_queued(moving.id, "root")
    assert world.stores.instances.resolve(one.id).migration_id is None
    assert [listed.migration_id for listed in world.stores.instances.list()] == [None]


def test_saving_keeps_exactly_one_use_claim_where_the_instance_lives(world: World) -> None:
    one = world.instance("web1", "h1")
    assert world.claimed("h1") == {("web1", "use")}
    generations = world.stores.claims.on_host("h1")[0], world.stores.claims.on_host("h2")[0]
    world.stores.instances.save(one, use_claim=True)
    assert world.stores.claims.on_host("h1")[0] == generations[0]
    world.stores.instances.save(dataclasses.replace(one, host="h2"), use_claim=True)
    assert (world.claimed("h1"), world.claimed("h2")) == (set(), {("web1", "use")})
    assert world.stores.claims.on_host("h1")[0] > generations[0]
    assert world.stores.claims.on_host("h2")[0] > generations[1]


def test_a_use_claim_follows_the_size_of_its_instance_and_goes_with_it(world: World) -> None:
    one = world.instance("web1", "h1")
    world.stores.instances.save(dataclasses.replace(one, vcpus=7, memory_mib=999), use_claim=True)
    (claim,) = world.stores.claims.list()
    assert (claim.vcpus, claim.memory_mib, claim.migration_id) == (7, 999, None)
    gone = dataclasses.replace(one, status=InstanceStatus.GONE, host=None)
    world.stores.instances.save(gone, use_claim=False)
    assert world.stores.claims.list() == []


def test_while_it_moves_an_instances_owner_and_claims_are_the_journals(world: World) -> None:
    one = world.instance("web1", "h1")
    world.switched(world.led(world.queued(one)), AddTodo(TodoKind.RELEASE_SOURCE, "h1"))
    stale = dataclasses.replace(one, host="h1", status=InstanceStatus.PAUSED)
    world.stores.instances.save(stale, use_claim=True)
    seen = world.stores.instances.resolve(one.id)
    assert (seen.host, seen.status) == ("h2", InstanceStatus.PAUSED)
    assert (world.claimed("h1"), world.claimed("h2")) == ({("web1", "leaving")}, {("web1", "use")})


def test_an_instance_on_a_host_nobody_registered_is_an_error_in_the_program(world: World) -> None:
    with pytest.raises(Broken) as broken:
        world.instance("web1", "h9")
    assert broken.value.code == "internal"
    assert world.stores.instances.list() == []


def test_ambiguity_survives_the_database(world: World) -> None:
    one = dataclasses.replace(
        world.instance("web1", None),
        status=InstanceStatus.AMBIGUOUS,
        candidates=("h1", "h2"),
    )
    world.stores.instances.save(one, use_claim=False)
    seen = world.stores.instances.resolve("web1")
    assert seen == dataclasses.replace(one, updated_at=seen.updated_at)
    assert seen.updated_at == world.clock.now()


# ---------------------------------------------------------------- sightings


def heard(number: int) -> Heard:
    """Of an agent that has not said who it is."""
    return Heard("", number)


def test_recording_an_inventory_names_what_changed_appeared_and_vanished(world: World) -> None:
    numbers = itertools.count(1)

    def record(host: str, domains: Sequence[DomainSummary]) -> Sequence[str]:
        return world.stores.instances.record_sightings(host, domains, heard(next(numbers)))

    kept, changed, vanished, new = (domain(number) for number in range(4))
    assert set(record("h1", [kept, changed, vanished])) == {kept.id, changed.id, vanished.id}
    other = dataclasses.replace(changed, state=DomainState.PAUSED)
    assert set(record("h1", [kept, other, new])) == {changed.id, vanished.id, new.id}
    assert record("h1", [kept, other, new]) == []
    assert world.stores.instances.sightings(changed.id) == {"h1": other}
    assert world.stores.instances.sightings(vanished.id) == {}


def test_every_host_has_its_own_sighting_of_a_domain(world: World) -> None:
    one = domain(1)
    incoming = domain(1, incoming=True)
    assert world.stores.instances.record_sighting("h1", one.id, one, heard(1))
    assert not world.stores.instances.record_sighting("h1", one.id, one, heard(2))
    assert world.stores.instances.record_sighting("h2", one.id, incoming, heard(1))
    assert world.stores.instances.sightings(one.id) == {"h1": one, "h2": incoming}
    assert world.stores.instances.all_sightings() == {one.id: {"h1": one, "h2": incoming}}
    assert world.stores.instances.record_sighting("h1", one.id, None, heard(3))
    assert not world.stores.instances.record_sighting("h1", one.id, None, heard(4))
    assert not world.stores.instances.record_sighting("h3", one.id, None, heard(4))
    assert world.stores.instances.sightings(one.id) == {"h2": incoming}


def test_an_inventory_undoes_nothing_that_was_read_after_it(world: World) -> None:
    instances = world.stores.instances
    old, new, gone, kept = domain(1), domain(1, vcpus=7), domain(2), domain(3)
    instances.record_sightings("h1", [old, gone], heard(2))
    assert instances.record_sighting("h1", new.id, new, heard(7))
    assert instances.record_look("h1", gone.id, None, 8)
    assert instances.record_sightings("h1", [old, gone, kept], heard(5)) == [kept.id]
    assert instances.all_sightings() == {new.id: {"h1": new}, kept.id: {"h1": kept}}
    assert instances.record_sightings("h1", [old], heard(6)) == [kept.id]
    assert instances.all_sightings() == {new.id: {"h1": new}}
    assert set(instances.record_sightings("h1", [old, gone], heard(9))) == {old.id, gone.id}


def test_of_two_words_about_a_guest_the_one_that_was_read_later_counts(world: World) -> None:
    instances = world.stores.instances
    one, other = domain(1), domain(1, vcpus=7)
    assert instances.record_sighting("h1", one.id, one, heard(5))
    assert not instances.record_look("h1", one.id, one, 8)
    assert not instances.record_sighting("h1", one.id, other, heard(7))
    assert not instances.record_look("h1", one.id, None, 7)
    assert instances.sightings(one.id) == {"h1": one}
    assert instances.record_look("h1", one.id, other, 9)
    assert instances.sightings(one.id) == {"h1": other}


def test_what_was_read_before_an_inventory_changes_nothing_after_it(world: World) -> None:
    instances = world.stores.instances
    one, two = domain(1), domain(2)
    instances.record_sightings("h1", [one], heard(5))
    instances.record_sighting("h1", two.id, two, heard(7))
    assert not instances.record_look("h1", one.id, None, 4)
    assert instances.record_sightings("h1", [one], heard(5)) == []
    for late in (
        lambda: instances.record_sighting("h1", one.id, None, heard(4)),
        lambda: instances.record_sightings("h1", [], heard(4)),
    ):
        with pytest.raises(Refused) as refused:
            late()
        assert (refused.value.code, refused.value.facts["generation"]) == ("report.stale", 7)
    assert instances.all_sightings() == {one.id: {"h1": one}, two.id: {"h1": two}}


def test_a_word_of_a_former_agent_process_changes_nothing(world: World) -> None:
    world.stores.hosts.heartbeat("h1", "new", "1.0", "")
    one = domain(1)
    with pytest.raises(Refused) as refused:
        world.stores.instances.record_sighting("h1", one.id, one, Heard("old", 9))
    assert refused.value.code == "report.stale"
    assert world.stores.instances.record_sighting("h1", one.id, one, Heard("new", 1))


def test_two_conductors_may_record_the_same_inventory_at_once(world: World) -> None:
    domains = [domain(number) for number in range(50)]
    record = world.stores.instances.record_sightings
    words = [functools.partial(record, "h1", domains, heard(number)) for number in range(1, 5)]
    answers = at_once(*words)
    errors = {answer.code for answer in answers if isinstance(answer, MigratorError)}
    assert errors <= {"report.stale"}
    assert world.stores.instances.sightings(domains[0].id) == {"h1": domains[0]}


# ---------------------------------------------------------------- claims


def test_claims_of_an_unknown_host_are_refused(world: World) -> None:
    with pytest.raises(Refused) as refused:
        world.stores.claims.on_host("h9")
    assert refused.value.code == "host.unknown"


def test_a_host_without_claims_still_has_a_generation(world: World) -> None:
    assert world.stores.claims.on_host("h3") == (0, [])


# ---------------------------------------------------------------- reading migrations


def test_disks_are_missed_of_instances_that_are_still_and_have_no_records(world: World) -> None:
    assert world.stores.instances.idle_without_records() == []
    known, new, moving = (world.instance(name) for name in ("known", "new", "moving"))
    vda = DiskRecord(
        known.id, "vda", "disk", "virtio", "file", "local", "v1", None, DiskFormat.RAW, 1 << 20
    )
    world.stores.disks.record(known.id, [vda])
    world.queued(moving)
    (missing,) = world.stores.instances.idle_without_records()
    assert missing.id == new.id


def test_a_migration_is_found_by_an_unambiguous_beginning(world: World) -> None:
    ids = ["aaaa1111", "aaaa2222", "bbbb1111"]
    made = []
    for number, beginning in enumerate(ids):
        request = world.request(world.instance(f"g{number}"))
        whole = beginning + request.id[8:]
        made.append(world.stores.journal.submit(dataclasses.replace(request, id=whole)))
    get = world.stores.migrations.get
    assert get("BBBB").id == get(made[2].id).id == made[2].id
    with pytest.raises(Refused) as refused:
        get("aaaa")
    assert refused.value.code == "migration.ambiguous"
    assert set(refused.value.facts["candidates"]) == {made[0].id, made[1].id}


@pytest.mark.parametrize("wanted", ["", "bbb", "%%%%", "____", "b" * 36, "b" * 99, "bbbb\0"])
def test_what_is_no_beginning_of_a_migration_is_unknown(world: World, wanted: str) -> None:
    world.queued()
    with pytest.raises(Refused) as refused:
        world.stores.migrations.get(wanted)
    assert refused.value.code == "migration.unknown"


def test_migrations_are_listed_newest_first_and_by_every_filter(world: World) -> None:
    first = world.queued(world.instance("g1"))
    world.stores.journal.cancel_queued(first.id, "root")
    forced = dataclasses.replace(world.request(world.instance("g2")), mode=Mode.FORCE)
    world.stores.journal.submit(forced)
    third = world.queued(world.instance("g3"))
    world.advance(world.led(third), S.CLAIMED)
    world.stores.journal.update(world.led(third), attention="look at this")

    def found(**wanted: Any) -> list[str]:
        ids = world.stores.migrations.find(ListMigrations(**wanted))
        return [migration.instance_name for migration in ids]

    assert found() == ["g3", "g2", "g1"]
    assert found(limit=1) == ["g3"]
    assert found(limit=0) == found(limit=-1) == []
    assert found(forced=True) == ["g2"]
    assert found(active=True) == ["g3", "g2"]
    assert found(needs_attention=True) == ["g3"]
    assert found(instance="g1") == found(instance=first.instance_id.upper()) == ["g1"]
    assert found(host="h1") == ["g3"]
    assert found(host="h2", active=True) == ["g3", "g2"]
    assert found(host="h\0") == found(instance="\ud800") == []


def test_what_is_unfinished_is_listed_oldest_first(world: World) -> None:
    made = [world.queued(world.instance(f"g{number}")) for number in range(3)]
    world.stores.journal.cancel_queued(made[1].id, "root")
    listed = world.stores.migrations.unfinished()
    assert [one.id for one in listed] == [made[0].id, made[2].id]
    line = world.stores.migrations.line()
    assert [(one.id, one.state, one.source) for one in line] == [
        (one.id, one.state, one.source) for one in listed
    ]


def test_a_migration_is_found_by_the_request_that_made_it(world: World) -> None:
    made = world.stores.journal.submit(world.request(world.instance(), "req-1"))
    by_request = world.stores.migrations.by_request
    assert by_request("req-1") == made
    assert by_request("req-2") is by_request("") is by_request("req-1\0") is None


def test_a_flow_is_resumable_by_its_own_leader_or_once_the_lease_has_run_out(
    world: World,
) -> None:
    moving = world.queued()
    resumable = world.stores.migrations.resumable
    assert resumable("c1") == []
    world.advance(world.led(moving, "c1"), S.PREPARING)
    assert [one.id for one in resumable("c1")] == [moving.id]
    assert resumable("c2") == []
    world.stores.journal.renew("c1", 0.0)
    assert [one.id for one in resumable("c2")] == [moving.id]
    world.stores.journal.renew("c1", 60.0)
    assert resumable("c2") == []


def test_a_switched_migration_has_no_flow_to_resume(world: World) -> None:
    world.switched(world.led(world.queued()), AddTodo(TodoKind.RELEASE_SOURCE, "h1"))
    assert world.stores.migrations.resumable("c1") == []
    assert len(world.stores.migrations.unfinished()) == 1


def test_history_is_numbered_from_one_and_read_in_pages(world: World) -> None:
    moving = world.queued()
    for number in range(5):
        world.stores.journal.note(moving.id, "observed", f"line {number}", {"number": number})
    read = world.stores.migrations.events
    whole = read(moving.id, 0, 100)
    assert [event.seq for event in whole] == [1, 2, 3, 4, 5, 6]
    assert whole[0].kind == "state"
    assert (whole[-1].text, whole[-1].facts) == ("line 4", {"number": 4})
    assert [event.seq for event in read(moving.id, 2, 2)] == [3, 4]
    assert read(moving.id, 6, 100) == []


def test_concurrent_events_get_numbers_without_gaps(world: World) -> None:
    moving = world.queued()

    def note() -> None:
        for _ in range(10):
            world.stores.journal.note(moving.id, "observed", "something")

    at_once(*[note] * 4)
    numbers = [event.seq for event in world.stores.migrations.events(moving.id, 0, 100)]
    assert numbers == list(range(1, 42))


def test_instances_of_the_same_size_never_share_a_claim(world: World) -> None:
    made: list[Instance] = [world.instance(f"g{number}") for number in range(3)]
    assert {claim.instance_id for claim in world.stores.claims.list()} == {one.id for one in made}
