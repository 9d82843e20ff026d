"""What the journal promises: one writer per migration, all of a move or nothing of it."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from migrator.db.claim_rows import TAKING
from migrator.db.tables import migrations
from migrator.errors import Fenced, Refused, Transient
from migrator.model import (
    ActionRecord,
    DropClaim,
    Effect,
    Method,
    Migration,
    Statistics,
    SwitchOwner,
)
from migrator.states import PAST_NO_RETURN, TERMINAL, TRANSITIONS
from migrator.states import MigrationState as S
from tests.contract.database_world import FENCE, FINISH, RELEASE, UNDO, kinds, whole

if TYPE_CHECKING:
    from tests.contract.database_world import World

pytest_plugins = ["tests.contract.database_fixtures"]


def put_into(world: World, migration: Migration, state: S) -> None:
    """Write a state as if the migration had got there, whatever the table of states says."""
    finished = world.clock.now() if state in TERMINAL else None
    row = update(migrations).where(migrations.c.id == migration.id)
    with world.database.writer() as connection:
        connection.execute(row.values(state=state.value, finished_at=finished))


def claims_of(world: World) -> list[tuple[str, str, str, int, int, str | None]]:
    return [
        (c.host, c.instance_id, c.purpose, c.vcpus, c.memory_mib, c.migration_id)
        for c in world.stores.claims.list()
    ]


# ---------------------------------------------------------------- submitting


def test_a_submitted_migration_is_queued_with_its_first_event(world: World) -> None:
    request = world.request(world.instance(), "req-1")
    made = world.stores.journal.submit(request)
    assert made == world.stores.migrations.get(request.id) == request
    (event,) = world.stores.migrations.events(made.id, 0, 10)
    assert (event.seq, event.kind, event.facts["to"]) == (1, "state", "queued")


def test_a_request_id_seen_before_answers_with_the_migration_it_made(world: World) -> None:
    one = world.instance()
    made = world.stores.journal.submit(world.request(one, "req-1"))
    again = world.stores.journal.submit(world.request(one, "req-1"))
    assert again == made
    world.stores.journal.cancel_queued(made.id, "root")
    world.queued(one)
    assert world.stores.journal.submit(world.request(one, "req-1")).id == made.id


def test_an_instance_that_moves_is_refused_with_the_running_migration(world: World) -> None:
    one = world.instance()
    running = world.queued(one)
    with pytest.raises(Refused, match=f"{running.id} is queued") as refused:
        world.stores.journal.submit(world.request(one))
    assert refused.value.code == "migration.exists"
    assert refused.value.facts["id"] == running.id


def test_an_instance_nobody_knows_is_refused(world: World) -> None:
    one = dataclasses.replace(world.instance(), id="nobody")
    with pytest.raises(Refused) as refused:
        world.stores.journal.submit(world.request(one))
    assert refused.value.code == "instance.unknown"


def test_an_instance_may_move_again_once_its_migration_is_terminal(world: World) -> None:
    one = world.instance()
    for state in sorted(TERMINAL):
        put_into(world, world.queued(one), state)
    assert world.queued(one).state is S.QUEUED


def test_text_the_database_cannot_hold_is_refused(world: World) -> None:
    request = dataclasses.replace(world.request(world.instance()), force_reason="lone \ud800")
    with pytest.raises(Refused) as refused:
        world.stores.journal.submit(request)
    assert refused.value.code == "request.invalid"


# ---------------------------------------------------------------- leading


def test_a_lead_is_refused_while_anothers_lease_runs(world: World) -> None:
    moving = world.queued()
    first = world.led(moving, "c1")
    assert first.epoch == 1
    assert world.stores.journal.lead(moving.id, "c2", 60.0) is None
    world.stores.journal.renew("c1", 0.0)
    assert world.led(moving, "c2").epoch == 2


def test_the_same_leader_takes_over_from_itself_with_a_higher_epoch(world: World) -> None:
    moving = world.queued()
    assert [world.led(moving).epoch for _ in range(3)] == [1, 2, 3]
    taken = world.stores.journal.lead(moving.id, "c1", 60.0)
    assert taken is not None
    assert (taken[1].leader, taken[1].epoch) == ("c1", 4)


def test_the_history_tells_of_takeovers_and_not_of_the_first_lead(world: World) -> None:
    moving = world.queued()
    world.led(moving, "c1", 0.0)
    assert [event.text for event in world.stores.migrations.events(moving.id, 0, 10)] == [
        "accepted and queued"
    ]
    world.led(moving, "c2")
    *_, last = world.stores.migrations.events(moving.id, 0, 10)
    assert (last.seq, last.kind, last.text) == (2, "observed", "taken up by c2")


def test_renewing_tells_what_has_been_asked_of_ones_migrations_meanwhile(world: World) -> None:
    mine, theirs = world.queued(world.instance("g1")), world.queued(world.instance("g2"))
    lead = world.led(mine, "c1")
    world.led(theirs, "c2")
    renew = world.stores.journal.renew
    (before,) = renew("c1", 60.0)
    assert (before.migration_id, before.epoch) == (mine.id, lead.epoch)
    assert renew("c1", 60.0) == [before]
    world.stores.journal.ask_abort(mine.id, "somebody")
    (after,) = renew("c1", 60.0)
    assert after != before
    world.led(mine, "c1")
    (again,) = renew("c1", 60.0)
    assert again.epoch == lead.epoch + 1


def test_renewing_prolongs_only_ones_own_leases(world: World) -> None:
    mine, theirs = world.queued(world.instance("g1")), world.queued(world.instance("g2"))
    world.led(mine, "c1", 0.0)
    world.led(theirs, "c2", 0.0)
    world.stores.journal.renew("c1", 60.0)
    assert world.stores.journal.lead(mine.id, "c3", 60.0) is None
    assert world.stores.journal.lead(theirs.id, "c3", 60.0) is not None


def test_a_terminal_migration_is_led_by_nobody(world: World) -> None:
    moving = world.queued()
    world.stores.journal.cancel_queued(moving.id, "root")
    assert world.stores.journal.lead(moving.id, "c1", 60.0) is None
    assert world.stores.journal.lead("unknown", "c1", 60.0) is None


# ---------------------------------------------------------------- moving


@pytest.mark.parametrize("old", list(S))
def test_every_legal_move_succeeds_and_every_other_changes_nothing(world: World, old: S) -> None:
    moving = world.queued()
    lead = world.led(moving)
    for new in S:
        put_into(world, moving, old)
        before = whole(world, moving.id)
        if (old, new) in TRANSITIONS:
            moved = world.stores.journal.move(lead, old, new, "because")
            assert moved == world.stores.migrations.get(moving.id)
            assert moved.state is new
            event = world.stores.migrations.events(moving.id, 0, 1000)[-1]
            assert (event.text, event.facts) == ("because", {"from": old, "to": new})
        else:
            with pytest.raises(Refused) as refused:
                world.stores.journal.move(lead, old, new, "because")
            assert refused.value.code == "state.illegal"
            assert whole(world, moving.id) == before


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(walk=st.lists(st.sampled_from(list(S)), max_size=14))
def test_a_walk_through_the_states_goes_where_the_table_allows(world: World, walk: list[S]) -> None:
    lead = world.led(world.queued(world.instance("walker")))
    state = S.QUEUED
    visited = [state]
    for wanted in walk:
        if (state, wanted) in TRANSITIONS:
            state = world.stores.journal.move(lead, state, wanted, "a step").state
            visited.append(state)
        else:
            with pytest.raises(Refused):
                world.stores.journal.move(lead, state, wanted, "a step")
    seen = world.stores.migrations.get(lead.migration_id)
    assert seen.state is state
    assert (seen.finished_at is not None) == (state in TERMINAL)
    assert (seen.started_at is not None) == (len(visited) > 1)
    assert (seen.switched_at is not None) == (S.SWITCHED in visited)
    history = world.stores.migrations.events(lead.migration_id, 0, 1000)
    assert [event.facts["to"] for event in history if event.kind == "state"] == visited
    if state in PAST_NO_RETURN:
        assert S.SCHEDULING not in visited[visited.index(state) :]


def test_a_move_from_another_state_is_fenced_and_changes_nothing(world: World) -> None:
    lead = world.led(world.queued())
    world.advance(lead, S.CLAIMED)
    before = whole(world, lead.migration_id)
    with pytest.raises(Fenced) as fenced:
        world.stores.journal.move(lead, S.PREPARING, S.RUNNING, "late", [SwitchOwner("h1", "h2")])
    assert fenced.value.code == "command.stale"
    assert whole(world, lead.migration_id) == before


def test_a_leader_that_was_replaced_can_write_nothing(world: World) -> None:
    old = world.led(world.queued(), "c1")
    world.advance(old, S.RUNNING)
    new = world.led(world.stores.migrations.get(old.migration_id), "c1")
    before = whole(world, old.migration_id)
    journal = world.stores.journal
    for write in (
        lambda: journal.move(old, S.RUNNING, S.SWITCHED, "late", [SwitchOwner("h1", "h2"), FENCE]),
        lambda: journal.update(old, attention="late"),
        lambda: journal.flow_backend(old).get_connection().clear_all(),
        lambda: journal.flow_backend(old).get_connection().validate(),
    ):
        with pytest.raises(Fenced):
            write()
        assert whole(world, old.migration_id) == before
    assert journal.update(new, attention="in time").attention == "in time"


def test_milestones_are_told_by_the_conductors_clock(world: World) -> None:
    lead = world.led(world.queued())
    started = world.clock.step()
    world.advance(lead, S.RUNNING)
    switched = world.clock.step()
    world.stores.journal.move(lead, S.RUNNING, S.SWITCHED, "it runs there")
    finished = world.clock.step()
    done = world.stores.journal.move(lead, S.SWITCHED, S.COMPLETED, "all done")
    assert (done.started_at, done.switched_at, done.finished_at) == (started, switched, finished)
    assert done.leader is None


def test_changes_are_stored_as_they_were_given(world: World) -> None:
    lead = world.led(world.queued())
    changes: dict[str, Any] = {
        "source": "h1",
        "destination": "h3",
        "attempt": 3,
        "method": Method.POSTCOPY,
        "statistics": Statistics(downtime_ms=12, total_ms=345),
        "forced_policies": ("capacity",),
        "attention": "zwei laufen: üñî",
        "error_code": "transfer.failed",
        "error": "it broke",
    }
    updated = world.stores.journal.update(lead, **changes)
    assert {name: getattr(updated, name) for name in changes} == changes
    assert world.stores.migrations.get(lead.migration_id) == updated
    assert world.stores.journal.update(lead, attention=None).attention is None


@pytest.mark.parametrize("name", ["state", "epoch", "leader", "id", "abort_by", "nonsense"])
def test_what_is_not_a_leaders_to_change_is_an_error_in_the_program(
    world: World, name: str
) -> None:
    lead = world.led(world.queued())
    with pytest.raises(TypeError, match=name):
        world.stores.journal.update(lead, (), **{name: "x"})


# ---------------------------------------------------------------- effects


def test_a_claim_on_a_host_that_has_changed_is_a_conflict_and_nothing_moves(world: World) -> None:
    lead = world.led(world.queued())
    world.advance(lead, S.SCHEDULING)
    stale = world.take()
    world.instance("newcomer", "h2")
    before = whole(world, lead.migration_id)
    with pytest.raises(Transient) as conflict:
        world.stores.journal.move(lead, S.SCHEDULING, S.CLAIMED, "placed", [stale])
    assert conflict.value.code == "claim.conflict"
    assert whole(world, lead.migration_id) == before
    world.stores.journal.move(lead, S.SCHEDULING, S.CLAIMED, "placed", [world.take()])
    assert ("web1", "incoming") in world.claimed("h2")


def test_a_host_that_holds_a_claim_of_the_instance_gives_no_second_one(world: World) -> None:
    lead = world.led(world.queued())
    world.advance(lead, S.SCHEDULING)
    with pytest.raises(Transient, match="h1 still holds a claim for web1"):
        world.stores.journal.move(lead, S.SCHEDULING, S.CLAIMED, "placed", [world.take("h1")])
    assert world.claimed("h1") == {("web1", "use")}


def test_releasing_what_was_taken_leaves_the_claims_as_they_were(world: World) -> None:
    for number, host in enumerate(["h1", "h1", "h2", "h3"]):
        world.instance(f"bystander{number}", host)
    one = world.instance()
    before = claims_of(world)
    generation = world.stores.claims.on_host("h2")[0]
    for _ in range(3):
        lead = world.led(world.queued(one))
        world.advance(lead, S.CLAIMED)
        assert claims_of(world) != before
        world.stores.journal.move(lead, S.CLAIMED, S.ROLLING_BACK, "failed")
        drop = DropClaim("h2")
        world.stores.journal.move(lead, S.ROLLING_BACK, S.FAILED, "undone", [drop, drop])
        assert claims_of(world) == before
        now = world.stores.claims.on_host("h2")[0]
        assert now == generation + TAKING + 1
        generation = now


def test_effects_on_one_host_are_applied_in_their_order(world: World) -> None:
    lead = world.led(world.queued())
    world.advance(lead, S.SCHEDULING)
    first = world.take()
    grown = dataclasses.replace(first, claims_generation=first.claims_generation + TAKING, vcpus=4)
    effects: list[Effect] = [first, DropClaim("h2"), grown]
    world.stores.journal.move(lead, S.SCHEDULING, S.CLAIMED, "placed anew", effects)
    (claim,) = world.stores.claims.on_host("h2")[1]
    assert (claim.purpose, claim.vcpus) == ("incoming", 4)


def test_an_update_brings_its_effects_and_leaves_the_state(world: World) -> None:
    lead = world.led(world.queued())
    world.advance(lead, S.PREPARING)
    updated = world.stores.journal.update(lead, [DropClaim("h2"), UNDO], attempt=2)
    assert (updated.state, updated.attempt) == (S.PREPARING, 2)
    assert world.claimed("h2") == set()
    again = world.stores.journal.update(lead, [world.take()])
    assert again == updated
    assert world.claimed("h2") == {("web1", "incoming")}
    assert kinds(world.stores.migrations.open_todos(lead.migration_id)) == [UNDO.kind]


def test_the_switch_moves_the_owner_and_swaps_the_claims_at_once(world: World) -> None:
    one = world.instance()
    lead = world.led(world.queued(one))
    generations = [world.stores.claims.on_host(host)[0] for host in ("h1", "h2")]
    world.switched(lead, FENCE, FINISH, RELEASE)
    seen = world.stores.instances.resolve(one.id)
    assert (seen.host, seen.migration_id) == ("h2", lead.migration_id)
    claims = {claim.host: claim for claim in world.stores.claims.list()}
    assert (claims["h1"].purpose, claims["h1"].migration_id) == ("leaving", lead.migration_id)
    assert (claims["h2"].purpose, claims["h2"].migration_id) == ("use", None)
    after = [world.stores.claims.on_host(host)[0] for host in ("h1", "h2")]
    assert all(new > old for old, new in zip(generations, after, strict=True))
    todos = world.stores.migrations.open_todos(lead.migration_id)
    assert kinds(todos) == [FENCE.kind, FINISH.kind, RELEASE.kind]
    assert todos[0].payload == {"attempt": 1}


def test_a_switch_after_the_claim_was_released_claims_the_destination_again(world: World) -> None:
    lead = world.led(world.queued())
    world.advance(lead, S.RUNNING)
    journal = world.stores.journal
    journal.move(lead, S.RUNNING, S.ROLLING_BACK, "lost sight of it", [DropClaim("h2")])
    journal.move(lead, S.ROLLING_BACK, S.SWITCHED, "it runs there", [SwitchOwner("h1", "h2")])
    assert (world.claimed("h1"), world.claimed("h2")) == ({("web1", "leaving")}, {("web1", "use")})


# ---------------------------------------------------------------- aborting


def test_a_queued_migration_is_cancelled_without_a_leader(world: World) -> None:
    moving = world.queued()
    cancelled = world.stores.journal.cancel_queued(moving.id, "root")
    assert cancelled is not None
    assert (cancelled.state, cancelled.abort_by) == (S.CANCELLED, "root")
    assert (cancelled.error_code, cancelled.finished_at) == (
        "migration.aborted",
        world.clock.now(),
    )
    assert world.stores.journal.cancel_queued(moving.id, "root") is None


def test_a_migration_that_is_led_on_is_not_cancelled_from_the_queue(world: World) -> None:
    lead = world.led(world.queued())
    world.advance(lead, S.SCHEDULING)
    assert world.stores.journal.cancel_queued(lead.migration_id, "root") is None


def test_the_first_to_ask_for_an_abort_is_kept(world: World) -> None:
    lead = world.led(world.queued())
    world.advance(lead, S.RUNNING)
    journal = world.stores.journal
    assert journal.ask_abort(lead.migration_id, "ann").abort_by == "ann"
    assert journal.ask_abort(lead.migration_id, "bob").abort_by == "ann"
    history = world.stores.migrations.events(lead.migration_id, 0, 100)
    assert [event.facts["by"] for event in history if event.kind == "action"] == ["ann"]


def test_an_abort_that_came_to_nothing_leaves_no_flag_on_the_record(world: World) -> None:
    for ending, kept in ((S.CANCELLED, "ann"), (S.FAILED, None)):
        lead = world.led(world.queued(world.instance(f"g-{ending}")))
        world.advance(lead, S.RUNNING)
        world.stores.journal.ask_abort(lead.migration_id, "ann")
        world.stores.journal.move(lead, S.RUNNING, S.ROLLING_BACK, "aborted", [DropClaim("h2")])
        ended = world.stores.journal.move(lead, S.ROLLING_BACK, ending, "undone")
        assert ended.abort_by == kept
        assert world.stores.journal.ask_abort(lead.migration_id, "bob") == ended


def test_an_abort_of_an_unknown_migration_is_refused(world: World) -> None:
    with pytest.raises(Refused) as refused:
        world.stores.journal.ask_abort("unknown", "ann")
    assert refused.value.code == "migration.unknown"


def test_actions_are_kept_in_order_and_told_in_the_history(world: World) -> None:
    moving = world.queued()
    records = [
        ActionRecord(world.clock.step(), f"action{number}", "rule", "operator", "ok")
        for number in range(3)
    ]
    for record in records:
        world.stores.journal.record_action(moving.id, record)
    assert world.stores.migrations.get(moving.id).actions == tuple(records)
    history = world.stores.migrations.events(moving.id, 1, 100)
    assert [event.facts["action"] for event in history] == ["action0", "action1", "action2"]


def test_an_action_that_a_monitor_sends_again_is_recorded_once(world: World) -> None:
    moving = world.queued()
    records = [
        ActionRecord(
            world.clock.step(), "wait", "r", "monitor", "ok", {"ratio": 0.5}, attempt, number
        )
        for attempt, number in [(1, 7), (1, 7), (1, 8), (2, 7)]
    ]
    for record in records:
        world.stores.journal.record_action(moving.id, record)
    assert world.stores.migrations.get(moving.id).actions == (records[0], *records[2:])
    told = world.stores.migrations.events(moving.id, 1, 100)[0].text
    assert told == "wait, decided by monitor (r): ok [ratio 0.5]"


# ---------------------------------------------------------------- cost


def test_writing_down_a_whole_migration_takes_few_statements(
    world: World, record_property: Any
) -> None:
    one = world.instance()
    before = world.database.statements
    lead = world.led(world.queued(one))
    world.switched(lead, FENCE, FINISH, RELEASE)
    for todo in world.stores.migrations.due_todos("c1"):
        world.stores.journal.finish_todo(todo)
    assert world.stores.migrations.get(lead.migration_id).state is S.COMPLETED
    spent = world.database.statements - before
    record_property("statements", spent)
    assert spent <= 48


def test_times_keep_their_microseconds_and_their_zone(world: World) -> None:
    moving = world.queued()
    seen = world.stores.migrations.get(moving.id)
    assert seen.created_at == moving.created_at
    assert seen.created_at.utcoffset() == timedelta(0)
