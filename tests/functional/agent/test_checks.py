"""What an agent says of a guest and of itself before anything is changed."""

from __future__ import annotations

import msgspec
import pytest

from migrator.errors import MigratorError, Refused, Transient
from migrator.messages import PoolIdentity
from migrator.model import AttemptMark, DomainState, Reason, Refusal
from tests.fakes.hypervisor_pools import FakeVolume
from tests.functional.agent.world import MIGRATION, World


def codes(refusals: list[Refusal]) -> list[str]:
    return [refusal.code for refusal in refusals]


# ---------------------------------------------------------------- describe_source


def test_a_running_guest_is_described_whole(world: World) -> None:
    facts = world.h1.describe()
    assert (facts.instance_id, facts.name) == (world.guest, "web1")
    assert (facts.vcpus, facts.memory_mib, facts.machine) == (1, 256, "pc-q35-7.2")
    assert facts.networks == ["default"]
    assert facts.inactive_xml is not None
    assert (facts.libvirt_version, facts.hypervisor_version) == (9_000_000, 7_002_022)
    again = msgspec.structs.replace(world.h1.describe(), read_at_s=facts.read_at_s)
    assert facts == again


def test_a_guest_that_is_not_there_is_gone(world: World) -> None:
    with pytest.raises(Refused) as caught:
        world.h2.describe()
    assert caught.value.code == "instance.gone"


@pytest.mark.parametrize(
    ("state", "code", "says"),
    [
        (DomainState.SHUTOFF, "guest.not_active", "Start it first"),
        (DomainState.CRASHED, "guest.not_active", "crashed"),
        (DomainState.SHUTDOWN, "guest.not_active", "shutting down"),
        (DomainState.PMSUSPENDED, "guest.not_active", "dompmwakeup"),
    ],
)
def test_a_guest_that_does_not_run_is_refused_with_what_to_do(
    world: World, state: DomainState, code: str, says: str
) -> None:
    world.h1.host.domains[world.guest].state = state
    with pytest.raises(Refused) as caught:
        world.h1.describe()
    assert caught.value.code == code
    assert says in caught.value.message


def test_a_guest_paused_by_its_user_may_move(world: World) -> None:
    world.h1.host.suspend(world.guest)
    assert world.h1.describe().view.reason is Reason.USER


def test_a_guest_that_is_being_moved_is_busy(world: World) -> None:
    world.fleet.hold()
    world.h1.start(world.h2)
    with pytest.raises(Refused) as caught:
        world.h1.describe()
    assert caught.value.code == "guest.busy"


def test_a_guest_left_in_a_switch_is_busy(world: World) -> None:
    domain = world.h1.host.domains[world.guest]
    domain.state, domain.reason = DomainState.PAUSED, Reason.MIGRATION
    with pytest.raises(Refused) as caught:
        world.h1.describe()
    assert caught.value.code == "guest.busy"


def test_autostart_taken_by_an_attempt_that_was_never_undone_still_counts(world: World) -> None:
    world.h1.host.set_mark(world.guest, AttemptMark(MIGRATION, 1, autostart=True))
    assert world.h1.describe().view.autostart


# ---------------------------------------------------------------- check_destination


def test_a_host_that_can_run_the_guest_has_nothing_against_it(world: World) -> None:
    checked = world.h2.check_destination(world.h1.describe())
    assert checked.refusals == []
    assert checked.libvirt_version == 9_000_000


def test_every_no_comes_at_once(world: World) -> None:
    facts = world.h1.describe()
    world.add_guest(world.h2, name="web1", id="9c52c0de-0000-4000-8000-000000000009")
    world.h2.host.machines = ("pc-i440fx-7.2",)
    checked = world.h2.check_destination(
        facts,
        pools=["fast"],
        volumes=[["fast", "web1-vda"]],
        networks=["default", "prod"],
        encryption="required",
        source_libvirt_version=9_002_000,
    )
    assert codes(checked.refusals) == [
        "tls.required",
        "destination.domain_exists",
        "machine.unsupported",
        "host.too_old",
        "network.missing",
        "pool.missing",
    ]


def test_the_same_guest_there_is_named(world: World) -> None:
    facts = world.h1.describe()
    world.add_guest(world.h2, id=world.guest, running=False)
    (refusal,) = world.h2.check_destination(facts).refusals
    assert refusal.code == "destination.domain_exists"
    assert refusal.facts["id"] == world.guest
    assert "undefine" in refusal.message


def test_missing_cpu_features_are_named_one_by_one(world: World) -> None:
    world.h2.host.lacking_features = frozenset({"x2apic", "avx512f"})
    (refusal,) = world.h2.check_destination(world.h1.describe()).refusals
    assert refusal.code == "cpu.incompatible"
    assert refusal.facts["features"] == ["x2apic"]
    assert "x2apic" in refusal.message


def test_an_architecture_nobody_runs_there_is_no_question_of_age(world: World) -> None:
    facts = world.h1.describe()
    checked = world.h2.check_destination(facts, arch="s390x", source_libvirt_version=99_000_000)
    assert codes(checked.refusals) == ["machine.unsupported"]


def test_an_older_host_that_knows_the_machine_type_will_do(world: World) -> None:
    facts = world.h1.describe()
    assert world.h2.check_destination(facts, source_hypervisor_version=9_000_000).refusals == []


def test_an_older_host_that_does_not_know_it_is_too_old(world: World) -> None:
    facts = world.h1.describe()
    checked = world.h2.check_destination(
        facts, machine="pc-q35-9.0", source_hypervisor_version=9_000_000
    )
    assert codes(checked.refusals) == ["machine.unsupported", "host.too_old"]
    assert "QEMU 7.2.22 where the source has 9.0.0" in checked.refusals[1].message


def test_a_volume_put_there_by_others_is_found_and_a_missing_one_is_named(world: World) -> None:
    storage = world.fleet.share_pool("fast", ["h1", "h2"])
    storage.volumes["web1-vda"] = FakeVolume()
    volumes = [["fast", "web1-vda"], ["fast", "web1-vdb"]]
    facts = world.h1.describe()
    (refusal,) = world.h2.check_destination(facts, pools=["fast"], volumes=volumes).refusals
    assert refusal.code == "volume.missing"
    assert refusal.facts == {"pool": "fast", "volume": "web1-vdb"}


def test_a_libvirt_that_does_not_answer_is_no_refusal(world: World) -> None:
    facts = world.h1.describe()
    world.h2.host.kill_libvirtd()
    with pytest.raises(Transient):
        world.h2.check_destination(facts)


def test_nothing_is_changed_by_looking_twice(world: World) -> None:
    before = dict(world.h2.host.domains)
    facts = world.h1.describe()
    assert world.h2.check_destination(facts) == world.h2.check_destination(facts)
    assert world.h2.host.domains == before


# ---------------------------------------------------------------- check_source


def identities(world: World) -> list[PoolIdentity]:
    facts = world.h1.describe()
    return world.h2.check_destination(facts, pools=["shared", "local"]).pools


def test_pools_are_told_apart_by_what_the_destination_just_wrote(world: World) -> None:
    world.fleet.share_pool("shared", ["h1", "h2"])
    world.fleet.share_pool("local", ["h1"])
    world.fleet.share_pool("local", ["h2"])
    checked = world.h1.check_source(world.h2, pools=identities(world))
    assert checked.refusals == []
    assert checked.shared_pools == ["shared"]
    assert [(no.code, no.facts["pool"]) for no in checked.not_shared] == [
        ("disk.not_shared", "local")
    ]


def test_a_pool_the_source_lacks_is_not_shared(world: World) -> None:
    world.fleet.share_pool("shared", ["h2"])
    world.fleet.share_pool("local", ["h2"])
    checked = world.h1.check_source(world.h2, pools=identities(world))
    assert checked.shared_pools == []
    assert {no.facts["pool"] for no in checked.not_shared} == {"shared", "local"}


def test_a_copied_token_without_the_nonce_is_not_shared(world: World) -> None:
    world.fleet.share_pool("shared", ["h1", "h2"])
    world.fleet.share_pool("local", ["h1"])
    world.fleet.share_pool("local", ["h2"])
    theirs, ours = world.h2.host.pools["local"].storage, world.h1.host.pools["local"].storage
    written = identities(world)
    ours.token = theirs.token
    assert world.h1.check_source(world.h2, pools=written).shared_pools == ["shared"]


def test_a_guest_that_stopped_or_is_being_moved_may_not_leave(world: World) -> None:
    world.fleet.hold()
    world.h1.start(world.h2)
    assert codes(world.h1.check_source(world.h2).refusals) == ["guest.busy"]
    assert codes(world.h2.check_source(world.h1, instance_id="nobody").refusals) == [
        "guest.not_active"
    ]


@pytest.mark.parametrize(
    ("uri", "encryption", "code"),
    [
        ("qemu+tcp://h2/system", "required", "tls.required"),
        ("qemu:///system", "off", "config.invalid"),
        ("http://h2", "off", "config.invalid"),
        ("qemu+tls://h2/system; rm -rf /", "off", "config.invalid"),
    ],
)
def test_a_peer_that_cannot_be_reached_safely_is_refused(
    world: World, uri: str, encryption: str, code: str
) -> None:
    checked = world.h1.check_source(world.h2, peer_uri=uri, encryption=encryption)
    assert codes(checked.refusals) == [code]


# ---------------------------------------------------------------- prepare_destination


def test_a_ready_host_says_where_its_qemu_will_listen(world: World) -> None:
    storage = world.fleet.share_pool("fast", ["h1", "h2"])
    storage.volumes["web1-vda"] = FakeVolume()
    for _ in range(2):
        prepared = world.h2.prepare(
            pools=["fast"], volumes=[["fast", "web1-vda"]], networks=["default"]
        )
        assert prepared.migrate_uri == "tcp://10.1.0.2"
        assert prepared.listen_address == "10.1.0.2"


@pytest.mark.parametrize(
    ("address", "uri"),
    [("10.1.0.2", "tcp://10.1.0.2"), ("fd00::2", "tcp://[fd00::2]"), ("h2.lan", "tcp://h2.lan")],
)
def test_an_ipv6_address_is_written_with_brackets(world: World, address: str, uri: str) -> None:
    assert world.h2.prepare(migration_address=address).migrate_uri == uri


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"pools": ["fast"]}, "pool.missing"),
        ({"networks": ["prod"]}, "network.missing"),
        ({"migration_address": "0.0.0.0"}, "config.invalid"),
        ({"migration_address": "::"}, "config.invalid"),
        ({"volumes": [["shared", "web1-vda"]]}, "volume.missing"),
    ],
)
def test_a_host_that_is_not_ready_says_what_is_missing(
    world: World, fields: dict[str, object], code: str
) -> None:
    world.fleet.share_pool("shared", ["h1", "h2"])
    with pytest.raises(MigratorError) as caught:
        world.h2.prepare(**fields)
    assert caught.value.code == code
    assert isinstance(caught.value, Refused)


@pytest.mark.parametrize("same_id", [True, False])
def test_a_domain_in_the_way_is_left_alone(world: World, same_id: bool) -> None:
    guest = world.guest
    other = guest if same_id else "9c52c0de-0000-4000-8000-000000000009"
    world.add_guest(world.h2, id=other, running=False)
    world.guest = guest
    with pytest.raises(Refused) as caught:
        world.h2.prepare()
    assert caught.value.code == "destination.domain_exists"
    assert other in world.h2.host.domains


def test_a_domain_of_this_very_attempt_is_not_in_the_way(world: World) -> None:
    world.fleet.hold()
    world.h1.start(world.h2)
    world.until(lambda: world.h2.state is DomainState.PAUSED)
    world.h2.prepare()
    with pytest.raises(Refused):
        world.h2.prepare(attempt=2)


def test_what_libvirt_calls_a_stranger_is_not_shared(world: World) -> None:
    world.fleet.share_pool("shared", ["h1", "h2"])
    world.fleet.share_pool("local", ["h1", "h2"])
    written = [replace_writer(each) for each in identities(world)]
    assert world.h1.check_source(world.h2, pools=written).shared_pools == []


def replace_writer(identity: PoolIdentity) -> PoolIdentity:
    return msgspec.structs.replace(identity, writer="somebody else")
