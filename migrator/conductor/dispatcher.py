"""Starts queued migrations when their limits allow, and takes up those whose leader is gone."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from migrator.conductor.context import Context
from migrator.conductor.lead import lead
from migrator.conductor.ports import Lead
from migrator.conductor.queue import Limits, Place, in_turn, line_up
from migrator.conductor.recovery import Resume, resume
from migrator.errors import MigratorError
from migrator.model import Migration
from migrator.states import FLOW_STATES, MigrationState

LOG = logging.getLogger(__name__)

RENEWALS_PER_LEASE = 3
"""So that two renewals may be lost before the lease is. Each also finds what was asked of a migration
through another conductor whose word to this one was lost."""
AGAIN_S = 1.0
"""After a look that failed."""


class Dispatcher:
    """The loop behind the queue, the leases and the takeovers."""

    def __init__(self, context: Context, settled: Callable[[str], None]) -> None:
        """:param settled: see :func:`migrator.conductor.lead.lead`."""
        self._context = context
        self._settled = settled
        self._stopped = False
        self._leader = context.settings.name
        self._period = context.settings.lease_s / RENEWALS_PER_LEASE

    def run(self) -> None:
        """Look when woken, and once a period: renew, take over, dispatch."""
        renewed = -self._period
        while not self._stopped:
            try:
                if self._context.clock.monotonic() - renewed >= self._period:
                    self._renew()
                    renewed = self._context.clock.monotonic()
                    self._take_up()
                self._dispatch()
            except MigratorError as error:
                LOG.warning("the queue waits for the database: %s", error)
                self._context.clock.sleep(AGAIN_S)
            except Exception:
                # Without this loop nothing starts and every lease runs out.
                LOG.exception("the queue met something unforeseen and goes on")
                self._context.clock.sleep(AGAIN_S)
            woken = self._context.dispatch.get(self._period)
            while woken is not None:
                # One look is enough for everything that has happened by then.
                woken = self._context.dispatch.get(0.0)

    def stop(self) -> None:
        self._stopped = True
        self._context.dispatch.put("stop")

    def _renew(self) -> None:
        """All leases at once; whoever leads a migration need not read its record to see whether it has
        changed."""
        renew = self._context.stores.journal.renew
        self._context.mail.compare(renew(self._leader, self._context.settings.lease_s))

    def _dispatch(self) -> None:
        for place in the_line(self._context):
            # One whose worker has begun and not yet said so still stands in the line.
            if place.limit is None and not self._context.mail.is_open(place.migration.id):
                self._lead(place.migration.id)

    def _take_up(self) -> None:
        """Flows whose lease has run out, and our own from before a restart."""
        for migration in self._context.stores.migrations.resumable(self._leader):
            if self._context.mail.is_open(migration.id):
                continue
            if resume(migration.state) in {Resume.CONTINUE, Resume.UNDO}:
                LOG.warning("taking up migration %s in state %s", migration.id, migration.state)
                self._lead(migration.id)

    def _lead(self, migration_id: str) -> None:
        taken = self._context.stores.journal.lead(
            migration_id, self._leader, self._context.settings.lease_s
        )
        if taken is None:
            return
        held, current = taken
        inbox = self._context.mail.open(current.id, current.instance_id)
        try:
            self._context.concurrency.spawn(
                f"lead-{current.id[:8]}", lambda: self._work(held, current)
            )
        except Exception:
            # Nobody leads it then; left open, its lease would be renewed for nobody.
            self._context.mail.close(current.id, inbox)
            raise

    def _work(self, held: Lead, migration: Migration) -> None:
        lead(self._context, held, migration, self._settled)


def the_line(context: Context) -> Sequence[Place]:
    """Everything that waits, in its order, each with the limit that holds it."""
    settings = context.settings
    limits = Limits(
        fleet=settings.max_migrations,
        outgoing=settings.max_outgoing,
        incoming=settings.max_incoming,
        link_mib_s=settings.link_mib_s,
        links_mib_s=settings.links_mib_s,
    )
    unfinished = context.stores.migrations.line()
    queued = [migration for migration in unfinished if migration.state is MigrationState.QUEUED]
    busy = [migration for migration in unfinished if migration.state in FLOW_STATES]
    return line_up(in_turn(queued, busy), busy, limits)
