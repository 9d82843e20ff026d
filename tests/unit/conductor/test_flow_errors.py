"""A step's failure is written down before anything of it is undone, whatever the database does."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from migrator.conductor.flow import _StepTask
from migrator.conductor.ports import Lead
from migrator.conductor.run import Run, send
from migrator.conductor.steps.base import Result, Results, Step, pack
from migrator.conductor.steps.place import Placed
from migrator.conductor.steps.start_transfer import StartTransfer
from migrator.conductor.todos import LONGEST_HERE_S, LONGEST_PAUSE_S, pause_before
from migrator.errors import Fenced, Transient
from migrator.messages import Abort, Aborted, FenceSource, Inspected, SourceFacts, SourceFenced
from migrator.model import DomainState, DomainView, Reason
from migrator.states import MigrationState
from tests.unit.examples import addresses

SOURCE = SourceFacts(
    instance_id="g1",
    name="web1",
    view=DomainView(DomainState.RUNNING, persistent=True),
    live_xml="<domain/>",
    inactive_xml="<domain/>",
    vcpus=1,
    memory_mib=256,
    arch="x86_64",
    machine="q35",
    virt_type="kvm",
    emulator="/usr/bin/qemu-system-x86_64",
    cpu_xml=None,
    disks=[],
    networks=[],
    host_devices=[],
    libvirt_version=9_000_000,
    hypervisor_version=7_002_022,
)
PLACED = Placed(addresses("h1"), addresses("h2"), needs_unsafe=False, pools=[], volumes=[])
DESCRIBED: Results = {"describe_source": pack(SOURCE), "place": pack(PLACED)}
AWAY = Transient("rpc.timeout", "h1 did not answer")
BUSY = Transient("database.busy", "the database is busy")


class Unanswered(Step):
    """Asks a host that is away."""

    name = "unanswered"

    def execute(self, run: Run, results: Results) -> Result:
        raise AWAY


class BusyRun:
    """A led migration whose database is busy for a while."""

    def __init__(self, busy: int) -> None:
        self.migration = SimpleNamespace(id="m1", state=MigrationState.RUNNING, abort_by=None)
        self.context = SimpleNamespace(clock=SimpleNamespace(sleep=lambda seconds: None))
        self.error: Exception | None = None
        self._busy = busy

    def refuse_if_aborted(self) -> None:
        return

    def reread(self) -> None:
        if self._busy > 0:
            self._busy -= 1
            raise BUSY

    def move(self, new: MigrationState, why: str, **changes: Any) -> None:
        self.migration.state = new


@pytest.mark.parametrize("busy", [0, 1, 3])
def test_a_failed_step_rolls_back_once_the_database_is_there(busy: int) -> None:
    run: Any = BusyRun(busy)
    with pytest.raises(Transient) as caught:
        _StepTask(Unanswered(), run, SimpleNamespace(write_now=lambda: None)).execute()
    assert caught.value is AWAY
    assert run.migration.state is MigrationState.ROLLING_BACK


def test_an_agent_that_keeps_restarting_is_away_and_fences_nobody() -> None:
    incarnations = iter(range(100))

    def ask(host: str, request: FenceSource) -> SourceFenced:
        raise Fenced("command.stale", "of another process", incarnation=f"i{next(incarnations)}")

    with pytest.raises(Transient) as caught:
        send("h1", ask, command("of long ago"))
    assert caught.value.code == "host.agent_down"


def test_an_agent_that_restarted_is_asked_again_by_its_new_name() -> None:
    def ask(host: str, request: FenceSource) -> SourceFenced:
        if request.incarnation != "new":
            raise Fenced("command.stale", "of another process", incarnation="new")
        return SourceFenced(result="gone")

    assert send("h1", ask, command("old")).result == "gone"


@pytest.mark.parametrize(("attempts", "seconds"), [(1, 1.0), (2, 2.0), (5000, LONGEST_PAUSE_S)])
def test_a_host_that_is_away_for_days_is_still_asked_once_a_minute(
    attempts: int, seconds: float
) -> None:
    assert pause_before(attempts, heard=False) == seconds


@pytest.mark.parametrize(("attempts", "seconds"), [(1, 1.0), (3, 4.0), (5000, LONGEST_HERE_S)])
def test_a_host_that_is_heard_of_is_asked_again_soon(attempts: int, seconds: float) -> None:
    assert pause_before(attempts, heard=True) == seconds


def test_a_leader_that_was_replaced_finds_out_when_it_reads() -> None:
    now = SimpleNamespace(id="m1", epoch=2, leader="c2", instance_id="g1")
    stores = SimpleNamespace(migrations=SimpleNamespace(get=lambda migration_id: now))
    context: Any = SimpleNamespace(stores=stores, mail=SimpleNamespace(open=lambda *ids: None))
    led: Any = SimpleNamespace(id="m1", epoch=1, instance_id="g1")
    run = Run(context, Lead("m1", 1, "c1"), led)
    with pytest.raises(Fenced):
        run.reread()
    assert run.migration is led


GONE = DomainView(DomainState.ABSENT)
FILLED = DomainView(DomainState.PAUSED, Reason.MIGRATION)
ARRIVED = DomainView(DomainState.RUNNING, Reason.MIGRATED)


class Undoing:
    """A led migration: its source answers the abort with ``here``, its destination has ``there``."""

    source, destination = "h1", "h2"

    def __init__(self, here: DomainView, there: DomainView) -> None:
        self.migration = SimpleNamespace(
            attempt=1,
            actions=(),
            disks=(),
            method=None,
            instance_id="g1",
            state=MigrationState.ROLLING_BACK,
        )
        self.asked: list[str] = []
        """The step of each abort."""

        def abort(host: str, request: Abort) -> Aborted:
            self.asked.append(request.step)
            return Aborted(result="aborted", view=here)

        agents = SimpleNamespace(abort=abort, inspect=lambda host, request: Inspected(view=there))
        clock = SimpleNamespace(monotonic=itertools.count().__next__)
        self.context = SimpleNamespace(agents=agents, clock=clock)

    def reread(self) -> None:
        """Nobody else writes."""

    def head(self, host: str, step: str, deadline_s: float) -> dict[str, Any]:
        return {
            "incarnation": "i1",
            "migration_id": "m1",
            "attempt": 1,
            "epoch": 1,
            "step": step,
            "deadline_s": deadline_s,
            "instance_id": "g1",
        }

    def until_answered(self, who: str, work: Any) -> Any:
        return work()

    def note(self, kind: str, text: str, **facts: Any) -> None:
        return

    def move(self, new: MigrationState, why: str, *args: Any, **changes: Any) -> None:
        self.migration.state = new


def test_a_copy_that_may_be_all_there_is_of_the_guest_holds_the_undoing_up() -> None:
    run: Any = Undoing(GONE, FILLED)
    with pytest.raises(Transient) as caught:
        StartTransfer().revert(run, DESCRIBED)
    assert caught.value.code == "guest.state_unknown"


def test_each_try_of_an_undoing_is_a_command_of_its_own() -> None:
    run: Any = Undoing(GONE, FILLED)
    for _ in range(2):
        with pytest.raises(Transient):
            StartTransfer().revert(run, DESCRIBED)
    first, second = run.asked
    assert first != second


@pytest.mark.parametrize(
    ("here", "there", "state"),
    [
        (GONE, ARRIVED, MigrationState.SWITCHED),
        (GONE, GONE, MigrationState.ROLLING_BACK),
        (DomainView(DomainState.RUNNING), FILLED, MigrationState.ROLLING_BACK),
    ],
)
def test_undoing_a_transfer_ends_where_the_guest_is(
    here: DomainView, there: DomainView, state: MigrationState
) -> None:
    run: Any = Undoing(here, there)
    StartTransfer().revert(run, DESCRIBED)
    assert run.migration.state is state


def command(incarnation: str) -> FenceSource:
    fields: Mapping[str, Any] = {
        "migration_id": "m1",
        "attempt": 1,
        "epoch": 1,
        "step": "s",
        "deadline_s": 1.0,
        "instance_id": "g1",
    }
    return FenceSource(incarnation=incarnation, **fields)
