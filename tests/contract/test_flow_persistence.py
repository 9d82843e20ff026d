"""A flow survives every death of its conductor, whatever it was doing, and obeys one leader."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select, update
from taskflow import engines, states, task
from taskflow.patterns import linear_flow
from taskflow.types.failure import Failure

from migrator.conductor.ports import Lead
from migrator.db.engine import Database
from migrator.db.flow_persistence import FlowBackend, FlowConnection, error_of
from migrator.db.stores import open_stores
from migrator.db.tables import migration_steps, migrations
from migrator.errors import Broken, Fenced, MigratorError, Refused, Transient
from migrator.states import MigrationState as S

if TYPE_CHECKING:
    from tests.contract.database_world import World

pytest_plugins = ["tests.contract.database_fixtures"]

STEPS = ("describe", "place", "prepare", "transfer")
LOST = Refused("transfer.failed", "the link is gone", link="up0", tried=[1, 2])
XML = "<domain>" + "x" * 20_000 + "</domain>"

Log = list[tuple[str, str]]


class Death(BaseException):
    """The process is gone: nothing may catch this."""


class Step(task.Task):  # type: ignore[misc]  # taskflow has no types
    """Logs what it does; ``hook`` is called in the middle of it."""

    def __init__(self, name: str, log: Log, hook: Callable[[str, str], None]) -> None:
        super().__init__(name=name, provides=name)
        self._log = log
        self._hook = hook

    def execute(self) -> dict[str, Any]:
        self._log.append(("do", self.name))
        self._hook("do", self.name)
        return {"step": self.name, "xml": XML, "sizes": [1, None, 2.5]}

    def revert(self, result: Any, **_: Any) -> None:
        if not isinstance(result, Failure):
            assert result["step"] == self.name
        self._log.append(("undo", self.name))
        self._hook("undo", self.name)


class DyingConnection(FlowConnection):
    """Dies before or after its n-th write."""

    def __init__(self, backend: FlowBackend, database: Database, lead: Lead, at: int) -> None:
        super().__init__(backend, database, lead)
        self._left = at

    def update_atom_details(self, atom_detail: Any) -> Any:
        return self._dying(super().update_atom_details, atom_detail)

    def update_flow_details(self, flow_detail: Any) -> Any:
        return self._dying(super().update_flow_details, flow_detail)

    def _dying(self, write: Callable[[Any], Any], detail: Any) -> Any:
        self._tick()
        written = write(detail)
        self._tick()
        return written

    def _tick(self) -> None:
        self._left -= 1
        if self._left == 0:
            raise Death


class DyingBackend(FlowBackend):
    """A conductor's journal in a process that will die."""

    def __init__(self, database: Database, lead: Lead, at: int) -> None:
        super().__init__(database, lead)
        self._connection = DyingConnection(self, database, lead, at)


def engine_of(backend: FlowBackend, log: Log, hook: Callable[[str, str], None]) -> Any:
    flow = linear_flow.Flow("whatever").add(*(Step(name, log, hook) for name in STEPS))
    detail = backend.flow_detail()
    return engines.load(flow, flow_detail=detail, backend=backend, engine="serial")


def succeed(kind: str, name: str) -> None:
    """A step without trouble."""


def fail_transfer(kind: str, name: str) -> None:
    if (kind, name) == ("do", "transfer"):
        raise LOST


def run(backend: FlowBackend, log: Log, hook: Callable[[str, str], None]) -> tuple[str, Any]:
    """(state of the flow, the error it ended with)."""
    engine = engine_of(backend, log, hook)
    try:
        engine.run()
    except (MigratorError, Exception) as ended:
        failures = engine.storage.get_execute_failures()
        found = [error_of(failure) for failure in failures.values()]
        return engine.storage.get_flow_state(), found[0] if found else ended
    return engine.storage.get_flow_state(), None


def deaths(world: World, hook: Callable[[str, str], None]) -> list[Log]:
    """The flow, killed at each of its writes and resumed by a new leader: what was done each time."""
    logs: list[Log] = []
    for at in range(1, 1000):
        lead = world.led(world.queued(world.instance(f"g{at}")))
        log: Log = []
        try:
            run(DyingBackend(world.database, lead, at), log, hook)
        except Death:
            log.append(("death", str(at)))
        else:
            return logs
        again = world.led(world.stores.migrations.get(lead.migration_id), "c1")
        state, error = run(world.stores.journal.flow_backend(again), log, hook)
        if hook is succeed:
            assert (state, error) == (states.SUCCESS, None)
        else:
            assert state == states.REVERTED
            assert error.to_dict() == LOST.to_dict()
        logs.append(log)
    raise AssertionError("it never ran to its end")


def test_a_flow_runs_its_steps_in_order_and_keeps_their_results(world: World) -> None:
    lead = world.led(world.queued())
    log: Log = []
    backend = world.stores.journal.flow_backend(lead)
    assert run(backend, log, succeed) == (states.SUCCESS, None)
    assert log == [("do", name) for name in STEPS]
    loaded = {atom.name: atom for atom in backend.flow_detail()}
    assert set(loaded) == set(STEPS)
    assert loaded["place"].results == {"step": "place", "xml": XML, "sizes": [1, None, 2.5]}


def test_a_flow_that_has_succeeded_does_nothing_when_resumed(world: World) -> None:
    lead = world.led(world.queued())
    log: Log = []
    for _ in range(3):
        assert run(world.stores.journal.flow_backend(lead), log, succeed)[0] == states.SUCCESS
    assert log == [("do", name) for name in STEPS]


def test_a_flow_that_was_undone_stays_undone_when_resumed(world: World) -> None:
    lead = world.led(world.queued())
    log: Log = []
    for _ in range(3):
        state, error = run(world.stores.journal.flow_backend(lead), log, fail_transfer)
        assert state == states.REVERTED
        assert type(error) is Refused
        assert error.to_dict() == LOST.to_dict()
    undone = [("undo", name) for name in reversed(STEPS)]
    assert log == [("do", name) for name in STEPS] + undone


def test_a_death_at_any_write_of_a_succeeding_flow_repeats_one_step_at_most(world: World) -> None:
    logs = deaths(world, succeed)
    assert len(logs) > 4 * len(STEPS)
    for log in logs:
        done = [name for kind, name in log if kind == "do"]
        assert list(dict.fromkeys(done)) == list(STEPS)
        assert len(done) <= len(STEPS) + 1
        assert done == sorted(done, key=STEPS.index)
        assert not [name for kind, name in log if kind == "undo"]


def test_a_death_at_any_write_of_a_failing_flow_still_undoes_everything_in_order(
    world: World,
) -> None:
    logs = deaths(world, fail_transfer)
    assert len(logs) > 8 * len(STEPS)
    for log in logs:
        done = [name for kind, name in log if kind == "do"]
        undone = [name for kind, name in log if kind == "undo"]
        assert list(dict.fromkeys(done)) == list(STEPS)
        assert list(dict.fromkeys(undone)) == list(reversed(STEPS))
        assert len(done) + len(undone) <= 2 * len(STEPS) + 1
        assert log.index(("undo", "transfer")) > max(
            index for index, entry in enumerate(log) if entry[0] == "do"
        )


def test_an_undo_that_failed_is_tried_again_by_the_next_leader(world: World) -> None:
    lead = world.led(world.queued())
    log: Log = []

    def stubborn(kind: str, name: str) -> None:
        fail_transfer(kind, name)
        if (kind, name) == ("undo", "place"):
            raise Transient("libvirt.unreachable", "h2 is away")

    state, _ = run(world.stores.journal.flow_backend(lead), log, stubborn)
    assert state == states.FAILURE
    assert log[-1] == ("undo", "place")
    again = world.led(world.stores.migrations.get(lead.migration_id))
    state, error = run(world.stores.journal.flow_backend(again), log, fail_transfer)
    assert state == states.REVERTED
    assert error.code == LOST.code
    assert log[-2:] == [("undo", "place"), ("undo", "describe")]


@pytest.mark.parametrize("when", ["do", "undo"])
def test_a_leader_replaced_in_the_middle_of_a_step_writes_nothing_more(
    world: World, when: str
) -> None:
    lead = world.led(world.queued())
    log: Log = []
    taken: list[Lead] = []

    def steps() -> list[Any]:
        with world.database.reader() as connection:
            return list(connection.execute(select(migration_steps)).all())

    def replaced(kind: str, name: str) -> None:
        if (kind, name) == (when, "prepare"):
            taken.append(world.led(world.stores.migrations.get(lead.migration_id)))
            before.extend(steps())
        fail_transfer(kind, name)

    before: list[Any] = []
    engine = engine_of(world.stores.journal.flow_backend(lead), log, replaced)
    with pytest.raises(Fenced):
        engine.run()
    assert log[-1] == (when, "prepare")
    assert steps() == before
    hook = succeed if when == "do" else fail_transfer
    state, _ = run(world.stores.journal.flow_backend(taken[0]), log, hook)
    assert state == (states.SUCCESS if when == "do" else states.REVERTED)


def test_a_leader_replaced_before_it_began_starts_nothing(world: World) -> None:
    lead = world.led(world.queued())
    world.led(world.stores.migrations.get(lead.migration_id))
    log: Log = []
    with pytest.raises(Fenced):
        engine_of(world.stores.journal.flow_backend(lead), log, succeed).run()
    assert log == []


def test_a_write_that_waits_while_another_takes_over_is_refused(world: World) -> None:
    lead = world.led(world.queued())
    world.advance(lead, S.RUNNING)
    backend = world.stores.journal.flow_backend(lead)
    run(backend, [], succeed)
    step = next(iter(backend.flow_detail()))
    step.state = states.REVERTING
    writes: list[Callable[[], object]] = [
        partial(backend.get_connection().update_atom_details, step),
        partial(backend.get_connection().clear_all),
        partial(world.stores.journal.update, lead, attention="late"),
        partial(world.stores.journal.move, lead, S.RUNNING, S.POSTCOPY, "late"),
    ]
    take = update(migrations).where(migrations.c.id == lead.migration_id)
    with ThreadPoolExecutor(len(writes)) as pool:
        with world.database.writer() as connection:
            connection.execute(take.values(epoch=migrations.c.epoch + 1))
            before = connection.execute(select(migration_steps)).all()
            late = [pool.submit(write) for write in writes]
            # On PostgreSQL they have begun by now and stand at the row's lock.
            assert not wait(late, timeout=0.3).done
        for answer in late:
            assert isinstance(answer.exception(), Fenced)
    with world.database.reader() as connection:
        assert connection.execute(select(migration_steps)).all() == before
    assert world.stores.migrations.get(lead.migration_id).state is S.RUNNING


def test_a_successful_step_costs_one_statement(world: World) -> None:
    lead = world.led(world.queued())
    before = world.database.statements
    run(world.stores.journal.flow_backend(lead), [], succeed)
    spent = world.database.statements - before
    # One to load, one to begin, and per step its result.
    assert spent == 2 + len(STEPS)


def test_a_flow_begins_anew_once_its_steps_are_forgotten(world: World) -> None:
    lead = world.led(world.queued())
    log: Log = []
    run(world.stores.journal.flow_backend(lead), log, fail_transfer)
    backend = world.stores.journal.flow_backend(lead)
    backend.get_connection().clear_all()
    assert len(backend.flow_detail()) == 0
    log.clear()
    assert run(backend, log, succeed)[0] == states.SUCCESS
    assert log == [("do", name) for name in STEPS]


def test_a_failure_that_is_no_error_of_ours_is_kept_as_text(world: World) -> None:
    lead = world.led(world.queued())

    def buggy(kind: str, name: str) -> None:
        if (kind, name) == ("do", "prepare"):
            raise KeyError(object())

    for _ in range(2):
        state, error = run(world.stores.journal.flow_backend(lead), [], buggy)
        assert state == states.REVERTED
        assert isinstance(error, Broken)
        assert (error.code, error.message.startswith("KeyError: <object")) == ("internal", True)


def test_values_given_to_a_flow_are_kept_with_it(world: World) -> None:
    lead = world.led(world.queued())
    for given in ({"host": "h2"}, {"host": "h3"}):
        backend = world.stores.journal.flow_backend(lead)
        flow = linear_flow.Flow("whatever").add(Step("only", [], succeed))
        detail = backend.flow_detail()
        engine = engines.load(
            flow, flow_detail=detail, backend=backend, engine="serial", store=given
        )
        engine.run()
        again = world.stores.journal.flow_backend(lead).flow_detail()
        assert [atom.results for atom in again if atom.name.startswith("_TaskFlow")] == [given]


def test_the_logbook_of_a_flow_is_the_migrations_own(world: World) -> None:
    lead = world.led(world.queued())
    run(world.stores.journal.flow_backend(lead), [], succeed)
    connection = world.stores.journal.flow_backend(lead).get_connection()
    (book,) = connection.get_logbooks()
    (flow,) = book
    assert book.uuid == flow.uuid == lead.migration_id
    assert [atom.name for atom in connection.get_atoms_for_flow(flow.uuid)] == list(STEPS)
    atom = next(iter(flow))
    found = connection.get_atom_details(atom.uuid)
    assert found is not None
    assert found.name == atom.name


def _victim(url: str, lead: Lead, log_file: str, kill: tuple[str, str], fails: bool) -> None:
    """A conductor's process that is killed in the middle of one step."""

    def now() -> datetime:
        return datetime.now(UTC)

    def die(kind: str, name: str) -> None:
        if (kind, name) == kill:
            Path(log_file).write_text(json.dumps(log))
            os.kill(os.getpid(), signal.SIGKILL)
        if fails:
            fail_transfer(kind, name)

    log: Log = []
    run(open_stores(Database(url), now).journal.flow_backend(lead), log, die)


@pytest.mark.parametrize(("kill", "fails"), [(("do", "prepare"), False), (("undo", "place"), True)])
def test_a_flow_goes_on_after_its_process_was_killed(
    world: World, tmp_path: Path, kill: tuple[str, str], fails: bool
) -> None:
    lead = world.led(world.queued())
    url = world.database.url.render_as_string(hide_password=False)
    log_file = str(tmp_path / "log")
    spawn = multiprocessing.get_context("spawn")
    victim = spawn.Process(target=_victim, args=(url, lead, log_file, kill, fails))
    victim.start()
    victim.join()
    assert victim.exitcode == -signal.SIGKILL
    log: Log = [(kind, name) for kind, name in json.loads(Path(log_file).read_text())]
    again = world.led(world.stores.migrations.get(lead.migration_id))
    hook = fail_transfer if fails else succeed
    state, _ = run(world.stores.journal.flow_backend(again), log, hook)
    assert state == (states.REVERTED if fails else states.SUCCESS)
    expected = [("do", name) for name in STEPS]
    if fails:
        expected += [("undo", name) for name in reversed(STEPS)]
    # Exactly the step that was cut off has run twice.
    expected.insert(expected.index(kill), kill)
    assert log == expected
