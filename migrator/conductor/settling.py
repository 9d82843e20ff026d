"""What follows from what hosts are said to have: each instance's row is brought in line with it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from migrator.conductor import claim_keeping
from migrator.conductor.adoption import Settled, settle, strangers
from migrator.conductor.context import Context
from migrator.conductor.disk_records import DiskRecords
from migrator.conductor.ports import Heard
from migrator.errors import MigratorError, Refused
from migrator.messages import Empty, ListMigrations
from migrator.model import DomainSummary, Instance, InstanceStatus, Placement, TodoKind
from migrator.states import MigrationState

LOG = logging.getLogger(__name__)

USES_RESOURCES = frozenset(
    {InstanceStatus.RUNNING, InstanceStatus.PAUSED, InstanceStatus.SPLIT_BRAIN}
)
"""An instance in these holds a claim on its owner."""
SWEEP_S = 60.0
"""Between two looks for instances that were not settled: what they repair is rare."""
AGAIN_S = 1.0
"""After one that failed."""
IDLE_S = 3600.0
"""Until the next inventory that changes something; any long wait would do."""

MOVED = "moved_externally"
ASK_AGAIN = frozenset({str(InstanceStatus.SPLIT_BRAIN), str(InstanceStatus.GONE)})
"""What is not believed at first hearing."""


class Settling:
    """Settles one instance when it is asked to, and all of them once in a while."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lock = context.concurrency.lock()
        self._sweep = context.concurrency.inbox()
        self._changed = context.concurrency.inbox()
        self._records = DiskRecords(context)
        self._stopped = False

    def take_inventory(self, host: str, domains: Sequence[DomainSummary], heard: Heard) -> None:
        """All that ``host`` has; what follows from it is left to :meth:`follow`.

        :raises Refused: ``report.stale``."""
        with self._lock:
            changed = self._context.stores.instances.record_sightings(host, domains, heard)
        self._changed.put(frozenset(changed))

    def follow(self) -> None:
        """Settle what inventories have changed, beside those who report them: an agent that had to wait
        for fifty guests would have given up by then, and sent them all again."""
        while not self._stopped:
            changed: set[str] = set()
            item = self._changed.get(IDLE_S)
            while isinstance(item, frozenset):
                changed |= item
                item = self._changed.get(0.0)
            for instance_id in sorted(changed):
                # One that cannot be settled now must not keep the others from it.
                self.settle_quietly(instance_id)

    def settle(self, instance_id: str) -> None:
        """Bring an instance's row in line with what its hosts say, unless a migration moves it.

        A whole inventory and single events are not of the same moment, nor are two hosts' words:
        before an alarm, and before a guest counts as gone, the hosts are asked again.
        """
        if not self._settle(instance_id, alarm=False):
            self._look_again(instance_id)
            self._settle(instance_id, alarm=True)

    def ask_and_settle(self, instance_id: str) -> None:
        """The same, whatever its hosts said before: for who has seen that the record is wrong."""
        self._look_again(instance_id)
        self._settle(instance_id, alarm=True)

    def _settle(self, instance_id: str, alarm: bool) -> bool:
        """False when it would raise an alarm that it may not raise."""
        with self._lock:
            instances = self._context.stores.instances
            known = instances.get(instance_id)
            if known is not None and known.migration_id is not None:
                return True
            sightings = dict(instances.sightings(instance_id))
            settled = settle(known, instance_id, sightings)
            if settled is not None and settled.happened == MOVED:
                pending = self._pending_after_loss(settled.instance)
                if TodoKind.FINISH_DESTINATION in pending:
                    return True
                if pending:
                    del sightings[settled.instance.host or ""]
                    settled = settle(known, instance_id, sightings)
            now = known if settled is None else settled.instance
            held = None if now is None else _held(now, sightings)
            foreign = strangers(now, sightings)
            if settled is None:
                if now is not None and held is not None:
                    instances.keep_use_claim(now, held)
                if foreign:
                    self._context.stores.claims.keep_foreign(instance_id, foreign)
                return True
            if settled.happened in ASK_AGAIN and not alarm:
                return False
            uses = settled.instance.status in USES_RESOURCES
            instances.save(settled.instance, uses, held)
            if foreign or (known is not None and known.status is InstanceStatus.SPLIT_BRAIN):
                self._context.stores.claims.keep_foreign(instance_id, foreign)
        self._say(settled)
        return True

    def _pending_after_loss(self, instance: Instance) -> frozenset[TodoKind]:
        """What is still to be done about its lost migration, whose source has what is left of it and is
        to release that: nobody has moved it there. Settled again when that is done."""
        migrations = self._context.stores.migrations
        for last in migrations.find(ListMigrations(instance=instance.id, limit=1)):
            if last.state is MigrationState.LOST and last.source == instance.host:
                return frozenset(todo.kind for todo in migrations.open_todos(last.id))
        return frozenset()

    def _look_again(self, instance_id: str) -> None:
        """Ask every host that is said to have it; one that does not answer keeps its last word."""
        instances = self._context.stores.instances
        known, hosts = instances.get(instance_id), set(instances.sightings(instance_id))
        if known is not None and known.host is not None:
            hosts.add(known.host)
        for host in sorted(hosts):
            try:
                there = self._context.agents.list_domains(host, Empty())
            except MigratorError as error:
                LOG.info("%s cannot be asked about %s again: %s", host, instance_id, error)
                continue
            now = next((each for each in there.domains if each.id == instance_id), None)
            instances.record_look(host, instance_id, now, there.word)

    def settle_quietly(self, instance_id: str) -> None:
        """The same, from a worker that has more to do than to fail on it."""
        try:
            self.settle(instance_id)
        except Exception as error:
            bug = not isinstance(error, MigratorError)
            LOG.warning("instance %s is settled later: %s", instance_id, error, exc_info=bug)
            self._sweep.put(instance_id)

    # -- what was missed

    def run(self) -> None:
        """Settle everything once in a while.

        A settling is lost when this process dies between what was seen and what follows from it, and
        undone when another conductor wrote what it had read before: nothing would repeat it.
        """
        while not self._stopped:
            try:
                self._settle_all()
                self._records.read_missing()
            except Exception as error:
                bug = not isinstance(error, MigratorError)
                LOG.warning("instances are settled later: %s", error, exc_info=bug)
                self._context.clock.sleep(AGAIN_S)
                continue
            woken = self._sweep.get(SWEEP_S)
            if woken is not None:
                self._context.clock.sleep(AGAIN_S)
            while woken is not None:
                # One look is enough for all that was asked for by then.
                woken = self._sweep.get(0.0)

    def stop(self) -> None:
        self._stopped = True
        self._sweep.put("stop")
        self._changed.put("stop")

    def _settle_all(self) -> None:
        claim_keeping.sweep(self._context)
        instances = self._context.stores.instances
        known = {instance.id: instance for instance in instances.list()}
        claimed = self._context.stores.claims.list()
        claims = claim_keeping.use_claims(claimed)
        seen = instances.all_sightings()
        for instance_id in sorted(known.keys() | seen.keys()):
            instance, sightings = known.get(instance_id), seen.get(instance_id, {})
            held = None if instance is None else _held(instance, sightings)
            unclaimed = (
                instance is not None
                and held is not None
                and claim_keeping.differs(instance, claims, held)
            )
            if unclaimed or settle(instance, instance_id, sightings) is not None:
                self.settle(instance_id)
            foreign = strangers(instance, sightings)
            if instance is not None and claim_keeping.strays(instance_id, claimed, foreign):
                self._context.stores.claims.keep_foreign(instance_id, foreign)

    def choose_owner(self, instance_id: str, host: str) -> None:
        """An operator says where an ambiguous instance lives.

        :raises Refused: ``state.illegal`` when there is nothing to choose, ``host.unknown`` when the
            host does not define it.
        """
        with self._lock:
            instances = self._context.stores.instances
            known = instances.get(instance_id)
            if known is None or known.status is not InstanceStatus.AMBIGUOUS:
                raise Refused(
                    "state.illegal",
                    "only an ambiguous instance has its host set; this one is "
                    f"{known.status if known else 'unknown'} on {known.host if known else None}",
                )
            if host not in known.candidates:
                raise Refused(
                    "host.unknown",
                    f"{host} does not define {known.name}; these do: {', '.join(known.candidates)}",
                    known=list(known.candidates),
                )
            chosen = replace(known, host=host, status=InstanceStatus.SHUTOFF)
            instances.save(chosen, use_claim=False)

    def _say(self, settled: Settled) -> None:
        instance = settled.instance
        if settled.happened is None:
            return
        level = logging.INFO if settled.happened in {"adopted", "returned"} else logging.WARNING
        where = instance.host or ", ".join(instance.candidates) or "nowhere"
        LOG.log(level, "%s: %s (%s) on %s", settled.happened, instance.name, instance.id, where)
        if settled.happened == "adopted":
            # Its disks are still to be recorded.
            self._sweep.put(instance.id)


def _held(instance: Instance, sightings: Mapping[str, DomainSummary]) -> Placement | None:
    """Which parts of its host it was seen to have; None when nobody has said."""
    seen = sightings.get(instance.host or "")
    return None if seen is None or instance.status not in USES_RESOURCES else seen.held
