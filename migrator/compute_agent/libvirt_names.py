"""libvirt's numbers and dictionaries in migrator's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import libvirt

from migrator.model import DomainState, JobSample, Reason, Statistics

PROBE_PREFIX = "migrator-probe-"
"""Names of definitions that a preflight check sends from host to host; nobody's guests."""


def _names(prefix: str) -> dict[int, str]:
    """number -> lower-case name of libvirt's constants that begin with ``prefix``."""
    return {
        value: name.removeprefix(prefix).lower()
        for name in dir(libvirt)
        if name.startswith(prefix) and isinstance(value := getattr(libvirt, name), int)
    }


_STATES = {
    getattr(libvirt, f"VIR_DOMAIN_{state.name}"): state
    for state in DomainState
    if state is not DomainState.ABSENT
}
_REASONS = {number: _names(f"VIR_DOMAIN_{state.name}_") for number, state in _STATES.items()}
_KNOWN_REASONS = frozenset(Reason)

_EVENT_KINDS = (
    "defined",
    "undefined",
    "started",
    "suspended",
    "resumed",
    "stopped",
    "shutdown",
    "pmsuspended",
    "crashed",
)
_EVENTS = {getattr(libvirt, f"VIR_DOMAIN_EVENT_{kind.upper()}"): kind for kind in _EVENT_KINDS}
_DETAILS = {kind: _names(f"VIR_DOMAIN_EVENT_{kind.upper()}_") for kind in _EVENT_KINDS}
_OPERATIONS = _names("VIR_DOMAIN_JOB_OPERATION_")

CLOSE_REASONS: Mapping[int, str] = {
    libvirt.VIR_CONNECT_CLOSE_REASON_ERROR: "an I/O error",
    libvirt.VIR_CONNECT_CLOSE_REASON_EOF: "libvirt's daemon closed it or died",
    libvirt.VIR_CONNECT_CLOSE_REASON_KEEPALIVE: "libvirt's daemon did not answer keepalive",
    libvirt.VIR_CONNECT_CLOSE_REASON_CLIENT: "closed by this side",
}


def state_and_reason(state: int, reason: int) -> tuple[DomainState, Reason]:
    """virDomainGetState's answer; a reason no migration depends on is ``other``."""
    name = _REASONS.get(state, {}).get(reason, "other")
    return (
        _STATES.get(state, DomainState.NOSTATE),
        Reason(name) if name in _KNOWN_REASONS else Reason.OTHER,
    )


def event_names(event: int, detail: int) -> tuple[str, str]:
    """A lifecycle event's name and detail; numbers a newer libvirt invented stay numbers."""
    kind = _EVENTS.get(event, str(event))
    return kind, _DETAILS.get(kind, {}).get(detail, str(detail))


def job_sample(stats: Mapping[str, Any]) -> JobSample | None:
    """virDomainGetJobStats of a running job; None when none runs."""
    running = (libvirt.VIR_DOMAIN_JOB_BOUNDED, libvirt.VIR_DOMAIN_JOB_UNBOUNDED)
    if stats.get("type") not in running:
        return None
    return JobSample(
        operation=_OPERATIONS.get(stats.get("operation", 0), "unknown"),
        elapsed_ms=stats.get("time_elapsed", 0),
        memory_total=stats.get("memory_total", 0),
        memory_processed=stats.get("memory_processed", 0),
        memory_remaining=stats.get("memory_remaining", 0),
        memory_bandwidth=stats.get("memory_bps", 0),
        memory_page_size=stats.get("memory_page_size", 0),
        memory_dirty_pages_per_s=stats.get("memory_dirty_rate", 0),
        memory_iteration=stats.get("memory_iteration", 0),
        memory_postcopy_requests=stats.get("memory_postcopy_requests", 0),
        throttle=stats.get("auto_converge_throttle", 0),
        disk_total=stats.get("disk_total", 0),
        disk_processed=stats.get("disk_processed", 0),
        disk_remaining=stats.get("disk_remaining", 0),
    )


def statistics(stats: Mapping[str, Any]) -> Statistics:
    """Statistics of a completed transfer, from virDomainGetJobStats or the JOB_COMPLETED event."""
    return Statistics(
        downtime_ms=stats.get("downtime"),
        downtime_net_ms=stats.get("downtime_net"),
        total_ms=stats.get("time_elapsed"),
        setup_ms=stats.get("setup_time"),
        memory_total=stats.get("memory_total"),
        memory_processed=stats.get("memory_processed"),
        disk_total=stats.get("disk_total"),
        iterations=stats.get("memory_iteration"),
    )
