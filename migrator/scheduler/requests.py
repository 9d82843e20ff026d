"""What is looked for, put together from what a domain needs, what its operator wishes, and what the
source knows of the devices it has there."""

from __future__ import annotations

from dataclasses import replace

from migrator.model import (
    DeviceKind,
    HostTopology,
    PciDevice,
    PciMatch,
    PciRequest,
    ResourceRequest,
    Wishes,
)


def wished(
    request: ResourceRequest, wishes: Wishes, source: HostTopology | None
) -> ResourceRequest:
    """``request`` with its wishes, and each device asked for by its make instead of its address.

    :param source: where the guest is; a device it does not tell of cannot be asked for elsewhere.
    """
    there = {} if source is None else {device.address: device for device in source.devices}
    return replace(
        request,
        threads=wishes.threads or request.threads,
        pci=tuple(_asked(one, there.get(one.id), wishes) for one in request.pci),
    )


def _asked(request: PciRequest, device: PciDevice | None, wishes: Wishes) -> PciRequest:
    return replace(
        request,
        match=request.match if device is None else (_make(device),),
        numa=wishes.pci_numa or request.numa,
        live=wishes.pci_live or request.live,
    )


def _make(device: PciDevice) -> PciMatch:
    """A part stays one of its kind; a whole device is never replaced by a part."""
    whole = device.kind is not DeviceKind.VF
    return PciMatch(
        vendor=device.vendor,
        product=device.product,
        kind=None if device.kind is DeviceKind.PCI else device.kind,
        network=None if whole and device.network is None else device.network,
    )
