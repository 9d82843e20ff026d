"""Taking a guest off and bringing it up, one libvirt connection at hand."""

from __future__ import annotations

import libvirt

from migrator.compute_agent.libvirt_domains import find, need
from migrator.compute_agent.libvirt_errors import has_code, is_no_domain, words
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


def saved_xml(conn: libvirt.virConnect, instance_id: str) -> str | None:
    """None when it has no saved memory image. Asked of the image itself: libvirt's own flag is only set
    by saving the guest and by a restart of the daemon, not for an image that has come by other ways."""
    domain = find(conn, instance_id)
    if domain is None or domain.isActive():
        return None
    try:
        return str(domain.managedSaveGetXMLDesc(libvirt.VIR_DOMAIN_SAVE_IMAGE_XML_SECURE))
    except libvirt.libvirtError as error:
        # libvirt looks for the file, and says so of one that is not there.
        if has_code(error, "NO_DOMAIN", "OPERATION_INVALID"):
            return None
        raise


def define_saved(conn: libvirt.virConnect, instance_id: str, xml: str) -> None:
    """:raises Refused: ``domain.xml_invalid``"""
    domain = need(conn, instance_id)
    try:
        domain.managedSaveDefineXML(xml, 0)
    except libvirt.libvirtError as error:
        if not conn.isAlive():
            raise
        raise Refused(
            "domain.xml_invalid", f"libvirt does not take the saved guest's XML: {words(error)}"
        ) from error


def undefine_whole(conn: libvirt.virConnect, instance_id: str) -> None:
    """With its saved memory image and its firmware's variables; success when there is none."""
    domain = find(conn, instance_id)
    if domain is None or not domain.isPersistent():
        return
    flags = libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
    try:
        domain.undefineFlags(flags)
    except libvirt.libvirtError as error:
        if not is_no_domain(error):
            raise
