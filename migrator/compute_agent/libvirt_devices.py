"""Plugging devices into running domains and out of them, one connection at hand."""

from __future__ import annotations

import libvirt

from migrator.compute_agent.libvirt_domains import need
from migrator.compute_agent.libvirt_errors import has_code


def attach_device(conn: libvirt.virConnect, instance_id: str, device_xml: str) -> None:
    """Into the running guest only; its definition stays."""
    need(conn, instance_id).attachDeviceFlags(device_xml, libvirt.VIR_DOMAIN_AFFECT_LIVE)


def detach_device(conn: libvirt.virConnect, instance_id: str, device_xml: str) -> None:
    """Ask the running guest to let go of it; it is gone when the guest has. One it does not have, or
    that it has been asked for already, is success."""
    try:
        need(conn, instance_id).detachDeviceFlags(device_xml, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    except libvirt.libvirtError as error:
        if not has_code(error, "DEVICE_MISSING"):
            raise
