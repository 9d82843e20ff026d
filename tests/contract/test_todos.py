"""What happens to durable work: handed out once, in order, retried until done."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import TYPE_CHECKING

from migrator.db.migration_store import SqlMigrationStore
from migrator.db.stores import Patience
from migrator.errors import MigratorError
from migrator.model import DropClaim, Statistics, Todo, TodoKind
from migrator.states import MigrationState as S
from tests.contract.database_world import FENCE, FINISH, RELEASE, UNDO, at_once, kinds, whole

if TYPE_CHECKING:
    from tests.contract.database_world import World

pytest_plugins = ["tests.contract.database_fixtures"]


def due(world: World, leader: str = "c1") -> dict[TodoKind, Todo]:
    return {todo.kind: todo for todo in world.stores.migrations.due_todos(leader)}


def test_the_last_todo_of_a_switched_migration_completes_it(world: World) -> None:
    lead = world.led(world.queued())
    world.switched(lead, FENCE, FINISH, RELEASE)
    todos = due(world)
    finish = world.stores.journal.finish_todo
    states = []
    for kind in (TodoKind.FENCE_SOURCE, TodoKind.RELEASE_SOURCE):
        after = finish(todos[kind])
        assert after is not None
        states.append(after.state)
    assert states == [S.SWITCHED, S.SWITCHED]
    assert world.claimed("h1") == {("web1", "leaving")}
    world.clock.step()
    statistics = Statistics(downtime_ms=7)
    done = finish(todos[TodoKind.FINISH_DESTINATION], statistics=statistics)
    assert done is not None
    assert (done.state, done.statistics) == (S.COMPLETED, statistics)
    assert (done.finished_at, done.leader) == (world.clock.now(), None)
    assert (world.claimed("h1"), world.claimed("h2")) == (set(), {("web1", "use")})
    assert world.stores.migrations.open_todos(lead.migration_id) == []
    assert world.stores.migrations.next_todo_in() is None


def test_a_todo_done_before_is_not_done_again(world: World) -> None:
    lead = world.led(world.queued())
    world.switched(lead, RELEASE)
    todo = due(world)[RELEASE.kind]
    assert world.stores.journal.finish_todo(todo, [DropClaim("h1")]) is not None
    before = whole(world, lead.migration_id)
    assert world.stores.journal.finish_todo(todo, [DropClaim("h2")], attention="late") is None
    world.stores.journal.postpone_todo(todo, "late", 0.0, "late")
    assert whole(world, lead.migration_id) == before


def test_a_postponed_todo_comes_back_later_with_its_error(world: World) -> None:
    lead = world.led(world.queued())
    world.switched(lead, RELEASE)
    postpone = world.stores.journal.postpone_todo
    postpone(due(world)[RELEASE.kind], "h1 is away", 3600.0, None)
    assert due(world) == {}
    pause = world.stores.migrations.next_todo_in()
    assert pause is not None
    assert 3500.0 < pause <= 3600.0
    (todo,) = world.stores.migrations.open_todos(lead.migration_id)
    assert (todo.attempts, todo.last_error) == (1, "h1 is away")
    postpone(todo, "h1 is away", 0.0, "release_source waits for h1")
    assert due(world)[RELEASE.kind].attempts == 2
    seen = world.stores.migrations.get(lead.migration_id)
    assert seen.attention == "release_source waits for h1"
    history = world.stores.migrations.events(lead.migration_id, 0, 100)
    assert [event.kind for event in history].count("todo") == 1


def test_a_todo_is_handed_out_once_until_its_lease_ends(world: World) -> None:
    lead = world.led(world.queued())
    world.switched(lead, RELEASE)
    assert kinds(due(world).values()) == [RELEASE.kind]
    assert due(world) == {}
    pause = world.stores.migrations.next_todo_in("c1")
    assert pause is not None
    assert pause > 1.0
    restarted = world.again()
    assert kinds(due(restarted).values()) == [RELEASE.kind]
    assert due(restarted) == {}


def test_a_todo_whose_worker_died_is_handed_to_another(world: World) -> None:
    forgetful = world.again(Patience(todo_lease_s=0.0))
    lead = world.led(world.queued())
    world.switched(lead, RELEASE)
    assert kinds(due(forgetful).values()) == [RELEASE.kind]
    world.stores.journal.renew("c1", 0.0)
    assert kinds(due(world, "c2").values()) == [RELEASE.kind]
    assert due(forgetful) == {}


def test_a_todo_that_is_still_worked_on_is_kept_from_others(world: World) -> None:
    lead = world.led(world.queued())
    world.switched(lead, RELEASE)
    mine = SqlMigrationStore(world.database, todo_lease_s=0.0)
    (todo,) = mine.due_todos("c1")
    world.stores.journal.renew("c1", 0.0)
    mine._todo_lease_s = 3600.0
    mine.keep_todos("c1", [todo.id])
    assert due(world, "c2") == {}
    mine._todo_lease_s = 0.0
    mine.keep_todos("c2", [todo.id])
    assert due(world, "c2") == {}, "only who works on it says how long"
    mine.keep_todos("c1", [todo.id])
    assert kinds(due(world, "c2").values()) == [RELEASE.kind]


def test_what_waited_for_a_host_is_due_when_the_host_is_back(world: World) -> None:
    lead = world.led(world.queued())
    world.switched(lead, FENCE, FINISH, RELEASE)
    todos = due(world)
    assert not world.stores.migrations.hasten_todos("h1"), "nothing was tried in vain yet"
    world.stores.journal.postpone_todo(todos[FENCE.kind], "away", 3600.0, None)
    world.stores.journal.postpone_todo(todos[FINISH.kind], "away", 3600.0, None)
    assert world.stores.migrations.hasten_todos("h1")
    assert list(due(world)) == [FENCE.kind, RELEASE.kind]
    assert not world.stores.migrations.hasten_todos("h1")


def test_todos_belong_to_the_leader_while_its_lease_runs(world: World) -> None:
    lead = world.led(world.queued(), "c1")
    world.switched(lead, RELEASE)
    assert due(world, "c2") == {}
    assert world.stores.migrations.next_todo_in("c2") is None
    assert world.stores.migrations.next_todo_in("c1") == 0.0
    world.stores.journal.renew("c1", 0.0)
    assert kinds(due(world, "c2").values()) == [RELEASE.kind]


def test_todos_on_one_host_keep_their_order(world: World) -> None:
    lead = world.led(world.queued())
    world.switched(lead, FENCE, FINISH, RELEASE)
    first = due(world)
    assert list(first) == [FENCE.kind, FINISH.kind, RELEASE.kind]
    world.stores.journal.postpone_todo(first[FENCE.kind], "away", 3600.0, None)
    world.stores.journal.finish_todo(first[FINISH.kind])
    assert due(world) == {}
    pause = world.stores.migrations.next_todo_in()
    assert pause is not None
    assert pause > 60.0
    (fence, _) = world.stores.migrations.open_todos(lead.migration_id)
    world.stores.journal.postpone_todo(fence, "away", 0.0, None)
    assert list(due(world)) == [FENCE.kind, RELEASE.kind]


def test_what_is_left_to_undo_of_a_failed_migration_stays_due(world: World) -> None:
    lead = world.led(world.queued(), "c1")
    world.advance(lead, S.RUNNING)
    world.stores.journal.move(lead, S.RUNNING, S.ROLLING_BACK, "h2 went away")
    world.stores.journal.move(lead, S.ROLLING_BACK, S.FAILED, "the guest is at home", [UNDO])
    todo = due(world, "c2")[UNDO.kind]
    assert world.claimed("h2") == {("web1", "incoming")}
    ended = world.stores.journal.finish_todo(todo, [DropClaim("h2")])
    assert ended is not None
    assert ended.state is S.FAILED
    assert world.claimed("h2") == set()


def test_a_use_claim_takes_the_place_of_what_a_failed_migration_left(world: World) -> None:
    one = world.instance()
    lead = world.led(world.queued(one))
    world.advance(lead, S.RUNNING)
    world.stores.journal.move(lead, S.RUNNING, S.ROLLING_BACK, "h2 went away")
    world.stores.journal.move(lead, S.ROLLING_BACK, S.FAILED, "the guest is at home", [UNDO])
    world.stores.instances.save(dataclasses.replace(one, host="h2"), use_claim=True)
    assert (world.claimed("h1"), world.claimed("h2")) == (set(), {("web1", "use")})
    world.stores.journal.finish_todo(due(world)[UNDO.kind], [DropClaim("h2")])
    assert world.claimed("h2") == {("web1", "use")}


def test_the_last_two_todos_finished_at_once_complete_the_migration(world: World) -> None:
    for number in range(6):
        lead = world.led(world.queued(world.instance(f"g{number}")))
        world.switched(lead, FINISH, RELEASE)
        works = [partial(world.stores.journal.finish_todo, todo) for todo in due(world).values()]
        answers = at_once(*works)
        assert not [answer for answer in answers if isinstance(answer, MigratorError)]
        assert world.stores.migrations.get(lead.migration_id).state is S.COMPLETED


def test_two_conductors_are_never_given_the_same_todo(world: World) -> None:
    for number in range(8):
        lead = world.led(world.queued(world.instance(f"g{number}")), "gone", 0.0)
        world.switched(lead, RELEASE)
    conductors = [world.again() for _ in range(4)]
    ask = [partial(one.stores.migrations.due_todos, f"c{n}") for n, one in enumerate(conductors)]
    answers = at_once(*ask)
    given = [
        todo.id for answer in answers if not isinstance(answer, MigratorError) for todo in answer
    ]
    assert len(given) == len(set(given)) == 8
