"""Plugging devices into running domains and out of them, one connection at hand."""

from __future__ import annotations

import libvirt

from migrator.compute_agent.libvirt_domains import need
from migrator.compute_agent.libvirt_errors import has_code
from migrator.errors import Refused


def attach_device(conn: libvirt.virConnect, instance_id: str, device_xml: str) -> None:
    """Into the running guest only; its definition stays."""
    domain = _running(conn, instance_id)
    domain.attachDeviceFlags(device_xml, libvirt.VIR_DOMAIN_AFFECT_LIVE)


def _running(conn: libvirt.virConnect, instance_id: str) -> libvirt.virDomain:
    domain = need(conn, instance_id)
    if not domain.isActive():
        raise Refused("guest.not_active", f"{domain.name()} does not run on this host")
    return domain


def detach_device(conn: libvirt.virConnect, instance_id: str, device_xml: str) -> None:
    """Ask the running guest to let go of it; it is gone when the guest has. One it does not have, or
    that it has been asked for already, is success."""
    domain = _running(conn, instance_id)
    try:
        domain.detachDeviceFlags(device_xml, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    except libvirt.libvirtError as error:
        if not has_code(error, "DEVICE_MISSING"):
            raise
