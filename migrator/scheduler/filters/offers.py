"""The host offers what the guest is plugged into: its machine type, its networks."""

from __future__ import annotations

from migrator.model import Refusal
from migrator.scheduler.snapshot import Candidate, Wanted


def machine(candidate: Candidate, wanted: Wanted) -> Refusal | None:
    """Refuse a host whose QEMU has not the machine type; hosts tell it for guests of their own
    architecture, of others nothing is known."""
    name = candidate.host.name
    if candidate.host.facts is None or candidate.host.facts.arch != wanted.arch:
        return None
    if not candidate.machines or not wanted.machine:
        return None
    offered = candidate.machines.get((wanted.arch, wanted.virt_type))
    if offered is None:
        return Refusal(
            "machine",
            "machine.unsupported",
            f"{name} cannot run {wanted.virt_type} guests of architecture {wanted.arch}",
        )
    if wanted.machine in offered:
        return None
    return Refusal(
        "machine",
        "machine.unsupported",
        f"{name} does not have machine type {wanted.machine}; install the QEMU it came with there",
        {"machine": wanted.machine},
    )


def networks(candidate: Candidate, wanted: Wanted) -> Refusal | None:
    """Refuse a host that lacks a libvirt network; of an undescribed one nothing is known."""
    if candidate.host.facts is None:
        return None
    if candidate.networks.issuperset(wanted.networks):
        return None
    lacking = [one for one in wanted.networks if one not in candidate.networks]
    name = candidate.host.name
    return Refusal(
        "networks",
        "network.missing",
        f"{name} has no active network {', '.join(lacking)}; define and start it there",
        {"networks": lacking},
    )


def described(candidate: Candidate, wanted: Wanted) -> Refusal | None:
    """Refuse a host that does not tell its parts to a guest that needs some in particular; of an
    undescribed one nothing is known."""
    if candidate.room is not None or candidate.host.facts is None or not wanted.particular:
        return None
    name = candidate.host.name
    return Refusal(
        "described",
        "topology.unknown",
        f"{name} does not tell its CPUs, cells and devices; upgrade its agent",
    )
