"""What every Hypervisor does: the fake, and libvirt itself on two hosts of the lab."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from migrator.compute_agent.attempt_mark import parse_mark
from migrator.compute_agent.ports import (
    ConnectionChanged,
    Hypervisor,
    JobCompleted,
    OfferChanged,
)
from migrator.errors import Broken, Refused, Transient
from migrator.messages import PoolIdentity
from migrator.model import AttemptMark, DomainState, DomainSummary, Reason
from migrator.storage.identity import same_storage
from tests.contract.hypervisor_fixtures import (
    GuestWish,
    Transfer,
    World,
    begin,
    eventually,
    lifecycle,
    plan,
)

NOBODY = "00000000-1111-4222-8333-444444444444"
MARK = AttemptMark("0c6b9a0e-0000-4000-8000-000000000001", 3, True)


def summary(hypervisor: Hypervisor, instance_id: str) -> DomainSummary | None:
    return next((each for each in hypervisor.list_domains() if each.id == instance_id), None)


# ---------------------------------------------------------------- looking


def test_a_domain_nobody_has_is_absent_and_no_error(world: World) -> None:
    host = world.source.hypervisor
    assert host.view(NOBODY).state is DomainState.ABSENT
    assert host.describe(NOBODY) is None
    assert host.summary(NOBODY) is None
    assert host.id_of("nobody") is None
    assert host.job(NOBODY) is None
    assert host.completed_job(NOBODY) is None


def test_a_running_guest_is_listed_found_and_seen(world: World) -> None:
    host = world.source.hypervisor
    guest = world.start(GuestWish("seen"))
    listed = summary(host, guest)
    assert listed is not None
    assert host.summary(guest) == listed
    assert (listed.name, listed.state, listed.persistent) == ("seen", DomainState.RUNNING, False)
    assert (listed.vcpus, listed.memory_mib, listed.incoming) == (1, 64, False)
    assert host.id_of("seen") == guest
    view = host.view(guest)
    assert (view.state, view.reason) == (DomainState.RUNNING, Reason.BOOTED)
    assert (view.name, view.persistent, view.mark, view.job) == ("seen", False, None, None)


def test_a_shut_off_guest_is_listed_and_not_active(world: World) -> None:
    host = world.source.hypervisor
    guest = world.start(GuestWish("off", running=False))
    listed = summary(host, guest)
    assert listed is not None
    assert (listed.state, listed.persistent, listed.memory_mib) == (DomainState.SHUTOFF, True, 64)
    assert not host.view(guest).active
    assert host.job(guest) is None


def test_a_description_has_the_inactive_xml_of_a_persistent_guest_only(world: World) -> None:
    host = world.source.hypervisor
    transient = host.describe(world.start(GuestWish("transient")))
    persistent = host.describe(world.start(GuestWish("persistent", persistent=True)))
    assert transient is not None
    assert persistent is not None
    assert transient.inactive_xml is None
    assert persistent.inactive_xml is not None
    assert ElementTree.fromstring(persistent.inactive_xml).findtext("name") == "persistent"
    assert not persistent.job_active
    assert not persistent.has_managed_save


def test_disks_are_resolved_to_pool_and_volume(world: World) -> None:
    world.make_volume("contract-vda")
    described = world.source.hypervisor.describe(world.start(GuestWish(volume="contract-vda")))
    assert described is not None
    (disk,) = described.disks
    assert (disk.pool, disk.volume, disk.target) == ("shared", "contract-vda", "vda")
    assert (disk.format, disk.cache, disk.device) == ("raw", "none", "disk")


def test_the_host_knows_its_machine_types_and_pools(world: World) -> None:
    host = world.destination.hypervisor
    assert {"q35", "pc-q35-7.2"} <= set(host.machine_types("x86_64", "qemu"))
    assert not host.machine_types("vax", "qemu")
    facts = host.host_facts()
    assert facts.arch == "x86_64"
    assert {"shared", "local"} <= set(facts.pools)
    assert facts.host_uuid != world.source.hypervisor.host_facts().host_uuid
    assert min(facts.libvirt_version, facts.hypervisor_version, facts.cpus, facts.memory_mib) > 0


def test_the_host_knows_its_parts(world: World) -> None:
    host = world.destination.hypervisor
    facts, topology = host.host_facts(), host.topology()
    cpus = sorted(cpu for cell in topology.cells for core in cell.cores for cpu in core)
    assert len(cpus) == len(set(cpus)) == facts.cpus
    assert tuple(cpus) == topology.dedicated_cpus == topology.shared_cpus
    memory = sum(cell.memory_mib for cell in topology.cells)
    # libvirt's cells lack what was plugged into the machine after its boot.
    assert 0 < memory <= facts.memory_mib * 1.1
    offered = {(one.arch, one.virt_type): one.names for one in facts.machines}
    assert set(host.machine_types("x86_64", "qemu")) == set(offered["x86_64", "qemu"])


def test_a_running_guests_own_cpu_suits_the_other_host(world: World) -> None:
    described = world.source.hypervisor.describe(world.start(GuestWish()))
    assert described is not None
    cpu = ElementTree.fromstring(described.full_live_xml).find("cpu")
    assert cpu is not None
    text = ElementTree.tostring(cpu, encoding="unicode")
    host = world.destination.hypervisor
    assert not host.missing_features("x86_64", "pc-q35-7.2", "qemu", text)
    known = world.source.hypervisor.written_out("x86_64", "pc-q35-7.2", "qemu", text)
    assert known is not None
    assert {*known.named} <= {*known.features}
    offered = {(each.arch, each.virt_type): each.features for each in host.host_facts().cpu_offers}
    assert {*known.features} <= {*offered["x86_64", "qemu"]}


def test_a_missing_cpu_feature_is_named(world: World) -> None:
    cpu = (
        "<cpu mode='custom' match='exact'><model fallback='forbid'>qemu64</model>"
        f"<feature policy='require' name='{world.lacking_feature}'/></cpu>"
    )
    missing = world.destination.hypervisor.missing_features("x86_64", "pc-q35-7.2", "qemu", cpu)
    assert list(missing) == [world.lacking_feature]
    known = world.source.hypervisor.written_out("x86_64", "pc-q35-7.2", "qemu", cpu)
    assert known is not None
    assert world.lacking_feature in known.features
    for offered in world.destination.hypervisor.host_facts().cpu_offers:
        assert offered.virt_type != "qemu" or world.lacking_feature not in offered.features


@pytest.mark.parametrize("cpu", ["<cpu mode='host-passthrough'/>", "<cpu mode='maximum'/>"])
def test_a_cpu_without_a_model_cannot_be_written_out(world: World, cpu: str) -> None:
    assert world.source.hypervisor.written_out("x86_64", "pc-q35-7.2", "qemu", cpu) is None


def test_a_pool_that_comes_or_goes_is_told_of(world: World) -> None:
    side = world.destination
    told = OfferChanged("contract-extra")
    world.offer_pool(side, "contract-extra")
    eventually(lambda: told in side.heard)
    assert "contract-extra" in side.hypervisor.host_facts().pools
    heard = side.heard.count(told)
    world.withdraw_pool(side, "contract-extra")
    eventually(lambda: side.heard.count(told) > heard)
    assert "contract-extra" not in side.hypervisor.host_facts().pools


def test_free_pages_are_of_sizes_the_host_has_and_no_more_than_it_has(world: World) -> None:
    host = world.destination.hypervisor
    total = {
        (cell.id, pool.size_kib): pool.total
        for cell in host.topology().cells
        for pool in cell.pages
    }
    free = host.free_pages()
    assert free.keys() == total.keys()
    assert all(0 <= count <= total[key] for key, count in free.items())


# ---------------------------------------------------------------- devices

_ELSEWHERE = """<hostdev mode='subsystem' type='pci' managed='yes'>
  <source><address domain='0x0000' bus='0xfe' slot='0x1f' function='0x7'/></source>
</hostdev>"""


def test_a_guest_that_does_not_run_is_plugged_nothing(world: World) -> None:
    host = world.source.hypervisor
    off = world.start(GuestWish("off", running=False))
    for guest in (NOBODY, off):
        for plug in (host.attach_device, host.detach_device):
            with pytest.raises(Refused) as refused:
                plug(guest, _ELSEWHERE)
            assert refused.value.code == "guest.not_active"


def test_a_guest_has_let_go_of_a_device_it_does_not_have(world: World) -> None:
    host = world.source.hypervisor
    guest = world.start(GuestWish())
    before = host.describe(guest)
    host.detach_device(guest, _ELSEWHERE)
    after = host.describe(guest)
    assert before is not None
    assert after is not None
    assert after.live_xml == before.live_xml


# ---------------------------------------------------------------- marks and small changes


@pytest.mark.parametrize("persistent", [False, True])
def test_a_mark_is_seen_and_goes(world: World, persistent: bool) -> None:
    host = world.source.hypervisor
    guest = world.start(GuestWish(persistent=persistent))
    host.set_mark(guest, MARK)
    assert host.view(guest).mark == MARK
    described = host.describe(guest)
    assert described is not None
    assert parse_mark(described.live_xml) == MARK
    assert parse_mark(described.inactive_xml or described.live_xml) == MARK
    host.set_mark(guest, None)
    host.set_mark(guest, None)
    assert host.view(guest).mark is None


def test_removing_a_mark_where_there_is_no_domain_is_success(world: World) -> None:
    world.source.hypervisor.set_mark(NOBODY, None)
    with pytest.raises(Refused) as refusal:
        world.source.hypervisor.set_mark(NOBODY, MARK)
    assert refusal.value.code == "guest.not_active"


def test_autostart_is_set_and_cleared(world: World) -> None:
    host = world.source.hypervisor
    guest = world.start(GuestWish(persistent=True))
    host.set_autostart(guest, True)
    assert host.view(guest).autostart
    host.set_autostart(guest, False)
    assert not host.view(guest).autostart


def test_a_transient_guest_has_no_autostart_to_clear_and_cannot_get_it(world: World) -> None:
    guest = world.start(GuestWish())
    world.source.hypervisor.set_autostart(guest, False)
    with pytest.raises(Transient) as failure:
        world.source.hypervisor.set_autostart(guest, True)
    assert failure.value.code == "libvirt.error"


def test_a_guest_is_suspended_and_resumed(world: World) -> None:
    host = world.source.hypervisor
    guest = world.start(GuestWish())
    host.suspend(guest)
    view = host.view(guest)
    assert (view.state, view.reason) == (DomainState.PAUSED, Reason.USER)
    listed = summary(host, guest)
    assert listed is not None
    assert not listed.incoming
    host.resume(guest)
    assert host.view(guest).state is DomainState.RUNNING
    expected = {("suspended", "paused"), ("resumed", "unpaused")}
    eventually(lambda: expected <= set(lifecycle(world.source, guest)))


def test_destroying_and_undefining_twice_is_success(world: World) -> None:
    host = world.source.hypervisor
    guest = world.start(GuestWish(persistent=True))
    host.undefine(guest)
    view = host.view(guest)
    assert (view.state, view.persistent) == (DomainState.RUNNING, False)
    host.undefine(guest)
    host.destroy(guest)
    host.destroy(guest)
    host.undefine(guest)
    assert host.view(guest).state is DomainState.ABSENT


def test_destroying_keeps_the_definition(world: World) -> None:
    host = world.source.hypervisor
    guest = world.start(GuestWish(persistent=True))
    host.destroy(guest)
    host.destroy(guest)
    view = host.view(guest)
    assert (view.state, view.persistent) == (DomainState.SHUTOFF, True)
    eventually(lambda: ("stopped", "destroyed") in lifecycle(world.source, guest))


# ---------------------------------------------------------------- transfers


def test_a_transient_guest_moves_with_its_mark(world: World) -> None:
    source, destination = world.source.hypervisor, world.destination.hypervisor
    guest = world.start(GuestWish())
    source.set_mark(guest, MARK)
    source.migrate(guest, plan(world, guest))
    assert source.view(guest).state is DomainState.ABSENT
    view = destination.view(guest)
    assert (view.state, view.reason) == (DomainState.RUNNING, Reason.MIGRATED)
    assert (view.persistent, view.mark, view.job) == (False, MARK, None)
    listed = summary(destination, guest)
    assert listed is not None
    assert not listed.incoming


def test_a_transfer_tells_its_events_in_order_and_its_statistics(world: World) -> None:
    guest = world.start(GuestWish(persistent=True))
    eventually(lambda: ("started", "booted") in lifecycle(world.source, guest))
    started = len(lifecycle(world.source, guest))
    wanted = plan(world, guest, "persist_dest", "undefine_source")
    world.source.hypervisor.migrate(guest, wanted)
    eventually(lambda: ("stopped", "migrated") in lifecycle(world.source, guest))
    moved = lifecycle(world.source, guest)[started:]
    assert moved == [("suspended", "migrated"), ("stopped", "migrated")]
    assert lifecycle(world.destination, guest) == [
        ("started", "migrated"),
        ("defined", "added"),
        ("resumed", "migrated"),
    ]
    eventually(lambda: any(isinstance(each, JobCompleted) for each in world.source.heard))
    (completed,) = [each for each in world.source.heard if isinstance(each, JobCompleted)]
    assert completed.instance_id == guest
    kept = world.destination.hypervisor.completed_job(guest)
    for statistics in (completed.statistics, kept):
        assert statistics is not None
        assert statistics.downtime_ms is not None
        assert statistics.total_ms is not None
        assert statistics.memory_total is not None


def test_a_persistent_guest_ends_persistent_there_and_undefined_here(world: World) -> None:
    source, destination = world.source.hypervisor, world.destination.hypervisor
    guest = world.start(GuestWish(persistent=True))
    source.set_autostart(guest, True)
    source.migrate(guest, plan(world, guest, "persist_dest", "undefine_source"))
    assert source.view(guest).state is DomainState.ABSENT
    view = destination.view(guest)
    assert (view.state, view.persistent) == (DomainState.RUNNING, True)
    assert not view.autostart


def retitled(xml: str, title: str) -> str:
    root = ElementTree.fromstring(xml)
    element = ElementTree.Element("title")
    element.text = title
    root.insert(2, element)
    return ElementTree.tostring(root, encoding="unicode")


def titles(hypervisor: Hypervisor, instance_id: str) -> tuple[str | None, str | None]:
    """Of the live and of the persistent XML."""
    described = hypervisor.describe(instance_id)
    assert described is not None
    assert described.inactive_xml is not None
    live, inactive = (
        ElementTree.fromstring(xml).findtext("title")
        for xml in (described.live_xml, described.inactive_xml)
    )
    return live, inactive


def test_the_persistent_xml_is_honoured_only_when_given(world: World) -> None:
    source, destination = world.source.hypervisor, world.destination.hypervisor
    flags = ("persist_dest", "undefine_source")
    for name, given in (("with", True), ("without", False)):
        guest = world.start(GuestWish(name, persistent=True))
        described = source.describe(guest)
        assert described is not None
        assert described.inactive_xml is not None
        wanted = plan(
            world,
            guest,
            *flags,
            destination_xml=retitled(described.live_xml, "live"),
            persistent_xml=retitled(described.inactive_xml, "persistent") if given else None,
        )
        source.migrate(guest, wanted)
        assert titles(destination, guest) == ("live", "persistent" if given else None)


def test_while_it_runs_the_source_has_the_job_and_the_destination_an_arrival(world: World) -> None:
    source, destination = world.source.hypervisor, world.destination.hypervisor
    guest = world.start(GuestWish(big=True))
    begin(world, guest)
    job = source.view(guest).job
    assert job is not None
    assert job.operation == "migration_out"
    assert job.memory_remaining <= job.memory_total
    leaving, arriving = summary(source, guest), summary(destination, guest)
    assert leaving is not None
    assert arriving is not None
    assert not leaving.incoming
    assert arriving.incoming
    view = destination.view(guest)
    assert (view.state, view.reason, view.job) == (DomainState.PAUSED, Reason.MIGRATION, None)
    for host in (source, destination):
        described = host.describe(guest)
        assert described is not None
        assert described.job_active


def test_while_it_runs_marks_and_autostart_are_refused_at_once(world: World) -> None:
    guest = world.start(GuestWish(big=True, persistent=True))
    begin(world, guest)
    for host in (world.source.hypervisor, world.destination.hypervisor):
        with pytest.raises(Transient) as failure:
            host.set_mark(guest, MARK)
        assert failure.value.code == "libvirt.error"
    with pytest.raises(Transient):
        world.source.hypervisor.set_autostart(guest, True)


def test_an_aborted_transfer_leaves_the_guest_on_the_source(world: World) -> None:
    source, destination = world.source.hypervisor, world.destination.hypervisor
    guest = world.start(GuestWish(big=True))
    source.set_mark(guest, MARK)
    transfer = begin(world, guest)
    assert not destination.abort_job(guest)
    assert source.abort_job(guest)
    error = transfer.wait()
    assert isinstance(error, Broken)
    assert error.code == "transfer.failed"
    view = source.view(guest)
    assert (view.state, view.job, view.mark) == (DomainState.RUNNING, None, MARK)
    eventually(lambda: destination.view(guest).state is DomainState.ABSENT)
    assert not source.abort_job(guest)
    source.set_mark(guest, None)


def test_a_second_transfer_is_refused_and_harms_nothing(world: World) -> None:
    source = world.source.hypervisor
    guest = world.start(GuestWish(big=True))
    first = begin(world, guest)
    with pytest.raises(Broken) as failure:
        source.migrate(guest, plan(world, guest))
    assert failure.value.code == "transfer.failed"
    assert not first.ended
    assert source.view(guest).job is not None


def test_the_fenced_source_is_gone_and_the_call_still_succeeds(world: World) -> None:
    source, destination = world.source.hypervisor, world.destination.hypervisor
    guest = world.start(GuestWish(persistent=True))
    wanted = plan(world, guest, "persist_dest", "undefine_source")
    transfer = Transfer(source, guest, wanted)
    eventually(lambda: ("resumed", "migrated") in lifecycle(world.destination, guest))
    view = source.view(guest)
    # paused for as long as its QEMU takes to end; then, until libvirt undefines it, shut off
    assert (view.state, view.reason) in (
        (DomainState.PAUSED, Reason.MIGRATION),
        (DomainState.SHUTOFF, Reason.MIGRATED),
        (DomainState.ABSENT, Reason.UNKNOWN),
    )
    source.destroy(guest)
    assert transfer.wait() is None
    assert source.view(guest).state is DomainState.ABSENT
    assert destination.view(guest).state is DomainState.RUNNING
    assert destination.completed_job(guest) is not None


def test_a_guest_of_that_name_at_the_destination_stays_untouched(world: World) -> None:
    source, destination = world.source.hypervisor, world.destination.hypervisor
    squatter = world.start(GuestWish("taken"), world.destination)
    guest = world.start(GuestWish("taken"))
    with pytest.raises(Broken) as failure:
        source.migrate(guest, plan(world, guest))
    assert failure.value.code == "transfer.failed"
    assert source.view(guest).state is DomainState.RUNNING
    assert destination.view(squatter).state is DomainState.RUNNING
    assert destination.view(guest).state is DomainState.ABSENT


def test_a_shared_disk_moves_once_it_is_vouched_for_and_seen(world: World) -> None:
    source, destination = world.source.hypervisor, world.destination.hypervisor
    destination.refresh_pool("shared")
    world.make_volume("contract-moves")
    guest = world.start(GuestWish(volume="contract-moves"))
    with pytest.raises(Broken, match=r"(?i)unsafe"):
        source.migrate(guest, plan(world, guest))
    assert not destination.has_volume("shared", "contract-moves")
    with pytest.raises(Broken, match=r"no storage vol"):
        source.migrate(guest, plan(world, guest, "unsafe"))
    assert source.view(guest).state is DomainState.RUNNING
    destination.refresh_pool("shared")
    assert destination.has_volume("shared", "contract-moves")
    source.migrate(guest, plan(world, guest, "unsafe"))
    assert destination.view(guest).state is DomainState.RUNNING


def test_a_flag_nobody_knows_is_refused(world: World) -> None:
    guest = world.start(GuestWish())
    for flag in ("warp", "LIVE", "param_bandwidth"):
        with pytest.raises(Refused) as refusal:
            world.source.hypervisor.migrate(guest, plan(world, guest, flag))
        assert refusal.value.code == "request.invalid"


def test_a_guest_nobody_has_does_not_move(world: World) -> None:
    guest = world.start(GuestWish())
    wanted = plan(world, guest)
    with pytest.raises(Refused) as refusal:
        world.source.hypervisor.migrate(NOBODY, wanted)
    assert refusal.value.code == "guest.not_active"


def test_a_peer_that_cannot_be_reached_fails_the_transfer(world: World) -> None:
    guest = world.start(GuestWish())
    wanted = plan(world, guest, peer_uri="qemu+tcp://127.0.0.1:1/system")
    with pytest.raises(Broken) as failure:
        world.source.hypervisor.migrate(guest, wanted)
    assert failure.value.code == "transfer.failed"
    assert world.source.hypervisor.view(guest).state is DomainState.RUNNING


# ---------------------------------------------------------------- deaths


def test_a_dead_destination_qemu_leaves_the_guest_on_the_source(world: World) -> None:
    guest = world.start(GuestWish(big=True))
    transfer = begin(world, guest)
    world.kill_qemu(world.destination, guest)
    error = transfer.wait()
    assert isinstance(error, Broken)
    assert world.source.hypervisor.view(guest).state is DomainState.RUNNING
    assert world.source.hypervisor.view(guest).job is None
    assert world.destination.hypervisor.view(guest).state is DomainState.ABSENT


def test_a_dead_source_qemu_leaves_no_guest_anywhere(world: World) -> None:
    guest = world.start(GuestWish(big=True))
    transfer = begin(world, guest)
    world.kill_qemu(world.source, guest)
    assert isinstance(transfer.wait(), Broken)
    assert world.source.hypervisor.view(guest).state is DomainState.ABSENT
    eventually(lambda: world.destination.hypervisor.view(guest).state is DomainState.ABSENT)


def test_a_dead_destination_libvirtd_leaves_the_guest_on_the_source(world: World) -> None:
    destination = world.destination
    guest = world.start(GuestWish(big=True))
    transfer = begin(world, guest)
    world.kill_libvirtd(destination)
    assert isinstance(transfer.wait(), Broken)
    assert world.source.hypervisor.view(guest).state is DomainState.RUNNING
    with pytest.raises(Transient) as failure:
        destination.hypervisor.list_domains()
    assert failure.value.code == "libvirt.unreachable"
    eventually(lambda: not destination.connected())
    world.start_libvirtd(destination)
    eventually(destination.connected)
    changes = [each.connected for each in destination.heard if isinstance(each, ConnectionChanged)]
    assert changes == [True, False, True]
    eventually(lambda: destination.hypervisor.view(guest).state is DomainState.ABSENT)


def test_a_dead_source_libvirtd_leaves_the_guest_running_without_a_job(world: World) -> None:
    source = world.source
    guest = world.start(GuestWish(big=True))
    transfer = begin(world, guest)
    world.kill_libvirtd(source)
    error = transfer.wait()
    assert isinstance(error, Transient)
    assert error.code == "libvirt.unreachable"
    world.start_libvirtd(source)
    eventually(source.connected)
    view = source.hypervisor.view(guest)
    assert (view.state, view.job) == (DomainState.RUNNING, None)
    eventually(lambda: world.destination.hypervisor.view(guest).state is DomainState.ABSENT)


def test_events_flow_again_after_libvirtd_was_restarted(world: World) -> None:
    source = world.source
    world.kill_libvirtd(source)
    eventually(lambda: not source.connected())
    world.start_libvirtd(source)
    eventually(source.connected)
    guest = world.start(GuestWish())
    eventually(lambda: ("started", "booted") in lifecycle(source, guest))


# ---------------------------------------------------------------- pools


def identities(world: World, pool: str) -> tuple[PoolIdentity, PoolIdentity | None]:
    written = world.destination.hypervisor.write_pool_identity(pool)
    return written, world.source.hypervisor.read_pool_identity(pool, written)


def test_a_pool_over_the_same_storage_is_proven_shared_again_and_again(world: World) -> None:
    first, second = identities(world, "shared"), identities(world, "shared")
    assert same_storage(*first) is None
    assert first == second


def test_pools_of_the_same_name_over_different_storage_are_not(world: World) -> None:
    world.source.hypervisor.write_pool_identity("local")
    refusal = same_storage(*identities(world, "local"))
    assert refusal is not None
    assert refusal.code == "disk.not_shared"


def test_a_pool_that_is_not_there_is_refused(world: World) -> None:
    host = world.source.hypervisor
    verbs = (
        lambda: host.refresh_pool("nope"),
        lambda: host.has_volume("nope", "v"),
        lambda: host.write_pool_identity("nope"),
    )
    for verb in verbs:
        with pytest.raises(Refused) as refusal:
            verb()
        assert refusal.value.code == "pool.missing"
