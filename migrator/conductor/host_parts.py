"""What one host is made of, as `host show` tells it: what is left of it, and who has the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from migrator.conductor.claim_audit import in_words
from migrator.cpu_lists import listed
from migrator.messages import HostView
from migrator.model import Claim, ClaimPurpose, Host, HostTopology
from migrator.scheduler.fit import Room, room
from migrator.scheduler.fit.bits import numbers
from migrator.scheduler.snapshot import use_of


def with_parts(view: HostView, host: Host, claims: Sequence[Claim]) -> HostView:
    """``view`` with cells and devices, where the host has described them."""
    topology = None if host.facts is None else host.facts.topology
    if topology is None:
        return view
    left = room(topology, use_of(claims))
    return msgspec.structs.replace(
        view,
        cells=_cells(topology, left),
        devices=_devices(topology, _owners(claims)),
        foreign=foreign(claims),
    )


def foreign(claims: Sequence[Claim]) -> list[str]:
    """Sentences about domains that are not where their instance lives, and what they have."""
    return [
        f"a domain of {claim.instance_name}, which does not live here, has {in_words(claim.placement)}"
        for claim in claims
        if claim.purpose is ClaimPurpose.FOREIGN
    ]


def alarms(host: Host, claims: Sequence[Claim]) -> list[str]:
    """What somebody has to look into."""
    topology = None if host.facts is None else host.facts.topology
    return [] if topology is None else vanished(topology, claims)


def vanished(topology: HostTopology, claims: Sequence[Claim]) -> list[str]:
    """Sentences about what guests were given and the host does not have any more. Nothing is taken from
    them: a device may come back, and what its guest does without it only a person can say."""
    return [sentence for _, sentence in losses(topology, claims)]


def losses(topology: HostTopology, claims: Sequence[Claim]) -> list[tuple[str, str]]:
    """The same, each with the instance's id."""
    owned = [
        (claim, claim.placement)
        for claim in claims
        if claim.placement is not None and claim.placement.has_own_parts
    ]
    if not owned:
        return []
    devices = {device.address for device in topology.devices}
    cpus = {cpu for cell in topology.cells for core in cell.cores for cpu in core}
    said = []
    for claim, placement in owned:
        lost = [f"device {one.address}" for one in placement.devices]
        lost = [name for name in lost if name.removeprefix("device ") not in devices]
        lost += [f"CPU {cpu}" for cpu in placement.own_cpus if cpu not in cpus]
        if lost:
            sentence = f"{claim.instance_name} has {', '.join(lost)}, which the host lacks now"
            said.append((claim.instance_id, sentence))
    return said


def _cells(topology: HostTopology, left: Room) -> list[dict[str, Any]]:
    return [
        {
            "id": cell.id,
            "memory_mib": cell.memory_mib,
            "cpus": listed(cpu for core in cell.cores for cpu in core),
            "free_cpus": listed(numbers(there.free)),
            "pages": [
                {
                    "size_kib": pool.size_kib,
                    "total": pool.total,
                    "free": there.pages[pool.size_kib],
                }
                for pool in cell.pages
            ],
        }
        for cell, there in zip(topology.cells, left.cells, strict=True)
    ]


def _devices(topology: HostTopology, owners: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {
            "address": device.address,
            "vendor": device.vendor,
            "product": device.product,
            "kind": "mdev" if device.mediated else str(device.kind),
            "numa_node": device.numa_node,
            "network": device.network,
            "instance": owners.get(device.address),
        }
        for device in topology.devices
    ]


def _owners(claims: Sequence[Claim]) -> Mapping[str, str]:
    return {
        given.address: claim.instance_name
        for claim in claims
        if claim.placement is not None
        for given in claim.placement.devices
    }
