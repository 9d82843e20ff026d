"""What agents say of their hosts: heartbeats, inventories, events."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from migrator.conductor.context import Context
from migrator.conductor.host_parts import losses
from migrator.conductor.mailroom import Wake
from migrator.conductor.ports import Heard
from migrator.conductor.rivals import of_another_libvirt, two_agents
from migrator.conductor.settling import Settling
from migrator.errors import Refused
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
    JobSample,
    LastReport,
    Phase,
    Progress,
)

LOG = logging.getLogger(__name__)

WORTH_A_LOOK = frozenset({"abort", "restart", "start_postcopy", "user_pause"})
"""Actions of a monitor after which both hosts may show something else."""

ONLY_LIMITS = frozenset({"set_downtime", "set_speed"})
"""Actions that are of no concern to whoever leads the migration."""


class Fleet:
    """The receiving end of :class:`migrator.conductor.rpcapi.ReportsApi`."""

    def __init__(self, context: Context, settling: Settling) -> None:
        self._context = context
        self._settling = settling

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
            self._settling.take_inventory(request.host, domains, heard)
        except Refused as stale:
            if stale.code != "report.stale":
                raise
            return HostReported(resend=True, generation=stale.facts["generation"])
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
            self._settling.settle_quietly(request.instance_id)
        return Empty()

    def transfer_progress(self, request: TransferProgress) -> Empty:
        """Kept in memory; never touches the database, so that it can never fail a transfer."""
        readings: list[TransferProgress | TransferReading] = [request, *request.others]
        heard = {each.migration_id: progress_of(each.sample) for each in readings}
        self._context.mail.report_all(heard, request.every_s)
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
        reason to look. That the guest has arrived is believed of one that nobody finds any more.
        """
        event = request.event
        arrived_on = None
        if event is not None:
            self._context.blackouts.hear(event)
            arrived_on = (
                event.host if (event.event, event.detail) == ("resumed", "migrated") else None
            )
        item: object = request.ended or Wake(
            "another conductor was asked", event is not None, request.rescue, arrived_on
        )
        self._context.mail.deliver(request.migration_id, item)
        return Empty()


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
