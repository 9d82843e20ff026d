"""Which breach of the rules is seen, and what may mend it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from migrator.conductor.invariants import Breach, Look, Mend, breaches
from migrator.model import (
    AttemptMark,
    DomainView,
    Instance,
    InstanceStatus,
    Kind,
    Migration,
    Mode,
)
from migrator.states import MigrationState
from tests.unit.conductor.domain_views import read

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WEB1 = Instance("g1", "web1", "h1", InstanceStatus.RUNNING, 1, 256, True)
FAILED = Migration(
    "m1", "g1", "web1", Kind.LIVE, Mode.AUTO, MigrationState.FAILED, NOW, finished_at=NOW
)
RUNNING = replace(FAILED, state=MigrationState.RUNNING, finished_at=None)
MARK = AttemptMark("m1", 1, True)


def marked(text: str) -> DomainView:
    view = read(text)
    assert view is not None
    return replace(view, mark=MARK)


def seen(
    views: dict[str, DomainView | None],
    instance: Instance = WEB1,
    migrations: tuple[Migration, ...] = (FAILED,),
) -> list[Breach]:
    known = {migration.id: migration for migration in migrations}
    return list(breaches(Look(instance, views, known)))


def told(found: list[Breach]) -> list[tuple[str, str | None, Mend | None]]:
    return [(each.rule, each.host, each.mend) for each in found]


@pytest.mark.parametrize(
    "views",
    [
        {"h1": read("running(booted)")},
        {"h1": read("running(migrated)"), "h2": read("absent")},
        {"h1": read("paused(user)")},
        {"h1": read("?")},
    ],
)
def test_a_guest_that_runs_where_its_record_says_breaks_no_rule(
    views: dict[str, DomainView | None],
) -> None:
    assert seen(views) == []


def test_two_that_run_are_for_a_person_to_choose_between() -> None:
    (breach,) = seen({"h1": read("running(booted)"), "h2": read("running(migrated)")})
    assert (breach.rule, breach.mend) == ("two_running", None)
    assert "virsh destroy" in breach.message


def test_a_record_that_names_another_host_is_settled() -> None:
    found = seen({"h1": read("absent"), "h2": read("running(booted)")})
    assert told(found) == [("owner_wrong", "h2", Mend.SETTLE)]


def test_a_guest_that_runs_nowhere_is_settled_once_every_host_has_said_so() -> None:
    assert told(seen({"h1": read("absent")})) == [("owner_wrong", "h1", Mend.SETTLE)]
    assert seen({"h1": read("absent"), "h2": None}) == []


def test_what_an_ended_attempt_left_is_undone() -> None:
    found = seen({"h1": read("running(booted)"), "h2": marked("paused(migration)")})
    assert told(found) == [("left_over", "h2", Mend.UNDO)]
    found = seen({"h1": read("running(booted)"), "h2": marked("shutoff")})
    assert told(found) == [("left_over", "h2", Mend.UNDO)]


def test_what_no_attempt_of_ours_left_is_left_alone() -> None:
    found = seen({"h1": read("running(booted)"), "h2": read("paused(migration)")})
    assert told(found) == [("left_over", "h2", None)]
    found = seen({"h1": read("running(booted)"), "h2": marked("shutoff")}, migrations=())
    assert told(found) == [("left_over", "h2", None)]


def test_a_marked_guest_that_has_run_over_there_is_never_removed() -> None:
    found = seen({"h1": read("absent"), "h2": marked("running(migrated)")})
    assert [each.mend for each in found if each.rule == "left_over"] in ([], [None])


def test_the_mark_of_an_ended_attempt_is_taken_off() -> None:
    assert told(seen({"h1": marked("running(booted)")})) == [("marked", "h1", Mend.UNMARK)]
    assert told(seen({"h1": marked("running(booted)")}, migrations=())) == [("marked", "h1", None)]
    assert seen({"h1": marked("running(booted)")}, migrations=(RUNNING,)) == []


def test_an_instance_that_moves_is_not_judged() -> None:
    moving = replace(WEB1, migration_id="m1")
    assert seen({"h1": None, "h2": marked("paused(migration)")}, moving) == []
