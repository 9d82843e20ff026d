"""Domains of one libvirt: looking at them, one connection at hand.

Each function is one piece of work for :meth:`Channel.call` and raises libvirtError as libvirt does,
except that a domain libvirt does not have is a value where the port says so.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import libvirt

from migrator.compute_agent.attempt_mark import NAMESPACE, parse_mark
from migrator.compute_agent.held import held
from migrator.compute_agent.libvirt_disks import disks_of, mirrors
from migrator.compute_agent.libvirt_errors import has_code, is_no_domain
from migrator.compute_agent.libvirt_names import (
    PROBE_PREFIX,
    job_sample,
    state_and_reason,
    statistics,
)
from migrator.compute_agent.ports import DomainDescription
from migrator.compute_agent.requested import requested
from migrator.errors import Refused
from migrator.model import (
    ACTIVE_STATES,
    AttemptMark,
    DomainState,
    DomainSummary,
    DomainView,
    JobSample,
    Reason,
    Statistics,
)

ABSENT = DomainView(DomainState.ABSENT)
KIB_PER_MIB = 1024

_ARRIVING = frozenset({Reason.MIGRATION, Reason.STARTING_UP})
"""Reasons of a paused domain that may still be on its way here."""


def find(conn: libvirt.virConnect, instance_id: str) -> libvirt.virDomain | None:
    """The domain, None when libvirt has no such domain."""
    try:
        return conn.lookupByUUIDString(instance_id)
    except libvirt.libvirtError as error:
        if is_no_domain(error):
            return None
        raise


def id_of(conn: libvirt.virConnect, name: str) -> str | None:
    """UUID of the domain of that name."""
    try:
        return str(conn.lookupByName(name).UUIDString())
    except libvirt.libvirtError as error:
        if is_no_domain(error):
            return None
        raise


def need(conn: libvirt.virConnect, instance_id: str) -> libvirt.virDomain:
    """The domain. :raises Refused: ``guest.not_active``"""
    domain = find(conn, instance_id)
    if domain is None:
        raise Refused("guest.not_active", f"there is no domain {instance_id} on this host")
    return domain


# ---------------------------------------------------------------- looking


def list_domains(conn: libvirt.virConnect) -> list[DomainSummary]:
    """Every domain; one that goes while we look is left out, and so are a preflight check's probes."""
    found = []
    for domain in conn.listAllDomains(0):
        if domain.name().startswith(PROBE_PREFIX):
            continue
        try:
            found.append(_summary(domain))
        except libvirt.libvirtError as error:
            if not is_no_domain(error):
                raise
    return found


def summary(conn: libvirt.virConnect, instance_id: str) -> DomainSummary | None:
    """What the list says of one."""
    domain = find(conn, instance_id)
    try:
        return None if domain is None else _summary(domain)
    except libvirt.libvirtError as error:
        if is_no_domain(error):
            return None
        raise


def view(conn: libvirt.virConnect, instance_id: str) -> DomainView:
    """State, reason, mark and running job."""
    domain = find(conn, instance_id)
    if domain is None:
        return ABSENT
    try:
        return _view(domain)
    except libvirt.libvirtError as error:
        if is_no_domain(error):
            return ABSENT
        raise


def describe(conn: libvirt.virConnect, instance_id: str) -> DomainDescription | None:
    """The whole domain."""
    domain = find(conn, instance_id)
    if domain is None:
        return None
    secure = libvirt.VIR_DOMAIN_XML_SECURE
    try:
        seen = _view(domain)
        full = domain.XMLDesc(secure)
        live = domain.XMLDesc(secure | libvirt.VIR_DOMAIN_XML_MIGRATABLE)
        inactive = (
            domain.XMLDesc(secure | libvirt.VIR_DOMAIN_XML_INACTIVE) if seen.persistent else None
        )
        return DomainDescription(
            id=domain.UUIDString(),
            name=domain.name(),
            view=seen,
            live_xml=live,
            inactive_xml=inactive,
            full_live_xml=full,
            disks=tuple(disks_of(conn, domain, full)),
            has_managed_save=bool(domain.hasManagedSaveImage()),
            job_active=seen.job is not None or incoming_job(domain),
        )
    except libvirt.libvirtError as error:
        if is_no_domain(error):
            return None
        raise


def job(conn: libvirt.virConnect, instance_id: str) -> JobSample | None:
    """The running job."""
    domain = find(conn, instance_id)
    sample = None if domain is None else current_job(domain)
    if sample is None or not sample.disk_remaining or sample.memory_total:
        return sample
    return replace(sample, disks=mirrors(domain))


def completed_job(conn: libvirt.virConnect, instance_id: str) -> Statistics | None:
    """Statistics of the last ended transfer. libvirt keeps them on both sides for as long as the QEMU
    process lives; once the source's domain is gone only the destination has them."""
    domain = find(conn, instance_id)
    if domain is None:
        return None
    flags = libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED | libvirt.VIR_DOMAIN_JOB_STATS_KEEP_COMPLETED
    stats = _job_stats(domain, flags)
    if stats.get("type") != libvirt.VIR_DOMAIN_JOB_COMPLETED:
        return None
    return statistics(stats)


def _view(domain: libvirt.virDomain) -> DomainView:
    persistent = bool(domain.isPersistent())
    mark = _mark(domain)
    sample = current_job(domain)
    # last, so that a state is never older than the job seen beside it
    state, reason = state_and_reason(*domain.state())
    return DomainView(
        state=state,
        reason=reason,
        name=domain.name(),
        persistent=persistent,
        autostart=persistent and bool(domain.autostart()),
        mark=mark,
        job=sample,
    )


def _summary(domain: libvirt.virDomain) -> DomainSummary:
    state, reason = state_and_reason(*domain.state())
    _, memory_kib, _, vcpus, _ = domain.info()
    arriving = state is DomainState.PAUSED and reason in _ARRIVING
    xml = domain.XMLDesc(0)
    has = held(xml)
    return DomainSummary(
        id=domain.UUIDString(),
        name=domain.name(),
        state=state,
        reason=reason,
        persistent=bool(domain.isPersistent()),
        vcpus=vcpus,
        memory_mib=-(-memory_kib // KIB_PER_MIB),
        incoming=arriving and incoming_job(domain),
        held=has if state in ACTIVE_STATES else None,
        spec=requested(xml, has),
    )


def _mark(domain: libvirt.virDomain) -> AttemptMark | None:
    try:
        return parse_mark(domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, NAMESPACE))
    except libvirt.libvirtError as error:
        if has_code(error, "NO_DOMAIN_METADATA"):
            return None
        raise


def current_job(domain: libvirt.virDomain) -> JobSample | None:
    """The job that runs on it; None also for one that is arriving."""
    return job_sample(_job_stats(domain))


def _job_stats(domain: libvirt.virDomain, flags: int = 0) -> dict[str, Any]:
    """Statistics; empty for a domain that is not active or has just gone, and for one that is arriving:
    the source has those (OPERATION_UNSUPPORTED)."""
    try:
        return dict(domain.jobStats(flags))
    except libvirt.libvirtError as error:
        if has_code(error, "OPERATION_INVALID", "OPERATION_UNSUPPORTED", "NO_DOMAIN"):
            return {}
        raise


def incoming_job(domain: libvirt.virDomain) -> bool:
    """Whether a migration is bringing it here.

    libvirt has no word for that but one: while a job migration-in runs, it says that statistics are to
    be had on the source only.
    """
    try:
        domain.jobStats()
    except libvirt.libvirtError as error:
        if has_code(error, "OPERATION_UNSUPPORTED"):
            return True
        if has_code(error, "OPERATION_INVALID"):
            return False
        raise
    return False
