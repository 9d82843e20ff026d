"""Lead one migration from where it stands to the end of its flow."""

from __future__ import annotations

import logging
from collections.abc import Callable

from migrator.about import about
from migrator.conductor.context import Context
from migrator.conductor.flow import ROLLS_BACK, flag, remembered_error, run_flow
from migrator.conductor.ports import Lead
from migrator.conductor.run import Run
from migrator.errors import Fenced, MigratorError, Refused, Transient
from migrator.model import DropClaim, Migration, Mode
from migrator.states import MigrationState

LOG = logging.getLogger(__name__)

STALE = "claim.stale"
MOST_STALE = 4
"""Hosts given up because others were faster by hand; a fleet that is driven that hard is not ours."""


def lead(
    context: Context, held: Lead, migration: Migration, settled: Callable[[str], None]
) -> None:
    """Run the flow and write down how it ended; every end frees the dispatcher's slot.

    :param settled: called with the instance's id when nobody here leads its migration any more.
    """
    with about(migration.id):
        _lead(Run(context, held, migration), settled)


def _lead(run: Run, settled: Callable[[str], None]) -> None:
    context, migration = run.context, run.migration
    try:
        _drive(run)
    except Fenced as fenced:
        LOG.warning("migration %s is led elsewhere now: %s", migration.id, fenced)
    except Transient as error:
        # The journal itself could not be written: the dispatcher takes the flow up again.
        LOG.error("migration %s is taken up again later: %s", migration.id, error)
    except Exception as bug:
        LOG.exception("migration %s is taken up again later", migration.id)
        flag(run, f"the conductor cannot go on, and tries again: {bug}; its log says more")
    finally:
        context.mail.close(migration.id, run.inbox)
        context.dispatch.put(migration.id)
    # Only now: an event that still found the mailbox open has settled nothing. What has switched is
    # settled when its to-dos are done.
    if run.migration.state is not MigrationState.SWITCHED:
        settled(migration.instance_id)


def _drive(run: Run) -> None:
    if run.migration.state is MigrationState.QUEUED:
        run.move(MigrationState.SCHEDULING, f"led by {run.lead.leader}")
    else:
        run.resumed = True
    while not run_flow(run):
        if not _place_again(run):
            finish_undone(run)
            return


def _place_again(run: Run) -> bool:
    """What was claimed was somebody else's by the time it was to be used, and nothing had moved: look
    for another host, a few times. The flow begins anew; the host is remembered with the migration."""
    run.reread()
    migration = run.migration
    error = run.error or remembered_error(migration)
    host = migration.destination
    if (
        error.code != STALE
        or migration.state is not MigrationState.ROLLING_BACK
        or migration.mode is not Mode.AUTO
        or host is None
        or len(migration.avoided) >= MOST_STALE
    ):
        return False
    run.context.stores.journal.flow_backend(run.lead).get_connection().clear_all()
    run.move(
        MigrationState.SCHEDULING,
        f"{error.message}; looking for another host",
        [DropClaim(host)],
        destination=None,
        disks=(),
        avoided=(*migration.avoided, host),
        error_code=None,
        error=None,
    )
    run.error = None
    run.resumed = False
    return True


def finish_undone(run: Run) -> None:
    """Everything is undone: the terminal state says why."""
    run.reread()
    migration = run.migration
    if migration.state is MigrationState.SWITCHED:
        return
    error = run.error or remembered_error(migration)
    if migration.state in ROLLS_BACK:
        run.move(MigrationState.ROLLING_BACK, f"{error}", error_code=error.code)
        migration = run.migration
    cancelled = error.code == "migration.aborted"
    drop = [DropClaim(migration.destination)] if migration.destination else []
    run.move(
        _ending(migration.state, error, cancelled),
        f"undone: {error.message}",
        drop,
        error_code=error.code,
        error=error.message,
        attention=None,
    )


def _ending(state: MigrationState, error: MigratorError, cancelled: bool) -> MigrationState:
    if cancelled:
        return MigrationState.CANCELLED
    if state is MigrationState.SCHEDULING and isinstance(error, Refused):
        return MigrationState.REJECTED
    return MigrationState.FAILED
