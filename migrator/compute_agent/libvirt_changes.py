"""Changing domains of one libvirt, one connection at hand."""

from __future__ import annotations

import libvirt

from migrator.compute_agent.attempt_mark import NAMESPACE, PREFIX, bare_element
from migrator.compute_agent.libvirt_domains import current_job, find, incoming_job, need
from migrator.compute_agent.libvirt_errors import has_code, is_no_domain
from migrator.errors import Transient
from migrator.model import AttemptMark


def set_mark(conn: libvirt.virConnect, instance_id: str, mark: AttemptMark | None) -> None:
    """Write or remove it, live and persistent; removing what is not there is success."""
    domain = find(conn, instance_id) if mark is None else need(conn, instance_id)
    if domain is None:
        return
    _refuse_during_job(domain)
    flags = 0
    if domain.isActive():
        flags |= libvirt.VIR_DOMAIN_AFFECT_LIVE
    if domain.isPersistent():
        flags |= libvirt.VIR_DOMAIN_AFFECT_CONFIG
    domain.setMetadata(
        libvirt.VIR_DOMAIN_METADATA_ELEMENT,
        None if mark is None else bare_element(mark),
        PREFIX,
        NAMESPACE,
        flags,
    )


def set_autostart(conn: libvirt.virConnect, instance_id: str, autostart: bool) -> None:
    """A transient domain cannot have it: not having it is success, wanting it libvirt's error."""
    domain = need(conn, instance_id)
    if not autostart and not domain.isPersistent():
        return
    _refuse_during_job(domain)
    domain.setAutostart(int(autostart))


def abort_job(conn: libvirt.virConnect, instance_id: str) -> bool:
    """False when nothing runs, when it is too late, or when the job only arrives here: asking libvirt
    to abort that would block until the job has ended."""
    domain = find(conn, instance_id)
    if domain is None or incoming_job(domain):
        return False
    try:
        domain.abortJob()
    except libvirt.libvirtError as error:
        if has_code(error, "OPERATION_INVALID", "NO_DOMAIN"):
            return False
        raise
    return True


def suspend(conn: libvirt.virConnect, instance_id: str) -> None:
    need(conn, instance_id).suspend()


def resume(conn: libvirt.virConnect, instance_id: str) -> None:
    need(conn, instance_id).resume()


def destroy(conn: libvirt.virConnect, instance_id: str) -> None:
    """Kill its QEMU; success when there is none."""
    domain = find(conn, instance_id)
    if domain is None:
        return
    try:
        domain.destroyFlags(libvirt.VIR_DOMAIN_DESTROY_DEFAULT)
    except libvirt.libvirtError as error:
        if not has_code(error, "OPERATION_INVALID", "NO_DOMAIN"):
            raise
        if find(conn, instance_id) is not None and domain.isActive():
            raise


def undefine(conn: libvirt.virConnect, instance_id: str) -> None:
    """Remove the definition, keeping NVRAM and TPM state; success when there is none."""
    domain = find(conn, instance_id)
    if domain is None or not domain.isPersistent():
        return
    flags = libvirt.VIR_DOMAIN_UNDEFINE_KEEP_NVRAM | getattr(
        libvirt, "VIR_DOMAIN_UNDEFINE_KEEP_TPM", 0
    )
    try:
        domain.undefineFlags(flags)
    except libvirt.libvirtError as error:
        if not is_no_domain(error):
            raise


def _refuse_during_job(domain: libvirt.virDomain) -> None:
    """libvirt would block for 30 s and then fail."""
    if incoming_job(domain) or current_job(domain) is not None:
        raise Transient(
            "libvirt.error",
            f"a job runs on domain {domain.name()}: its metadata and autostart cannot be changed until"
            " it has ended",
        )
