"""How this migration's transfer is asked for, from what the steps before have found."""

from __future__ import annotations

import msgspec

from migrator.addresses import stream_uri
from migrator.conductor.run import Run
from migrator.conductor.steps.base import Results
from migrator.conductor.steps.place import Placed
from migrator.conductor.transfer_plan import DiskCopy, needs_synchronous_writes, start_flags
from migrator.messages import DestinationPrepared, SourceFacts, TransferPlan
from migrator.model import TransferPolicy, Tuning


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
    if _may_split(run):
        flags.add("postcopy")
    control = placed.destination.control_address
    return TransferPlan(
        peer_uri=placed.destination.peer_uri,
        migrate_uri=stream_uri(control) if over_control else prepared.migrate_uri,
        listen_address=control if over_control else prepared.listen_address,
        destination_xml=rendered["destination_xml"],
        persistent_xml=rendered["persistent_xml"],
        flags=sorted(flags | set(run.migration.start_flags or ())),
        bandwidth_mib_s=_bandwidth(run),
        disks_uri=prepared.disks_uri,
        migrate_disks=disks.targets,
        tls_destination=run.destination if encryption == "required" else None,
    )


def policy_of(run: Run) -> TransferPolicy | None:
    """What the source's monitor decides by."""
    profile = run.migration.profile
    return None if profile is None else TransferPolicy(profile, postcopy=_may_split(run))


def _disks(run: Run, placed: Placed) -> DiskCopy:
    limit = run.context.settings.synchronous_writes_mib_s
    synchronous = needs_synchronous_writes(
        placed.disks, placed.write_rates, limit, run.migration.bandwidth_mib_s
    )
    return DiskCopy(placed.needs_unsafe, placed.disks, synchronous)


def _may_split(run: Run) -> bool:
    profile = run.migration.profile
    return profile is not None and profile.allow_postcopy


def _bandwidth(run: Run) -> int | None:
    """The operator's latest word; 0 is no limit."""
    tuned = (run.migration.tuning or Tuning()).bandwidth_mib_s
    return (run.migration.bandwidth_mib_s if tuned is None else tuned) or None
