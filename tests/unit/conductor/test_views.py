"""What operators see: every key, unknown as null, nothing made up."""

from __future__ import annotations

import msgspec
import pytest

from migrator.conductor.views import (
    claim_view,
    event_view,
    host_view,
    instance_view,
    migration_view,
    waiting_for,
)
from migrator.messages import QueuePlace
from migrator.model import (
    ActionRecord,
    Claim,
    ClaimPurpose,
    InstanceStatus,
    Method,
    MigrationEvent,
    Phase,
    Progress,
    Statistics,
    Todo,
    TodoKind,
)
from migrator.states import TERMINAL, MigrationState
from tests.unit.examples import FACTS, NOON, UUID, a_host, a_migration, an_instance, later

S = MigrationState


def test_attention_says_what_is_waited_for_since_when_and_what_is_tried_next() -> None:
    waits = a_migration(attention="waiting for h2 to finish destination: it does not answer")
    todo = Todo(1, waits.id, TodoKind.FINISH_DESTINATION, "h2", {}, 5, later(60), "no answer", NOON)
    said = waiting_for(waits, [todo]).attention
    assert said is not None
    assert said.startswith("waiting for h2 to finish destination: it does not answer (")
    for words in ("since 2026-", "5 tries so far", "the next at 12:01:00 UTC"):
        assert words in said
    assert waiting_for(waits, []) == waits


KEYS = [
    "id",
    "instance",
    "kind",
    "mode",
    "state",
    "needs_attention",
    "source",
    "destination",
    "profile",
    "created_at",
    "switched_at",
    "finished_at",
    "phase",
    "memory_total",
    "memory_remaining",
    "disk_total",
    "disk_remaining",
    "iteration",
    "dirty_rate",
    "bandwidth",
    "downtime_ms",
    "total_ms",
    "method",
    "actions",
    "queue",
    "error_code",
    "error",
]

COPYING = Progress(
    Phase.MEMORY,
    memory_total=512,
    memory_remaining=100,
    disk_total=10,
    disk_remaining=0,
    iteration=3,
    dirty_rate=4096,
    bandwidth=1 << 20,
)
MEASURED = Statistics(downtime_ms=61, memory_total=640, disk_total=20, iterations=4)


def test_a_migration_has_exactly_the_keys_of_its_contract_in_their_order() -> None:
    assert list(msgspec.to_builtins(migration_view(a_migration()))) == KEYS


def test_what_is_not_known_is_null() -> None:
    seen = msgspec.to_builtins(migration_view(a_migration()))
    known = {"id", "instance", "kind", "mode", "state", "source", "created_at", "phase", "actions"}
    assert {key for key, value in seen.items() if value is not None} == known
    assert seen["instance"] == "web"


@pytest.mark.parametrize(
    ("state", "phase"),
    [
        (S.QUEUED, "queue"),
        (S.SCHEDULING, "prepare"),
        (S.CLAIMED, "prepare"),
        (S.PREPARING, "prepare"),
        (S.RUNNING, "memory"),
        (S.POSTCOPY, "postcopy"),
        (S.POSTCOPY_PAUSED, "postcopy"),
        (S.SWITCHED, "finish"),
        (S.ROLLING_BACK, "finish"),
        *((state, None) for state in sorted(TERMINAL)),
    ],
)
def test_each_state_is_shown_as_one_phase(state: MigrationState, phase: str | None) -> None:
    assert migration_view(a_migration(state=state)).phase == phase


@pytest.mark.parametrize("phase", [Phase.DISK, Phase.MEMORY, Phase.SWITCHOVER])
def test_a_running_transfer_is_in_the_phase_it_was_last_seen_in(phase: Phase) -> None:
    running, switched = a_migration(state=S.RUNNING), a_migration(state=S.SWITCHED)
    assert migration_view(running, Progress(phase)).phase == phase
    assert migration_view(switched, Progress(phase)).phase == "finish"


def test_progress_is_shown_while_it_runs() -> None:
    view = migration_view(a_migration(state=S.RUNNING), COPYING)
    assert (view.memory_total, view.memory_remaining) == (512, 100)
    assert (view.disk_total, view.disk_remaining) == (10, 0)
    assert (view.iteration, view.dirty_rate, view.bandwidth) == (3, 4096, 1 << 20)
    assert view.downtime_ms is None


def test_after_the_switch_nothing_remains_and_libvirts_statistics_count() -> None:
    migration = a_migration(
        state=S.COMPLETED,
        started_at=later(1),
        switched_at=later(3),
        finished_at=later(3.25),
        method=Method.PRECOPY,
        statistics=MEASURED,
    )
    for progress in (None, COPYING):
        view = migration_view(migration, progress)
        assert (view.memory_total, view.memory_remaining, view.disk_remaining) == (640, 0, 0)
        assert (view.iteration, view.downtime_ms) == (4, 61)
    assert view.method == "precopy"


def test_a_failed_migration_does_not_claim_that_nothing_remained() -> None:
    view = migration_view(a_migration(state=S.FAILED, error_code="guest.died", error="it ended"))
    assert view.memory_remaining is None
    assert (view.error_code, view.error) == ("guest.died", "it ended")


@pytest.mark.parametrize(
    ("started", "finished", "total_ms"),
    [(None, None, None), (1.0, None, None), (None, 3.0, None), (1.0, 3.2506, 2251)],
)
def test_the_total_is_from_leaving_the_queue_to_the_end(
    started: float | None, finished: float | None, total_ms: int | None
) -> None:
    migration = a_migration(
        started_at=None if started is None else later(started),
        finished_at=None if finished is None else later(finished),
    )
    assert migration_view(migration).total_ms == total_ms


def test_actions_attention_and_the_place_in_the_line_are_shown() -> None:
    action = ActionRecord(NOON, "abort", "operator", "ann", "aborted")
    migration = a_migration(actions=(action,), attention="look at h2")
    view = migration_view(migration, queue=QueuePlace(position=2, limit="leaving h1: 1 of 1"))
    assert msgspec.to_builtins(view.actions[0]) == {
        "at": "2026-01-01T12:00:00Z",
        "action": "abort",
        "rule": "operator",
        "by": "ann",
        "result": "aborted",
    }
    assert view.needs_attention == "look at h2"
    assert view.queue == QueuePlace(position=2, limit="leaving h1: 1 of 1")


def test_an_event_is_shown_whole() -> None:
    view = event_view(MigrationEvent(7, "m1", NOON, "alarm", "two run", {"host": "h1"}))
    assert (view.seq, view.at, view.kind, view.text) == (7, NOON, "alarm", "two run")
    assert view.facts == {"host": "h1"}


def test_an_instance_is_shown_with_its_migration_and_its_candidates() -> None:
    open_ = an_instance(host=None, status=InstanceStatus.AMBIGUOUS, candidates=("h1", "h2"))
    view = instance_view(open_)
    assert (view.id, view.name, view.host, view.status) == (UUID, "web", None, "ambiguous")
    assert view.candidates == ["h1", "h2"]
    assert instance_view(an_instance(migration_id="m1")).migration == "m1"


CLAIM = Claim(1, "h1", UUID, "web", ClaimPurpose.INCOMING, 2, 512, "m1", NOON)


def test_a_claim_is_shown_with_what_it_is_for() -> None:
    view = claim_view(CLAIM)
    assert (view.host, view.instance, view.purpose) == ("h1", "web", "incoming")
    assert (view.vcpus, view.memory_mib, view.migration) == (2, 512, "m1")


def test_a_host_is_shown_with_what_is_claimed_on_it() -> None:
    view = host_view(a_host(), [CLAIM, CLAIM], instances=1)
    assert (view.claimed_vcpus, view.claimed_memory_mib, view.instances) == (4, 1024, 1)
    assert (view.libvirt_version, view.hypervisor_version) == ("9.0.0", "7.2.22")
    assert (view.cpus, view.memory_mib) == (FACTS.cpus, FACTS.memory_mib)
    assert view.why_down is None


def test_a_host_nothing_is_known_of_shows_null() -> None:
    silent = a_host(
        alive=False, why_down="it has never reported", facts=None, agent_version="", seen_at=None
    )
    view = host_view(silent, [], instances=0)
    unknown = (view.libvirt_version, view.hypervisor_version, view.arch, view.cpus, view.memory_mib)
    assert unknown == (None,) * 5
    assert (view.agent_version, view.seen_at) == (None, None)
    assert (view.alive, view.why_down) == (False, "it has never reported")
    assert (view.pools, view.networks) == ([], [])
