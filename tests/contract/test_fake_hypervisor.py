"""What the fake can do that a lab cannot do on request: faults at an exact moment."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from migrator.compute_agent.ports import HypervisorEvent, LifecycleEvent
from migrator.errors import Broken, MigratorError, Transient
from migrator.messages import TransferPlan
from migrator.model import DomainState, Reason
from migrator.threads import SystemClock, Threads
from tests.contract.hypervisor_fixtures import eventually
from tests.fakes.hypervisor import FAST, FakeFleet, FakeGuest, FakeHypervisor, Signal

GUEST = "0c6b9a0e-0000-4000-8000-00000000000a"


class Pair:
    """Two fake hosts and a guest on the first."""

    def __init__(self) -> None:
        self.fleet = FakeFleet(SystemClock(), Threads(), FAST)
        self.source = self.fleet.add_host("h1")
        self.destination = self.fleet.add_host("h2")
        self.heard: list[tuple[str, str, str]] = []
        for host in (self.source, self.destination):
            host.subscribe(self._hear(host))
        self.source.add_guest(FakeGuest("web1", GUEST))
        self.error: MigratorError | None = None
        self._thread: threading.Thread | None = None

    def _hear(self, host: FakeHypervisor) -> Callable[[HypervisorEvent], None]:
        def hear(event: HypervisorEvent) -> None:
            if isinstance(event, LifecycleEvent):
                self.heard.append((host.name, event.event, event.detail))

        return hear

    def migrate(self) -> None:
        """In a thread of its own."""
        wanted = TransferPlan(
            peer_uri=self.destination.peer_uri,
            migrate_uri="tcp://h2",
            listen_address="h2",
            destination_xml=self.source.domains[GUEST].xml,
            persistent_xml=None,
            flags=["live", "peer2peer"],
        )

        def run() -> None:
            try:
                self.source.migrate(GUEST, wanted)
            except MigratorError as error:
                self.error = error

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        return self._thread is not None and not self._thread.is_alive()

    def states(self) -> tuple[DomainState, DomainState]:
        return self.source.view(GUEST).state, self.destination.view(GUEST).state


@pytest.fixture
def pair() -> Pair:
    return Pair()


def test_when_the_replies_are_lost_both_run_and_the_source_says_it_was_migrated(pair: Pair) -> None:
    pair.fleet.lose_replies = True
    pair.migrate()
    eventually(lambda: pair.ended)
    assert isinstance(pair.error, Broken)
    assert "client socket is closed" in pair.error.message
    assert pair.states() == (DomainState.RUNNING, DomainState.RUNNING)
    assert pair.source.view(GUEST).reason is Reason.MIGRATION_CANCELED
    assert pair.heard[-1] == ("h1", "resumed", "migrated")


def test_a_fence_closes_that_window_though_the_call_still_fails(pair: Pair) -> None:
    pair.fleet.lose_replies = True
    pair.migrate()
    eventually(lambda: ("h2", "resumed", "migrated") in pair.heard)
    pair.source.destroy(GUEST)
    eventually(lambda: pair.ended)
    assert isinstance(pair.error, Broken)
    assert pair.states() == (DomainState.ABSENT, DomainState.RUNNING)


def test_a_held_transfer_goes_on_when_it_is_released(pair: Pair) -> None:
    pair.fleet.hold()
    pair.migrate()
    eventually(lambda: pair.destination.view(GUEST).active)
    job = pair.source.job(GUEST)
    assert job is not None
    assert 0 < job.memory_remaining <= job.memory_total
    pair.fleet.release()
    eventually(lambda: pair.ended)
    assert pair.error is None
    assert pair.states() == (DomainState.ABSENT, DomainState.RUNNING)


def test_a_frozen_destination_hangs_even_an_abort_until_it_is_destroyed(pair: Pair) -> None:
    pair.fleet.hold()
    pair.migrate()
    eventually(lambda: pair.destination.view(GUEST).active)
    pair.fleet.signal(Signal.FREEZE)
    assert pair.source.abort_job(GUEST)
    assert not pair.ended
    assert pair.source.job(GUEST) is not None
    pair.destination.destroy(GUEST)
    eventually(lambda: pair.ended)
    assert pair.states() == (DomainState.RUNNING, DomainState.ABSENT)


def test_a_cut_between_the_hosts_ends_with_the_guest_on_the_source(pair: Pair) -> None:
    pair.fleet.hold()
    pair.migrate()
    eventually(lambda: pair.destination.view(GUEST).active)
    pair.fleet.cut()
    eventually(lambda: pair.ended)
    assert isinstance(pair.error, Broken)
    assert pair.states() == (DomainState.RUNNING, DomainState.ABSENT)


def test_a_guest_that_powers_off_is_gone_on_both_sides(pair: Pair) -> None:
    pair.fleet.hold()
    pair.migrate()
    eventually(lambda: pair.destination.view(GUEST).active)
    pair.source.power_off(GUEST)
    eventually(lambda: pair.ended)
    assert isinstance(pair.error, Broken)
    assert pair.states() == (DomainState.ABSENT, DomainState.ABSENT)


def test_a_guest_suspended_while_it_moves_comes_up_running(pair: Pair) -> None:
    pair.fleet.hold()
    pair.migrate()
    eventually(lambda: pair.destination.view(GUEST).active)
    pair.source.suspend(GUEST)
    pair.fleet.release()
    eventually(lambda: pair.ended)
    assert pair.states() == (DomainState.ABSENT, DomainState.RUNNING)


def test_a_source_libvirtd_that_dies_after_the_switch_leaves_the_paused_guest(pair: Pair) -> None:
    pair.migrate()
    eventually(lambda: ("h2", "resumed", "migrated") in pair.heard)
    pair.source.kill_libvirtd()
    eventually(lambda: pair.ended)
    assert isinstance(pair.error, Transient)
    pair.source.start_libvirtd()
    assert pair.states() == (DomainState.PAUSED, DomainState.RUNNING)


def test_a_pool_of_a_kind_that_cannot_be_proven_shared_proves_nothing(pair: Pair) -> None:
    pair.fleet.share_pool("san", ["h1", "h2"], kind="iscsi")
    written = pair.source.write_pool_identity("san")
    assert (written.token, written.nonce) == ("", "")
    assert pair.destination.read_pool_identity("san", written) is None


def test_a_verb_can_be_made_to_fail(pair: Pair) -> None:
    pair.source.fails["view"] = Transient("libvirt.timeout", "too late")
    with pytest.raises(Transient):
        pair.source.view(GUEST)
