"""How this migration's transfer is asked for, from what the steps before have found."""

from __future__ import annotations

import msgspec

from migrator.addresses import stream_uri
from migrator.conductor.eligibility import possible
from migrator.conductor.run import Run
from migrator.conductor.steps.base import Results
from migrator.conductor.steps.place import Placed
from migrator.conductor.transfer_plan import (
    MIB,
    PACKED_FLAG,
    POSTCOPY_FLAG,
    THROTTLE_FLAG,
    DiskCopy,
    bandwidth_of,
    flags_of_another_attempt,
    helping_flags,
    needs_synchronous_writes,
    start_flags,
)
from migrator.messages import DestinationPrepared, SourceFacts, TransferPlan
from migrator.model import (
    MEASURED_S,
    PLAIN,
    DirtyRate,
    Forecast,
    Means,
    Sending,
    TransferPolicy,
)


def plan_of(run: Run, results: Results, over_control: bool = False) -> TransferPlan:
    """The same at every call, but for the restart's flags.

    :param over_control: memory goes over the control addresses: the others do not reach each other.
    """
    facts = msgspec.convert(results["describe_source"], SourceFacts)
    prepared = msgspec.convert(results["prepare_destination"], DestinationPrepared)
    placed = msgspec.convert(results["place"], Placed)
    rendered = results["render"]
    encryption = run.context.settings.encryption
    control = placed.destination.control_address
    return TransferPlan(
        peer_uri=placed.destination.peer_uri,
        migrate_uri=stream_uri(control) if over_control else prepared.migrate_uri,
        listen_address=control if over_control else prepared.listen_address,
        destination_xml=rendered["destination_xml"],
        persistent_xml=rendered["persistent_xml"],
        flags=sorted(_flags(run, facts, placed)),
        bandwidth_mib_s=bandwidth_of(run.migration),
        disks_uri=prepared.disks_uri,
        migrate_disks=_disks(run, placed).targets,
        tls_destination=run.destination if encryption == "required" else None,
        sending=_sending(run, placed),
    )


def policy_of(run: Run, results: Results) -> TransferPolicy | None:
    """What the source's monitor decides by."""
    migration = run.migration
    if migration.profile is None:
        return None
    placed = msgspec.convert(results["place"], Placed)
    facts = msgspec.convert(results["describe_source"], SourceFacts)
    given = _flags(run, facts, placed)
    restarted = migration.start_flags is not None
    more = flags_of_another_attempt(migration.profile, migration.means, given)
    spent = run.context.clock.now() - (migration.started_at or migration.created_at)
    return TransferPolicy(
        migration.profile,
        postcopy=POSTCOPY_FLAG in given,
        throttle=THROTTLE_FLAG in given,
        restart_with=() if restarted else more,
        spent_s=spent.total_seconds() if restarted else 0.0,
        link_mib_s=placed.link_mib_s,
        dirty=_measured(migration.forecast),
    )


def _flags(run: Run, facts: SourceFacts, placed: Placed) -> frozenset[str]:
    """All that this attempt is started with."""
    encryption, disks = run.context.settings.encryption, _disks(run, placed)
    flags = start_flags(facts.view.persistent, encryption, disks)
    return frozenset(flags) | _sending(run, placed).flags | _helping(run, placed)


def _measured(expected: Forecast | None) -> DirtyRate | None:
    """What the forecast knew of the guest: with it one pass over the memory tells how it writes."""
    if expected is None or expected.dirty_mib_s is None:
        return None
    return DirtyRate(float(MEASURED_S), int(expected.dirty_mib_s * MEASURED_S * MIB))


def _disks(run: Run, placed: Placed) -> DiskCopy:
    limit = run.context.settings.synchronous_writes_mib_s
    needed = needs_synchronous_writes(
        placed.disks, placed.write_rates, limit, run.migration.bandwidth_mib_s
    )
    can = possible(run.migration.means, Means.SYNCHRONOUS_WRITES)
    return DiskCopy(placed.needs_unsafe, placed.disks, needed and can)


def _sending(run: Run, placed: Placed) -> Sending:
    """Of this attempt: one that was started again has to leave out what its flags exclude."""
    again = frozenset(run.migration.start_flags or ())
    if PACKED_FLAG in again:
        return placed.packed
    return PLAIN if POSTCOPY_FLAG in again and placed.excludes_postcopy else placed.sending


def _helping(run: Run, placed: Placed) -> frozenset[str]:
    """Those of this attempt."""
    migration = run.migration
    again = frozenset(migration.start_flags or ())
    if migration.profile is None:
        return again
    excluded = placed.excludes_postcopy and POSTCOPY_FLAG not in again
    first = helping_flags(migration.profile, migration.means, migration.forecast, excluded)
    return first | again
