"""Taking a guest off and bringing it up, one libvirt connection at hand."""

from __future__ import annotations

import libvirt

from migrator.compute_agent.libvirt_domains import find, need
from migrator.compute_agent.libvirt_errors import has_code, words
from migrator.errors import Broken, Refused


def shutdown(conn: libvirt.virConnect, instance_id: str) -> None:
    """By its agent or its power button; success when it is off."""
    domain = find(conn, instance_id)
    if domain is None or not domain.isActive():
        return
    try:
        domain.shutdown()
    except libvirt.libvirtError as error:
        if domain.isActive():
            raise
        if not has_code(error, "OPERATION_INVALID", "NO_DOMAIN"):
            raise


def start(conn: libvirt.virConnect, instance_id: str) -> None:
    """Success when it runs already. :raises Broken: ``guest.start_failed``"""
    domain = need(conn, instance_id)
    if domain.isActive():
        return
    try:
        domain.create()
    except libvirt.libvirtError as error:
        if domain.isActive():
            return
        if not conn.isAlive():
            raise
        raise Broken(
            "guest.start_failed", f"{domain.name()} could not be started: {words(error)}"
        ) from error


def define(conn: libvirt.virConnect, xml: str) -> None:
    """:raises Refused: ``domain.xml_invalid``"""
    try:
        conn.defineXML(xml)
    except libvirt.libvirtError as error:
        if not conn.isAlive():
            raise
        raise Refused(
            "domain.xml_invalid", f"libvirt does not take the guest's definition: {words(error)}"
        ) from error
