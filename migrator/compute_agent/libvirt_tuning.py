"""Steering a transfer that runs, and measuring a guest before one; one connection at hand."""

from __future__ import annotations

import time
from collections.abc import Callable

import libvirt

from migrator.compute_agent.libvirt_domains import find, incoming_job, need
from migrator.compute_agent.libvirt_errors import has_code

MIB = 1024 * 1024
LOOK_S = 0.1
MEASURED = "dirtyrate.calc_status", libvirt.VIR_DOMAIN_DIRTYRATE_MEASURED


def set_max_downtime(conn: libvirt.virConnect, instance_id: str, milliseconds: int) -> bool:
    return _steer(conn, instance_id, lambda domain: domain.migrateSetMaxDowntime(milliseconds))


def set_speed(conn: libvirt.virConnect, instance_id: str, mib_s: int) -> bool:
    return _steer(conn, instance_id, lambda domain: domain.migrateSetMaxSpeed(mib_s))


def set_postcopy_speed(conn: libvirt.virConnect, instance_id: str, mib_s: int) -> bool:
    flags = libvirt.VIR_DOMAIN_MIGRATE_MAX_SPEED_POSTCOPY
    return _steer(conn, instance_id, lambda domain: domain.migrateSetMaxSpeed(mib_s, flags))


def start_postcopy(conn: libvirt.virConnect, instance_id: str) -> bool:
    return _steer(conn, instance_id, lambda domain: domain.migrateStartPostCopy())


def pause_postcopy(conn: libvirt.virConnect, instance_id: str) -> bool:
    flags = libvirt.VIR_DOMAIN_ABORT_JOB_POSTCOPY
    return _steer(conn, instance_id, lambda domain: domain.abortJobFlags(flags))


def _steer(
    conn: libvirt.virConnect, instance_id: str, work: Callable[[libvirt.virDomain], object]
) -> bool:
    """Whether libvirt took it; False when it says that nothing runs here that it fits."""
    domain = find(conn, instance_id)
    if domain is None or not domain.isActive() or incoming_job(domain):
        return False
    try:
        work(domain)
    except libvirt.libvirtError as error:
        if has_code(error, "OPERATION_INVALID", "NO_DOMAIN"):
            return False
        raise
    return True


def measure_dirty_rate(conn: libvirt.virConnect, instance_id: str, seconds: int) -> int | None:
    """Bytes a second, as QEMU finds by sampling pages. None from a QEMU that cannot."""
    domain = need(conn, instance_id)
    try:
        domain.startDirtyRateCalc(seconds, 0)
    except libvirt.libvirtError as error:
        if has_code(error, "NO_SUPPORT", "OPERATION_UNSUPPORTED"):
            return None
        raise
    deadline = time.monotonic() + 2 * seconds
    time.sleep(seconds)
    while True:
        ((_, found),) = conn.domainListGetStats([domain], libvirt.VIR_DOMAIN_STATS_DIRTYRATE)
        if found.get(MEASURED[0]) == MEASURED[1]:
            return int(found["dirtyrate.megabytes_per_second"]) * MIB
        if time.monotonic() >= deadline:
            return None
        time.sleep(LOOK_S)
