"""A placement in the words of the guest's XML. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from migrator.conductor.domain_xml import Landing
from migrator.errors import Broken
from migrator.model import Placement, ResourceRequest


def landing_of(placement: Placement, request: ResourceRequest) -> Landing:
    """Where each vCPU, cell and device of the guest comes to lie.

    :raises Broken: ``placement.incomplete`` when a device got none, or more than one, for it.
    """
    own = {vcpu: frozenset({cpu}) for vcpu, cpu in placement.pins}
    return Landing(
        pins={**_sharing(placement, request), **own},
        emulator=frozenset(placement.emulator_cpus),
        floating=frozenset(placement.shared_cpus),
        cells={cell.guest: cell.host for cell in placement.cells},
        devices=_devices(placement, request),
    )


def _sharing(placement: Placement, request: ResourceRequest) -> Mapping[int, frozenset[int]]:
    """vCPUs that share CPUs, of a guest that is bound to cells: each on those of its cell."""
    shared = {cell.guest: frozenset(cell.shared_cpus) for cell in placement.cells}
    return {
        vcpu: shared[cell.id]
        for cell in request.cells
        for vcpu in cell.vcpus
        if shared.get(cell.id) and vcpu not in request.dedicated
    }


def _devices(placement: Placement, request: ResourceRequest) -> Mapping[str, str]:
    """By request, which is named after the device at the source: one for one, or it is refused."""
    given: dict[str, list[str]] = {}
    for each in placement.devices:
        given.setdefault(each.request_id, []).append(each.address)
    wanted = {each.id: each.count for each in request.pci if each.count}
    if {name: len(addresses) for name, addresses in given.items()} != wanted:
        raise Broken(
            "placement.incomplete",
            f"the guest's devices {sorted(wanted)} were given {given}; nothing was moved, please report "
            "this with the guest's XML",
        )
    return {name: address for name, (address,) in given.items()}
