"""Several conductors at once, each a process of its own: exactly one wins, and nothing is lost."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from migrator.conductor.ports import Lead
from migrator.db.claim_rows import TAKING
from migrator.db.engine import Database
from migrator.db.stores import open_stores
from migrator.errors import MigratorError
from migrator.model import Migration, TakeClaim
from migrator.states import MigrationState as S
from tests.contract.database_world import SteppingClock, World, at_once

if TYPE_CHECKING:
    from collections.abc import Callable

pytest_plugins = ["tests.contract.database_fixtures"]

RIVALS = 4
ROUNDS = 8
SLOTS = 3
"""Claims h2 may hold; the rivals would take four."""


@dataclass(frozen=True)
class Race:
    """What every rival tries to be first at, prepared before they start."""

    requests: tuple[Migration, ...]
    leaderless: tuple[str, ...]
    placeable: tuple[tuple[Lead, ...], ...]


def _answer(act: Callable[[], Any]) -> str:
    try:
        answer = act()
    except MigratorError as error:
        return error.code
    return "nothing" if answer is None else "won"


def _take_a_slot(world: World, lead: Lead) -> str:
    """Look how many slots are free, and take one with the generation that was looked at."""
    for _ in range(100):
        generation, claims = world.stores.claims.on_host("h2")
        if len(claims) >= SLOTS:
            return "full"
        claim = TakeClaim("h2", generation, vcpus=1, memory_mib=1)
        move = partial(world.stores.journal.move, lead, S.SCHEDULING, S.CLAIMED, "placed", [claim])
        answer = _answer(move)
        if answer != "claim.conflict":
            return answer
    return "never"


def _rival(url: str, name: str, race: Race, start: Any, answers: Any) -> None:
    database = Database(url)
    clock = SteppingClock()
    world = World(database, open_stores(database, lambda: datetime.now(UTC)), clock)
    mine = int(name)
    told: list[tuple[str, str]] = []
    for request, moving in zip(race.requests, race.leaderless, strict=True):
        start.wait()
        own = Migration(**{**vars(request), "id": request.id[:-1] + name})
        told.append(("submit", _answer(partial(world.stores.journal.submit, own))))
        start.wait()
        lead = partial(world.stores.journal.lead, moving, f"c{name}", 60.0)
        told.append(("lead", _answer(lead)))
    start.wait()
    told.extend(("claim", _take_a_slot(world, lead)) for lead in race.placeable[mine])
    answers.put(told)
    database.close()


def _prepare(world: World) -> Race:
    requests = [world.request(world.instance(f"s{number}")) for number in range(ROUNDS)]
    leaderless = [world.queued(world.instance(f"l{number}")).id for number in range(ROUNDS)]
    placeable = []
    for rival in range(RIVALS):
        lead = world.led(world.queued(world.instance(f"p{rival}")), "before", 60.0)
        world.advance(lead, S.SCHEDULING)
        placeable.append((lead,))
    return Race(tuple(requests), tuple(leaderless), tuple(placeable))


def test_of_four_processes_one_submits_one_leads_and_the_last_slot_is_taken_once(
    world: World,
) -> None:
    race = _prepare(world)
    url = world.database.url.render_as_string(hide_password=False)
    spawn = multiprocessing.get_context("spawn")
    start, answers = spawn.Barrier(RIVALS, timeout=60), spawn.Queue()
    processes = [
        spawn.Process(target=_rival, args=(url, str(number), race, start, answers))
        for number in range(RIVALS)
    ]
    for process in processes:
        process.start()
    told = Counter(answer for _ in processes for answer in answers.get(timeout=120))
    for process in processes:
        process.join()
    assert told == {
        ("submit", "won"): ROUNDS,
        ("submit", "migration.exists"): ROUNDS * (RIVALS - 1),
        ("lead", "won"): ROUNDS,
        ("lead", "nothing"): ROUNDS * (RIVALS - 1),
        ("claim", "won"): SLOTS,
        ("claim", "full"): RIVALS - SLOTS,
    }
    assert len(world.stores.claims.on_host("h2")[1]) == SLOTS


def test_one_request_sent_at_once_from_many_threads_makes_one_migration(world: World) -> None:
    request = world.request(world.instance(), "req-1")
    same = [
        Migration(**{**vars(request), "id": request.id[:-1] + str(number)}) for number in range(8)
    ]
    made = at_once(*(partial(world.stores.journal.submit, one) for one in same))
    assert {one.id for one in made if isinstance(one, Migration)} == {
        one.id for one in world.stores.migrations.unfinished()
    }
    assert not [one for one in made if isinstance(one, MigratorError)]


def test_many_threads_moving_their_own_migrations_do_not_hinder_each_other(world: World) -> None:
    leads = [world.led(world.queued(world.instance(f"g{number}"))) for number in range(12)]

    def place(lead: Lead) -> str:
        world.stores.journal.move(lead, S.QUEUED, S.SCHEDULING, "go")
        for _ in range(200):
            move = partial(
                world.stores.journal.move, lead, S.SCHEDULING, S.CLAIMED, "go", [world.take()]
            )
            answer = _answer(move)
            if answer != "claim.conflict":
                return answer
        return "never"

    answers = at_once(*(partial(place, lead) for lead in leads))
    assert answers == ["won"] * len(leads)
    generation, claims = world.stores.claims.on_host("h2")
    assert generation == len(leads) * TAKING
    assert len(claims) == len(leads)
