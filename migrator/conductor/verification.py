"""`migrator-manage verify`: ask the hosts about everything, judge it by the rules, mend what may be."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from migrator.conductor.claim_keeping import audit_claims
from migrator.conductor.context import Context
from migrator.conductor.invariants import Breach, Look, Mend, breaches
from migrator.conductor.run import head_of, send
from migrator.errors import MigratorError, Refused
from migrator.messages import (
    Abort,
    BreachView,
    FinishDestination,
    InstanceRef,
    ListMigrations,
    UndoDestination,
    Verified,
    Verify,
)
from migrator.model import DomainView, Instance, Migration
from migrator.states import MigrationState

LOG = logging.getLogger(__name__)

DEADLINE_S = 20.0
"""Of one repair on a host."""
MOST_LISTED = 1000


@dataclass(frozen=True)
class _Found:
    """A breach with all that was read for it."""

    look: Look
    breach: Breach


class Verification:
    """One look at everything, and its repairs."""

    def __init__(self, context: Context, settle: Callable[[str], None]) -> None:
        """:param settle: asks the hosts about an instance again and brings its record in line."""
        self._context = context
        self._settle = settle
        self._unseen: dict[str, str] = {}

    def verify(self, request: Verify) -> Verified:
        """What is wrong, after the repairs where they were asked for."""
        found = [*self._look_at_all()]
        repaired = [*self._repair(found)] if request.repair else []
        if repaired:
            self._unseen.clear()
            found = [*self._look_at_all()]
        instances = self._context.stores.instances.list()
        return Verified(
            instances=len(instances),
            moving=sum(each.migration_id is not None for each in instances),
            breaches=[*map(_view, found), *self._others()],
            repaired=repaired,
        )

    # -- looking

    def _look_at_all(self) -> Iterator[_Found]:
        stores = self._context.stores
        seen = stores.instances.all_sightings()
        for instance in stores.instances.list():
            hosts = set(seen.get(instance.id, {})) | ({instance.host} if instance.host else set())
            look = self._look(instance, sorted(hosts))
            for breach in breaches(look):
                yield _Found(look, breach)

    def _look(self, instance: Instance, hosts: Sequence[str]) -> Look:
        views = {host: self._ask(host, instance.id) for host in hosts}
        marks = {view.mark.migration_id for view in views.values() if view and view.mark}
        marked = {each: migration for each in marks if (migration := self._migration(each))}
        return Look(instance, views, marked)

    def _ask(self, host: str, instance_id: str) -> DomainView | None:
        if host in self._unseen:
            return None
        try:
            answer = self._context.agents.inspect(host, InstanceRef(instance_id=instance_id))
        except MigratorError as error:
            self._unseen[host] = error.message
            return None
        return answer.view

    def _migration(self, migration_id: str) -> Migration | None:
        try:
            return self._context.stores.migrations.get(migration_id)
        except Refused:
            return None

    def _others(self) -> Iterator[BreachView]:
        """Beside the instances: claims, migrations that wait for a person, hosts that do not answer."""
        for claim in audit_claims(self._context):
            if claim.host in self._unseen:
                continue
            yield BreachView(
                rule=f"claim_{claim.fault}",
                message=claim.message,
                instance=claim.instance,
                host=claim.host,
            )
        waiting = ListMigrations(needs_attention=True, active=True, limit=MOST_LISTED)
        for migration in self._context.stores.migrations.find(waiting):
            yield BreachView(
                rule="needs_attention",
                message=f"migration {migration.id} is {migration.state}: {migration.attention}",
                instance=migration.instance_name,
                migration=migration.id,
            )
        for host, why in sorted(self._unseen.items()):
            yield BreachView(
                rule="unseen",
                message=f"{host} does not answer, so nothing there was looked at: {why}",
                host=host,
            )

    # -- mending

    def _repair(self, found: Sequence[_Found]) -> Iterator[str]:
        for each in found:
            if each.breach.mend is None:
                continue
            try:
                yield _MENDS[each.breach.mend](self, each)
            except MigratorError as error:
                LOG.warning("not mended: %s: %s", each.breach.message, error)
                yield f"not mended: {each.breach.message}: {error}"

    def _mend_record(self, found: _Found) -> str:
        instance = found.look.instance
        self._settle(instance.id)
        now = self._context.stores.instances.get(instance.id)
        where = f"{now.status} on {now.host}" if now is not None and now.host else "gone"
        return f"{instance.name} is recorded {where}, as its hosts say"

    def _undo(self, found: _Found) -> str:
        migration, host, view = _marked(found)
        assert view.mark is not None
        request = UndoDestination(**self._head(migration, host, view.mark.attempt))
        undone = send(host, self._context.agents.undo_destination, request)
        return f"{host}: removed {', '.join(undone.removed) or 'nothing; it was gone'}"

    def _unmark(self, found: _Found) -> str:
        """By the op that should have done it: it leaves alone what another attempt has marked since."""
        migration, host, view = _marked(found)
        assert view.mark is not None
        head = self._head(migration, host, view.mark.attempt)
        if migration.state is MigrationState.COMPLETED:
            finish = FinishDestination(
                **head,
                persistent=view.persistent,
                autostart=view.mark.autostart,
                expect_paused=True,
            )
            send(host, self._context.agents.finish_destination, finish)
        else:
            abort = Abort(**head, autostart=view.mark.autostart)
            send(host, self._context.agents.abort, abort)
        return f"{host}: {migration.instance_name} no longer carries the mark of {migration.id}"

    def _head(self, migration: Migration, host: str, attempt: int) -> dict[str, Any]:
        step = f"verify-{self._context.concurrency.fresh_id()}"
        head = head_of(self._context, migration, host, step, DEADLINE_S)
        return {**head, "attempt": attempt}


_MENDS: Mapping[Mend, Callable[[Verification, _Found], str]] = {
    Mend.SETTLE: Verification._mend_record,
    Mend.UNDO: Verification._undo,
    Mend.UNMARK: Verification._unmark,
}


def _marked(found: _Found) -> tuple[Migration, str, DomainView]:
    host = found.breach.host
    assert host is not None
    view = found.look.views[host]
    assert view is not None
    assert view.mark is not None
    return found.look.marked[view.mark.migration_id], host, view


def _view(found: _Found) -> BreachView:
    breach = found.breach
    view = found.look.views.get(breach.host) if breach.host is not None else None
    return BreachView(
        rule=breach.rule,
        message=breach.message,
        instance=found.look.instance.name,
        host=breach.host,
        migration=view.mark.migration_id if view is not None and view.mark is not None else None,
        repair=breach.mend,
    )
