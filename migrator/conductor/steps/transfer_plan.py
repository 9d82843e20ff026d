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
    POSTCOPY_FLAG,
    THROTTLE_FLAG,
    DiskCopy,
    flags_of_another_attempt,
    helping_flags,
    needs_synchronous_writes,
    start_flags,
)
from migrator.messages import DestinationPrepared, SourceFacts, TransferPlan
from migrator.model import MEASURED_S, DirtyRate, Forecast, Means, TransferPolicy, Tuning


def plan_of(run: Run, results: Results, over_control: bool = False) -> TransferPlan:
    """The same at every call, but for the restart's flags.

    :param over_control: memory goes over the control addresses: the others do not reach each other.
    """
    facts = msgspec.convert(results["describe_source"], SourceFacts)
    prepared = msgspec.convert(results["prepare_destination"], DestinationPrepared)
    placed = msgspec.convert(results["place"], Placed)
    rendered = results["render"]
    encryption = run.context.settings.encryption
    disks = _disks(run, placed)
    flags = set(start_flags(facts.view.persistent, encryption, disks))
    control = placed.destination.control_address
    return TransferPlan(
        peer_uri=placed.destination.peer_uri,
        migrate_uri=stream_uri(control) if over_control else prepared.migrate_uri,
        listen_address=control if over_control else prepared.listen_address,
        destination_xml=rendered["destination_xml"],
        persistent_xml=rendered["persistent_xml"],
        flags=sorted(flags | _helping(run)),
        bandwidth_mib_s=bandwidth_of(run),
        disks_uri=prepared.disks_uri,
        migrate_disks=disks.targets,
        tls_destination=run.destination if encryption == "required" else None,
    )


def policy_of(run: Run) -> TransferPolicy | None:
    """What the source's monitor decides by."""
    migration = run.migration
    if migration.profile is None:
        return None
    given = _helping(run)
    restarted = migration.start_flags is not None
    more = flags_of_another_attempt(migration.profile, migration.means, given)
    spent = run.context.clock.now() - (migration.started_at or migration.created_at)
    return TransferPolicy(
        migration.profile,
        postcopy=POSTCOPY_FLAG in given,
        throttle=THROTTLE_FLAG in given,
        restart_with=() if restarted else more,
        spent_s=spent.total_seconds() if restarted else 0.0,
        dirty=_measured(migration.forecast),
    )


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


def _helping(run: Run) -> frozenset[str]:
    """Those of this attempt."""
    migration = run.migration
    first = (
        frozenset[str]()
        if migration.profile is None
        else helping_flags(migration.profile, migration.means, migration.forecast)
    )
    return first | frozenset(migration.start_flags or ())


def bandwidth_of(run: Run) -> int | None:
    """MiB/s it may use now, None for no limit: the operator's latest word, else the profile's."""
    migration = run.migration
    tuned = (migration.tuning or Tuning()).bandwidth_mib_s
    if tuned is not None or migration.profile is None:
        return (migration.bandwidth_mib_s if tuned is None else tuned) or None
    return migration.profile.bandwidth_mib_s
