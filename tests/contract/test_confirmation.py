"""A cold move whose source still has the guest: kept or brought back, whichever is said first."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from migrator.model import AddTodo, DropClaim, Effect, SwitchOwner, TodoKind
from migrator.states import MigrationState as S
from tests.contract.database_world import FINISH, RELEASE, at_once, kinds

if TYPE_CHECKING:
    from migrator.conductor.ports import Lead
    from tests.contract.database_world import World

pytest_plugins = ["tests.contract.database_fixtures"]

HOUR = 3600.0
CONFIRM = AddTodo(TodoKind.CONFIRM, "h1", {"volumes": [["local", "web1-vda"]]}, HOUR)


def waiting(world: World) -> Lead:
    """Switched and settled; the source is let go in an hour."""
    lead = world.led(world.queued())
    world.switched(lead, FINISH, CONFIRM)
    (finish,) = world.stores.migrations.due_todos("c1")
    settled = world.stores.journal.finish_todo(finish)
    assert settled is not None
    assert settled.state is S.AWAITING_CONFIRM
    return lead


def test_it_waits_until_its_time_is_over(world: World) -> None:
    lead = waiting(world)
    assert world.stores.migrations.due_todos("c1") == []
    pause = world.stores.migrations.next_todo_in()
    assert pause is not None
    assert HOUR - 60 < pause <= HOUR
    assert world.stores.migrations.get(lead.migration_id).finished_at is None


def test_confirming_lets_the_source_go_at_once_and_ends_completed(world: World) -> None:
    lead = waiting(world)
    assert world.stores.journal.confirm(lead.migration_id, "ann") is not None
    (confirm,) = world.stores.migrations.due_todos("c1")
    after = world.stores.journal.finish_todo(confirm, [RELEASE])
    assert after is not None
    assert after.state is S.AWAITING_CONFIRM
    assert world.stores.journal.revert(lead.migration_id, "bob") is None
    (release,) = world.stores.migrations.due_todos("c1")
    ended = world.stores.journal.finish_todo(release, [DropClaim("h1")])
    assert ended is not None
    assert ended.state is S.COMPLETED
    assert world.claimed("h1") == set()


def test_a_revert_carries_on_with_what_the_confirmation_knew(world: World) -> None:
    lead = waiting(world)
    reverting = world.stores.journal.revert(lead.migration_id, "ann")
    assert reverting is not None
    assert reverting.state is S.REVERTING
    (revert,) = world.stores.migrations.due_todos("c1")
    assert (revert.kind, revert.host, revert.payload) == (
        TodoKind.REVERT,
        "h1",
        CONFIRM.payload,
    )
    assert world.stores.journal.confirm(lead.migration_id, "bob") is None
    ended = world.stores.journal.finish_todo(revert, [SwitchOwner("h2", "h1")])
    assert ended is not None
    assert ended.state is S.REVERTED
    assert world.claimed("h1") == {("web1", "use")}
    assert world.claimed("h2") == set()


def test_what_does_not_wait_is_neither_confirmed_nor_reverted(world: World) -> None:
    lead = world.led(world.queued())
    for say in (world.stores.journal.confirm, world.stores.journal.revert):
        assert say(lead.migration_id, "ann") is None
    world.switched(lead, FINISH, CONFIRM)
    for say in (world.stores.journal.confirm, world.stores.journal.revert):
        assert say(lead.migration_id, "ann") is None
    assert kinds(world.stores.migrations.open_todos(lead.migration_id)) == [
        FINISH.kind,
        CONFIRM.kind,
    ]


def test_of_two_that_are_said_at_once_one_wins(world: World) -> None:
    lead = waiting(world)
    (confirm,) = world.stores.migrations.open_todos(lead.migration_id)
    journal = world.stores.journal
    let_go = partial(journal.finish_todo, confirm, [RELEASE])
    bring_back = partial(journal.revert, lead.migration_id, "ann")
    answers = at_once(let_go, bring_back)
    assert [answer is None for answer in answers].count(True) == 1
    left = kinds(world.stores.migrations.open_todos(lead.migration_id))
    assert left in ([TodoKind.RELEASE_SOURCE], [TodoKind.REVERT])


def test_a_guest_that_is_off_claims_nothing_where_it_has_come(world: World) -> None:
    lead = world.led(world.queued())
    world.advance(lead, S.RUNNING)
    effects: list[Effect] = [SwitchOwner("h1", "h2", in_use=False), FINISH]
    world.stores.journal.move(lead, S.RUNNING, S.SWITCHED, "it is there", effects)
    assert world.claimed("h2") == set()
    assert world.claimed("h1") == {("web1", "leaving")}
