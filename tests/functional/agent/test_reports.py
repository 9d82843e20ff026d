"""What an agent says without being asked: heartbeat, inventory, events."""

from __future__ import annotations

from migrator.compute_agent.ports import LifecycleEvent
from migrator.errors import Transient
from migrator.messages import DomainEvent, HostReport
from migrator.model import DomainState, Reason
from tests.fakes.hypervisor_pools import FakePool, FakeStorage
from tests.functional.agent.world import World


def from_host(world: World, host: str) -> list[HostReport]:
    return [report for report in world.reports.hosts if report.host == host]


def pools_of(report: HostReport) -> tuple[str, ...]:
    return () if report.facts is None else report.facts.pools


def test_the_first_report_says_everything(world: World) -> None:
    world.until(lambda: bool(from_host(world, "h1")))
    report = next(report for report in world.reports.hosts if report.host == "h1")
    assert report.incarnation == world.h1.agent.incarnation
    assert report.facts is not None
    assert report.domains is not None
    assert [domain.id for domain in report.domains] == [world.guest]
    assert report.libvirt_error is None
    assert report.generation > 0


def test_while_nothing_changes_a_heartbeat_carries_nothing(world: World) -> None:
    world.until(lambda: len(from_host(world, "h2")) >= 4)
    first, *later = (report for report in world.reports.hosts if report.host == "h2")
    assert {report.generation for report in later} == {first.generation}
    assert all(report.facts is None and report.domains is None for report in later)


def test_a_conductor_that_lost_its_memory_gets_everything_again(world: World) -> None:
    world.until(lambda: len(from_host(world, "h1")) >= 2)
    world.h2.agent.stop()
    world.reports.resend = True
    count = len(world.reports.hosts)
    world.until(
        lambda: any(
            report.host == "h1" and report.domains is not None
            for report in world.reports.hosts[count:]
        )
    )


def test_what_happened_while_the_conductor_was_away_is_told_as_it_is_then(world: World) -> None:
    world.until(lambda: world.reports.known("h1").get(world.guest) == "running")
    world.reports.away = True
    world.h1.host.suspend(world.guest)
    world.h1.host.resume(world.guest)
    world.h1.host.suspend(world.guest)
    world.until(lambda: world.reports.refused >= 5)
    world.reports.events.clear()
    world.reports.away = False
    world.until(lambda: world.reports.known("h1").get(world.guest) == "paused")
    assert world.reports.events == []


def test_a_libvirt_that_is_away_is_said_and_its_guests_are_not_called_gone(
    world: World,
) -> None:
    world.until(lambda: world.reports.known("h1").get(world.guest) == "running")
    world.h1.host.kill_libvirtd()

    def said() -> bool:
        return any(report.host == "h1" and report.libvirt_error for report in world.reports.hosts)

    world.until(said)
    troubled = [report for report in world.reports.hosts if report.libvirt_error]
    assert all(report.domains is None for report in troubled)
    world.h1.host.start_libvirtd()
    world.until(lambda: from_host(world, "h1")[-1].libvirt_error is None)


def test_a_change_is_told_with_an_event_and_not_with_the_whole_inventory(world: World) -> None:
    world.until(lambda: world.reports.known("h1").get(world.guest) == "running")
    world.h1.host.suspend(world.guest)
    world.until(lambda: ("suspended", "paused") in world.reports.names())
    event = next(event for event in world.reports.events if event.event == "suspended")
    assert event.view.state is DomainState.PAUSED
    assert event.summary is not None
    assert event.summary.state is DomainState.PAUSED
    beats = len(from_host(world, "h1"))
    world.until(lambda: len(from_host(world, "h1")) >= beats + 3)
    assert all(report.domains is None for report in from_host(world, "h1")[beats:])


def test_a_pool_that_comes_is_told_of_without_waiting_for_the_next_full_look(world: World) -> None:
    world.until(lambda: any(report.facts for report in from_host(world, "h2")))
    world.h2.host.pools.add(FakePool("fast", FakeStorage()))
    world.until(lambda: any("fast" in pools_of(report) for report in from_host(world, "h2")))


def test_a_domain_that_is_gone_is_told_without_a_summary(world: World) -> None:
    world.h1.host.domains[world.guest].inactive_xml = None
    world.h1.host.power_off(world.guest)
    world.until(lambda: ("stopped", "shutdown") in world.reports.names())
    event = next(event for event in world.reports.events if event.event == "stopped")
    assert (event.view.state, event.summary) == (DomainState.ABSENT, None)


def test_a_guest_that_arrives_is_told_in_order_on_both_sides(world: World) -> None:
    world.h1.start(world.h2)
    world.until(lambda: ("stopped", "migrated") in world.reports.names())
    there = [(one.event, one.detail) for one in world.reports.events if one.host == "h2"]
    assert there[0] == ("started", "migrated")
    assert ("resumed", "migrated") in there
    arrived = next(one for one in world.reports.events if one.event == "resumed")
    assert (arrived.view.state, arrived.view.reason) == (DomainState.RUNNING, Reason.MIGRATED)
    assert arrived.summary is not None
    assert not arrived.summary.incoming


def test_an_arrival_is_told_even_when_libvirt_answers_nothing(world: World) -> None:
    world.fleet.hold()
    world.h1.start(world.h2)
    world.until(lambda: ("started", "migrated") in world.reports.names())
    hangs = Transient("libvirt.timeout", "libvirt did not answer")
    world.h2.host.fails.update(view=hangs, list_domains=hangs)
    world.fleet.release()
    world.until(lambda: ("resumed", "migrated") in world.reports.names())


def test_an_arrival_is_told_until_it_is_heard(world: World) -> None:
    world.fleet.hold()
    world.h1.start(world.h2)
    world.until(lambda: ("started", "migrated") in world.reports.names())
    failures = iter([True, True, False])

    def lose_some(event: DomainEvent) -> None:
        if event.event == "resumed" and next(failures, False):
            raise Transient("rpc.timeout", "no answer")

    world.reports.before_event = lose_some
    world.fleet.release()
    world.until(lambda: ("resumed", "migrated") in world.reports.names())


def test_a_source_that_libvirt_resumed_is_not_mistaken_for_an_arrival(world: World) -> None:
    """libvirt's event for both is resumed/migrated."""
    world.until(lambda: world.reports.known("h1").get(world.guest) == "running")
    domain = world.h1.host.domains[world.guest]
    domain.reason = Reason.MIGRATION_CANCELED
    world.h1.host.emit(domain, "resumed", "migrated")
    world.until(lambda: ("resumed", "migrated") in world.reports.names())
    assert world.reports.events[-1].view.reason is Reason.MIGRATION_CANCELED


def test_a_guest_that_cannot_be_looked_at_does_not_hold_up_another(world: World) -> None:
    first = world.guest
    second = world.add_guest(name="web2")
    world.until(lambda: world.reports.known("h1").get(second) == "running")
    blocked = world.concurrency.inbox()

    def block_the_first(event: DomainEvent) -> None:
        if event.instance_id == first:
            blocked.get(10.0)

    world.reports.before_event = block_the_first
    world.h1.host.suspend(first)
    world.h1.host.suspend(second)
    world.until(
        lambda: any(
            one.instance_id == second and one.event == "suspended" for one in world.reports.events
        )
    )
    blocked.put(True)
    world.until(lambda: any(one.instance_id == first for one in world.reports.events))


def test_a_storm_of_events_is_not_kept(world: World) -> None:
    first = world.guest
    last = world.add_guest(name="web2")
    world.until(lambda: world.reports.known("h1").get(last) == "running")
    gate = world.concurrency.inbox()
    world.reports.before_event = lambda event: event.instance_id == first and gate.get(10.0)
    for number in range(100):
        world.h1.host.notify(LifecycleEvent(first, "web1", "defined", f"updated{number}"))
    world.h1.host.suspend(last)
    world.until(lambda: ("suspended", "paused") in world.reports.names())
    world.reports.events.clear()
    for _ in range(100):
        gate.put(True)
    world.until(lambda: ("defined", "updated99") in world.reports.names())
    assert len(world.reports.events) < 30


def test_an_agent_that_was_stopped_says_nothing_more(world: World) -> None:
    world.until(lambda: bool(from_host(world, "h1")))
    world.h1.agent.stop()
    world.h2.agent.stop()
    world.until(lambda: not changed(world))
    count = len(world.reports.hosts)
    world.clock.sleep(0.3)
    assert len(world.reports.hosts) == count


def changed(world: World) -> bool:
    count = len(world.reports.hosts)
    world.clock.sleep(0.1)
    return len(world.reports.hosts) != count
