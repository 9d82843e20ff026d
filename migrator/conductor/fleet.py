"""What agents say of their hosts: heartbeats, inventories, events; and what follows for instances."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from migrator.conductor import claim_keeping
from migrator.conductor.adoption import Settled, settle, strangers
from migrator.conductor.context import Context
from migrator.conductor.disk_records import DiskRecords
from migrator.conductor.host_parts import losses
from migrator.conductor.mailroom import Wake
from migrator.conductor.ports import Heard
from migrator.conductor.rivals import of_another_libvirt, two_agents
from migrator.errors import MigratorError, Refused
from migrator.messages import (
    DomainEvent,
    Empty,
    HostReport,
    HostReported,
    Relay,
    TransferAction,
    TransferEnded,
    TransferProgress,
    TransferReading,
)
from migrator.model import (
    ActionRecord,
    DomainSummary,
    HostFacts,
    Instance,
    InstanceStatus,
    JobSample,
    LastReport,
    Phase,
    Placement,
    Progress,
)

LOG = logging.getLogger(__name__)

USES_RESOURCES = frozenset(
    {InstanceStatus.RUNNING, InstanceStatus.PAUSED, InstanceStatus.SPLIT_BRAIN}
)
"""An instance in these holds a claim on its owner."""
SWEEP_S = 60.0
"""Between two looks for instances that were not settled: what they repair is rare."""
AGAIN_S = 1.0
"""After one that failed."""

WORTH_A_LOOK = frozenset({"abort", "restart", "start_postcopy", "user_pause"})
"""Actions of a monitor after which both hosts may show something else."""

ONLY_LIMITS = frozenset({"set_downtime", "set_speed"})
"""Actions that are of no concern to whoever leads the migration."""

ASK_AGAIN = frozenset({str(InstanceStatus.SPLIT_BRAIN), str(InstanceStatus.GONE)})
"""What is not believed at first hearing."""


class Fleet:
    """The receiving end of :class:`migrator.conductor.rpcapi.ReportsApi`."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lock = context.concurrency.lock()
        self._sweep = context.concurrency.inbox()
        self._records = DiskRecords(context)
        self._stopped = False

    def register_configured(self) -> None:
        """Make the hosts of our own configuration known."""
        for name, addresses in self._context.settings.hosts.items():
            self._context.stores.hosts.register(name, addresses)

    def report_host(self, request: HostReport) -> HostReported:
        """Take a heartbeat; ask for the whole inventory when ours is behind."""
        hosts = self._context.stores.hosts
        rivals = self._context.incarnations.heard(request.host, request.incarnation)
        if request.facts is not None:
            known_as = next(iter(hosts.list([request.host])), None)
            stray = of_another_libvirt(known_as, request)
            if stray:
                LOG.error("%s", stray)
                return HostReported(resend=True)
        trouble = two_agents(request.host) if rivals else request.libvirt_error or ""
        before = hosts.heartbeat(request.host, request.incarnation, request.agent_version, trouble)
        if before is None:
            hosts.register(request.host, request.addresses)
            LOG.info("host %s introduced itself", request.host)
            return HostReported(resend=True)
        if rivals:
            if before.why_down != trouble:
                LOG.error("%s", trouble)
            return HostReported(resend=True)
        if _is_back(before, request, trouble):
            self._hasten(request.host)
        if before.addresses != request.addresses:
            hosts.register(request.host, request.addresses)
        if request.facts is not None:
            hosts.set_facts(request.host, request.facts)
            self._compare_parts(request.host, request.facts)
        if request.domains is not None:
            return self._take_inventory(request, request.domains)
        behind = (
            before.incarnation != request.incarnation
            or before.inventory_generation < request.generation
            or not before.described
        )
        return HostReported(resend=behind, generation=before.inventory_generation)

    def _hasten(self, host: str) -> None:
        """What waited for the host has waited long enough, whoever leads it."""
        if self._context.stores.migrations.hasten_todos(host):
            LOG.info("%s is back; what is to be done there is tried now", host)
            self._context.todo.put(host)

    def _take_inventory(
        self, request: HostReport, domains: Sequence[DomainSummary]
    ) -> HostReported:
        heard = Heard(request.incarnation, request.generation)
        try:
            with self._lock:
                changed = self._context.stores.instances.record_sightings(
                    request.host, domains, heard
                )
        except Refused as stale:
            if stale.code != "report.stale":
                raise
            return HostReported(resend=True, generation=stale.facts["generation"])
        for instance_id in changed:
            # One that cannot be settled now must not keep the others from it.
            self.settle_quietly(instance_id)
        return HostReported(generation=request.generation)

    def _compare_parts(self, host: str, facts: HostFacts) -> None:
        """Facts come when they have changed; what guests lost by it is said as often."""
        if facts.topology is not None:
            _, claims = self._context.stores.claims.on_host(host)
            for instance_id, sentence in losses(facts.topology, claims):
                LOG.error("%s: %s; see `migrator host show %s`", host, sentence, host)
                self._note_alarm(instance_id, f"{host}: {sentence}")

    def _note_alarm(self, instance_id: str, sentence: str) -> None:
        """In the history of the migration that moves it, if one does."""
        known = self._context.stores.instances.get(instance_id)
        if known is not None and known.migration_id is not None:
            self._context.stores.journal.note(known.migration_id, "alarm", sentence)

    def domain_event(self, request: DomainEvent) -> Empty:
        """The flow that waits for it first, wherever it is led, then our own records.

        :raises Refused: ``report.stale``: something newer has been heard; the agent sends all anew.
        """
        self._context.blackouts.hear(request)
        led_here = self._context.mail.deliver_by_instance(request.instance_id, request)
        instances = self._context.stores.instances
        known = None if led_here else instances.get(request.instance_id)
        moves = led_here or (known is not None and known.migration_id is not None)
        if known is not None and known.migration_id is not None:
            self._context.peers.relay(Relay(migration_id=known.migration_id, event=request))
        heard = Heard(request.incarnation, request.generation)
        changed = instances.record_sighting(
            request.host, request.instance_id, request.summary, heard
        )
        if changed and not moves:
            # Not a failure of the event's: told again, it would bring no change any more.
            self.settle_quietly(request.instance_id)
        return Empty()

    def transfer_progress(self, request: TransferProgress) -> Empty:
        """Kept in memory; never touches the database, so that it can never fail a transfer."""
        readings: list[TransferProgress | TransferReading] = [request, *request.others]
        for each in readings:
            self._context.mail.report_progress(
                each.migration_id, progress_of(each.sample), request.every_s
            )
        return Empty()

    def transfer_ended(self, request: TransferEnded) -> Empty:
        """Wake whoever waits, here or in another conductor."""
        if not self._context.mail.deliver(request.migration_id, request):
            self._context.peers.relay(Relay(migration_id=request.migration_id, ended=request))
        return Empty()

    def transfer_action(self, request: TransferAction) -> Empty:
        """Into the record, whoever leads it: nothing is decided here."""
        record = ActionRecord(
            at=self._context.clock.now(),
            action=request.action,
            rule=request.rule,
            by=request.by,
            result=request.result,
            facts=request.facts,
            attempt=request.attempt,
            sequence=request.sequence,
        )
        self._context.stores.journal.record_action(request.migration_id, record)
        if request.action not in ONLY_LIMITS:
            done = Wake(f"{request.action} was done", request.action in WORTH_A_LOOK)
            self._context.mail.deliver(request.migration_id, done)
        return Empty()

    def relay(self, request: Relay) -> Empty:
        """What another conductor was told about a migration that may be led here; goes no further.

        An event that came this way may be old, the conductor that got it having stood still: it is a
        reason to look and proves nothing.
        """
        if request.event is not None:
            self._context.blackouts.hear(request.event)
        item: object = request.ended or Wake(
            "another conductor was asked", request.event is not None, request.rescue
        )
        self._context.mail.deliver(request.migration_id, item)
        return Empty()

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
            sightings = instances.sightings(instance_id)
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


def _is_back(before: LastReport, report: HostReport, trouble: str) -> bool:
    """Its agent or its libvirt was away, and is not any more."""
    return not trouble and not (before.alive and before.incarnation == report.incarnation)


def progress_of(sample: JobSample) -> Progress:
    """libvirt's counters as an operator reads them: disks first, then memory."""
    if sample.memory_total == 0:
        volumes_only = sample.operation.startswith("volume_")
        return Progress(
            phase=Phase.DISK if sample.disk_remaining or volumes_only else Phase.MEMORY,
            disk_total=sample.disk_total,
            disk_remaining=sample.disk_remaining,
            disks=sample.disks,
        )
    return Progress(
        phase=Phase.MEMORY,
        memory_total=sample.memory_total,
        memory_remaining=sample.memory_remaining,
        disk_total=sample.disk_total,
        disk_remaining=sample.disk_remaining,
        iteration=sample.memory_iteration,
        # Measured when a pass over the memory ends: before the second there is no such figure.
        dirty_rate=sample.memory_dirty_pages_per_s * sample.memory_page_size
        if sample.memory_iteration > 1
        else None,
        bandwidth=sample.memory_bandwidth,
    )
