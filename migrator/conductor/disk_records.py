"""The recorded disks of instances: read once when an instance is adopted, checked before each move."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from migrator.conductor.context import Context
from migrator.errors import MigratorError, Refused
from migrator.messages import InstanceRef, RecordedChain, SourceFacts
from migrator.model import DiskRecord, Instance, InstanceStatus, Kind
from migrator.storage.records import Reconciled, reconcile

LOG = logging.getLogger(__name__)

KINDS: Mapping[InstanceStatus, Kind] = {
    InstanceStatus.RUNNING: Kind.LIVE,
    InstanceStatus.PAUSED: Kind.LIVE,
    InstanceStatus.SHUTOFF: Kind.COLD,
}
"""How its host is asked: for what its QEMU has open, or for what it is defined with."""


def describe(
    context: Context, host: str, instance_id: str, kind: Kind, known: Sequence[DiskRecord]
) -> SourceFacts:
    """Have the host's agent read the guest.

    :param known: what is recorded of its disks.
    """
    recorded = [
        RecordedChain(pool=each.pool, volume=each.volume, chain=list(each.chain))
        for each in known
        if each.chain and each.pool is not None and each.volume is not None
    ]
    request = InstanceRef(instance_id=instance_id, kind=kind, recorded=recorded)
    return context.agents.describe_source(host, request)


def check_records(facts: SourceFacts, known: Sequence[DiskRecord]) -> Reconciled:
    """What the records are to be now.

    :raises Refused: ``disk.record_mismatch`` when a disk would be read in another format than its own.
    """
    now = reconcile(facts.instance_id, known, facts.disks)
    if now.refusals:
        first = now.refusals[0]
        raise Refused(
            first.code, "; ".join(each.message for each in now.refusals), **dict(first.facts)
        )
    return now


def keep_records(context: Context, facts: SourceFacts, known: Sequence[DiskRecord]) -> None:
    """Write what has changed. :raises Refused: as :func:`check_records`."""
    now = check_records(facts, known)
    if now.differs(known):
        context.stores.disks.record(facts.instance_id, now.records)


class DiskRecords:
    """Reads the disks of instances that have no records yet."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._without_disks: set[str] = set()
        """Looked at by this process, and nothing to record."""

    def read_missing(self) -> None:
        """One that cannot be read now is read at the next look."""
        stores = self._context.stores
        missing = [
            instance
            for instance in stores.instances.idle_without_records()
            if instance.id not in self._without_disks and instance.status in KINDS
        ]
        alive = {host.name for host in stores.hosts.list() if host.alive} if missing else set()
        for instance in missing:
            if instance.host in alive:
                self._read(instance, instance.host or "")

    def _read(self, instance: Instance, host: str) -> None:
        try:
            facts = describe(self._context, host, instance.id, KINDS[instance.status], ())
            keep_records(self._context, facts, ())
        except MigratorError as error:
            LOG.info("the disks of %s are recorded later: %s", instance.name, error)
            return
        if not facts.disks:
            self._without_disks.add(instance.id)
