"""What is to be known of a guest that moves while it is off: what it will be, not what it is now.

It is defined at the destination from its definition, and starts from that. So everything is read from
the definition, also of a guest that still runs; where that shows other disks than the guest runs with,
somebody must settle first which it has.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.etree import ElementTree

import msgspec

from migrator.compute_agent.disk_xml import disk_facts
from migrator.compute_agent.ports import DomainDescription
from migrator.errors import Refused
from migrator.messages import DiskFacts, RecordedChain
from migrator.model import DiskLayer, DomainState, Reason, StateFile

MOVABLE = frozenset({DomainState.RUNNING, DomainState.BLOCKED, DomainState.SHUTOFF})

WHY_NOT: dict[DomainState, str] = {
    DomainState.PAUSED: (
        "is paused, and what it has in memory would be lost. Resume it or shut it down first, or move it"
        " live: it stays paused then"
    ),
    DomainState.CRASHED: "has crashed. Look into it and destroy what is left of it, then move it",
    DomainState.SHUTDOWN: "is shutting down. Move it once it is off",
    DomainState.PMSUSPENDED: (
        "sleeps (suspended to memory by its own system), and what it has in memory would be lost. Wake"
        " it with `virsh dompmwakeup` first"
    ),
}


def check_offline_move(described: DomainDescription) -> str:
    """The definition of a guest that can move cold.

    :raises Refused: ``guest.not_active`` (in a state it must not move from), ``guest.transient``,
        ``guest.busy``.
    """
    view = described.view
    if view.state not in MOVABLE:
        why = WHY_NOT.get(view.state, f"is in state {view.state}")
        raise Refused("guest.not_active", f"{described.name} {why}.", state=str(view.state))
    if described.inactive_xml is None:
        raise Refused(
            "guest.transient",
            f"{described.name} is transient: it would be gone once it is off. Define it first (`virsh"
            " dumpxml` into `virsh define`), or move it live",
        )
    if described.job_active or view.reason is Reason.MIGRATION:
        what = view.job.operation if view.job is not None else str(view.reason)
        raise Refused(
            "guest.busy",
            f"libvirt is working on {described.name} ({what.replace('_', ' ')}); wait until that has"
            " ended",
            job=what,
        )
    return described.inactive_xml


def offline_disks(
    described: DomainDescription, definition: str, recorded: Sequence[RecordedChain] = ()
) -> list[DiskFacts]:
    """The definition's disks; where it does not say what one stands on, as it was recorded.

    :raises Refused: ``disk.definition_differs`` when the guest runs with others.
    """
    found = described.disks
    if described.view.active:
        running = {disk.target: disk for disk in described.disks}
        found = tuple(_defined(described.name, disk, running) for disk in disk_facts(definition))
    chains = {(each.pool, each.volume): each.chain for each in recorded}
    return [_as_recorded(disk, chains.get((disk.pool or "", disk.volume or ""))) for disk in found]


def _as_recorded(disk: DiskFacts, chain: Sequence[DiskLayer] | None) -> DiskFacts:
    if disk.chain_stated or not chain:
        return disk
    return msgspec.structs.replace(disk, chain=list(chain))


SAVED_DIRECTORY = "/var/lib/libvirt/qemu/save"
"""Where the system's libvirt keeps memory images, by the guest's name; it has no word for it."""


def state_files(name: str, definition: str, saved: bool) -> list[StateFile]:
    """Where what belongs to the guest besides its disks is, if there is any."""
    files = []
    if saved:
        files.append(StateFile(SAVED_DIRECTORY, f"{name}.save"))
    nvram = ElementTree.fromstring(definition).findtext("os/nvram", "").strip()
    if nvram:
        directory, _, file = nvram.rpartition("/")
        files.append(StateFile(directory, file))
    return files


def custom_cpu(cpu_xml: str | None) -> str | None:
    """The CPU that must be had exactly; None for one that each host makes of its own at the start."""
    return cpu_xml if cpu_xml is not None and "mode='custom'" in _quoted(cpu_xml) else None


def _quoted(cpu_xml: str) -> str:
    return cpu_xml.partition(">")[0].replace('"', "'")


def _defined(name: str, disk: DiskFacts, running: dict[str, DiskFacts]) -> DiskFacts:
    now = running.get(disk.target)
    if now is None or not _same_source(now, disk):
        raise Refused(
            "disk.definition_differs",
            f"{name} runs with another disk {disk.target} than its definition has, and would come up"
            " with the latter; make them alike with `virsh edit`, or shut the guest down first",
            target=disk.target,
        )
    return msgspec.structs.replace(now, written=None)


def _same_source(now: DiskFacts, defined: DiskFacts) -> bool:
    """A guest that came here may run from the file of what its definition calls a volume."""
    if defined.source_type == "volume":
        return (now.pool, now.volume) == (defined.pool, defined.volume)
    return tuple(_source(now)) == tuple(_source(defined))


def _source(disk: DiskFacts) -> Iterator[str | None]:
    yield disk.source_type
    yield from (disk.pool, disk.volume) if disk.source_type == "volume" else (disk.path,)
