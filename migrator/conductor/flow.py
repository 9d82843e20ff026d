"""The order of a migration, whole and in one place: one list for each kind.

taskflow runs it: a linear flow on a serial engine in the leader's own thread, undo beside do, every
step's state and result written through the journal. What follows the commit are to-dos.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, NoReturn

from taskflow import engines, states, task
from taskflow import exceptions as taskflow_errors
from taskflow.patterns import linear_flow

from migrator.conductor.run import Run
from migrator.conductor.steps.await_transfer import AwaitTransfer
from migrator.conductor.steps.base import Result, Step
from migrator.conductor.steps.bring_bases import BringBases
from migrator.conductor.steps.bring_state import BringState
from migrator.conductor.steps.commit import Commit
from migrator.conductor.steps.commit_cold import CommitCold
from migrator.conductor.steps.copy_volumes import CopyVolumes
from migrator.conductor.steps.define_guest import DefineGuest
from migrator.conductor.steps.describe_source import DescribeSource
from migrator.conductor.steps.detach_devices import DetachDevices
from migrator.conductor.steps.place import Place
from migrator.conductor.steps.prepare_destination import PrepareDestination
from migrator.conductor.steps.render import Render, RenderOffline
from migrator.conductor.steps.start_guest import StartGuest
from migrator.conductor.steps.start_transfer import StartTransfer
from migrator.conductor.steps.stop_guest import StopGuest
from migrator.errors import Broken, Fenced, MigratorError, Refused, Transient
from migrator.model import Kind, Migration
from migrator.states import PAST_NO_RETURN, MigrationState

LOG = logging.getLogger(__name__)

LIVE_STEPS: tuple[type[Step], ...] = (
    DescribeSource,
    Place,
    BringBases,
    PrepareDestination,
    DetachDevices,
    Render,
    StartTransfer,
    AwaitTransfer,
    Commit,
)

COLD_STEPS: tuple[type[Step], ...] = (
    DescribeSource,
    Place,
    BringBases,
    PrepareDestination,
    RenderOffline,
    BringState,
    StopGuest,
    CopyVolumes,
    DefineGuest,
    StartGuest,
    CommitCold,
)

STEPS: Mapping[Kind, tuple[type[Step], ...]] = {Kind.LIVE: LIVE_STEPS, Kind.COLD: COLD_STEPS}

ROLLS_BACK = frozenset(
    {
        MigrationState.CLAIMED,
        MigrationState.PREPARING,
        MigrationState.RUNNING,
        MigrationState.STOPPING,
        MigrationState.COPYING,
    }
)
"""Where a failed step has something to undo."""
CARRIED_OUT = frozenset({MigrationState.SWITCHED, MigrationState.LOST})
"""Where the flow's last step leaves a migration."""
ABORTED = "migration.aborted"
DATABASE_PAUSE_S = 1.0
UNDO_PAUSE_S = 10.0


def run_flow(run: Run) -> bool:
    """Run or resume the flow; True when it was carried out, False when it was undone.

    :raises Fenced: another leader took over; nothing more may be done here.
    """
    backend = run.context.stores.journal.flow_backend(run.lead)
    flow = linear_flow.Flow(run.migration.id)
    flow.add(*(_StepTask(step(), run, backend) for step in STEPS[run.migration.kind]))
    detail = backend.flow_detail() if run.resumed else backend.new_flow()
    engine = engines.load(flow, flow_detail=detail, backend=backend, engine="serial")
    try:
        engine.run()
    except MigratorError as error:
        _raise_if_not_a_steps(error)
    except taskflow_errors.WrappedFailure as wrapped:
        for failure in wrapped:
            _raise_if_not_a_steps(failure.exception)
    reverted: bool = engine.storage.get_flow_state() == states.REVERTED
    if not reverted and run.migration.state not in CARRIED_OUT:
        raise Broken("internal", f"migration {run.migration.id} stopped half-way")
    return not reverted


def _raise_if_not_a_steps(error: BaseException | None) -> None:
    """A step's failure has been undone; the journal's own is for whoever leads next."""
    if isinstance(error, Fenced):
        raise error
    if isinstance(error, Transient) and error.code.startswith("database."):
        raise error


class _DoAgain(Exception):
    """The step is not done, and may not be undone either."""


class _StepTask(task.Task):  # type: ignore[misc]
    """A step as taskflow's atom: results by the steps' names, errors as ours."""

    def __init__(self, step: Step, run: Run, backend: Any) -> None:
        super().__init__(
            name=step.name,
            provides=step.name,
            requires=step.needs,
            revert_requires=step.needs,
            auto_extract=False,
        )
        self._step = step
        self._run = run
        self._backend = backend

    def execute(self, **results: Result) -> Result:
        again = False
        while True:
            try:
                if again:
                    # What it wrote last may stand, though the database's answer was lost.
                    self._run.reread()
                return self._attempt(results)
            except Transient as error:
                if not error.code.startswith("database."):
                    raise
                # A database that is away must never abort a transfer, nor undo half a flow before
                # the record says so: the step looks and goes on.
                LOG.warning("step %s of %s: %s", self._step.name, self._run.migration.id, error)
                self._run.context.clock.sleep(DATABASE_PAUSE_S)
                again = True
            except _DoAgain:
                self._run.context.clock.sleep(UNDO_PAUSE_S)

    def revert(self, result: Any, flow_failures: Any, **results: Result) -> None:
        """Undo until it is undone: what an undo is for cannot be given up half-way."""
        run = self._run
        while True:
            try:
                return self._step.revert(run, results)
            except Fenced:
                raise
            except Exception as error:
                LOG.exception("undoing %s of %s", self._step.name, run.migration.id)
                flag(run, f"undoing {self._step.name} failed and is tried again: {error}")
                run.context.clock.sleep(UNDO_PAUSE_S)

    def _attempt(self, results: dict[str, Result]) -> Result:
        run, step = self._run, self._step
        try:
            harmless = step.harmless(results)
            if harmless or step.telling:
                self._backend.write_later(step.name)
            if run.migration.state is MigrationState.ROLLING_BACK:
                raise remembered_error(run.migration)
            # A harmless one may only be missing from the journal, with a later one under way: whose undo
            # an abort needs.
            if step.abortable and not harmless:
                run.refuse_if_aborted()
            return step.execute(run, results)
        except Fenced:
            raise
        except MigratorError as error:
            if isinstance(error, Transient) and error.code.startswith("database."):
                raise
            self._go_on_if_past_no_return(error)
            self._roll_back(error)
        except Exception as bug:
            LOG.exception("step %s of %s", self._step.name, run.migration.id)
            self._go_on_if_past_no_return(bug)
            self._roll_back(Broken("internal", f"step {self._step.name} has a bug: {bug!r}"))
        raise AssertionError("unreachable")

    def _go_on_if_past_no_return(self, error: Exception) -> None:
        """The destination owns the guest: nothing may be undone, so the step is done again."""
        run = self._run
        if run.migration.state in PAST_NO_RETURN:
            flag(run, f"{self._step.name} failed and is tried again: {error}")
            raise _DoAgain from error

    def _roll_back(self, error: MigratorError) -> NoReturn:
        """Remember why, move to where undoing is legal, and let taskflow undo."""
        run = self._run
        run.error = error
        # Whoever takes over must find this step to be the next: its own undo comes first.
        self._backend.write_now()
        run.reread()
        if run.migration.state in ROLLS_BACK:
            run.move(
                MigrationState.ROLLING_BACK,
                error.message if error.code == ABORTED else f"{self._step.name}: {error}",
                error_code=error.code,
                error=error.message,
            )
        raise error


def flag(run: Run, attention: str) -> None:
    """Say that a person should look; a database that is away as well is only logged."""
    try:
        run.update(attention=attention)
    except MigratorError as error:
        if isinstance(error, Fenced):
            raise
        LOG.error("migration %s: %s (%s)", run.migration.id, attention, error)


def remembered_error(migration: Migration) -> MigratorError:
    """The error as an earlier leader wrote it down."""
    if migration.abort_by is not None:
        return Refused("migration.aborted", f"aborted by {migration.abort_by}")
    return Broken(migration.error_code or "internal", migration.error or "no reason was recorded")
