"""Values to start from: a host, a guest, a migration; a test says only what it is about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from migrator.model import (
    DomainState,
    DomainSummary,
    Host,
    HostAddresses,
    HostFacts,
    HostState,
    Instance,
    InstanceStatus,
    Kind,
    Migration,
    Mode,
    Reason,
)
from migrator.scheduler.snapshot import Candidate, Capacity
from migrator.states import MigrationState

UUID = "5e2d0a1c-0b6f-4f3e-9a77-3c1f0c8a6d11"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def later(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def addresses(name: str) -> HostAddresses:
    return HostAddresses(
        libvirt_uri=f"qemu+tls://{name}/system",
        peer_uri=f"qemu+tls://{name}.peer/system",
        control_address="10.0.0.1",
        migration_address="10.1.0.1",
        disk_address="10.2.0.1",
    )


FACTS = HostFacts(
    libvirt_version=9_000_000,
    hypervisor_version=7_002_022,
    arch="x86_64",
    cpus=8,
    memory_mib=16384,
    pools=("shared",),
    networks=("default",),
)


def a_host(name: str = "h1", **changes: Any) -> Host:
    values: dict[str, Any] = {
        "name": name,
        "state": HostState.ENABLED,
        "addresses": addresses(name),
        "incarnation": "i1",
        "agent_version": "1.0",
        "alive": True,
        "why_down": "",
        "seen_at": NOON,
        "facts": FACTS,
        "inventory_generation": 1,
        "claims_generation": 1,
    }
    return Host(**{**values, **changes})


def a_candidate(name: str = "h1", **changes: Any) -> Candidate:
    values: dict[str, Any] = {
        "host": a_host(name),
        "capacity": Capacity(8, 8192),
        "claimed_vcpus": 0,
        "claimed_memory_mib": 0,
        "incoming": 0,
    }
    return Candidate(**{**values, **changes})


def an_instance(**changes: Any) -> Instance:
    values: dict[str, Any] = {
        "id": UUID,
        "name": "web",
        "host": "h1",
        "status": InstanceStatus.RUNNING,
        "vcpus": 2,
        "memory_mib": 512,
        "persistent": True,
    }
    return Instance(**{**values, **changes})


def a_sighting(
    state: DomainState = DomainState.RUNNING, reason: Reason = Reason.BOOTED, **changes: Any
) -> DomainSummary:
    values: dict[str, Any] = {
        "id": UUID,
        "name": "web",
        "state": state,
        "reason": reason,
        "persistent": True,
        "vcpus": 2,
        "memory_mib": 512,
    }
    return DomainSummary(**{**values, **changes})


def a_migration(**changes: Any) -> Migration:
    values: dict[str, Any] = {
        "id": "3f7c9a52-9d0e-4b43-8d4d-7a7f1e2b9c10",
        "instance_id": UUID,
        "instance_name": "web",
        "kind": Kind.LIVE,
        "mode": Mode.AUTO,
        "state": MigrationState.QUEUED,
        "created_at": NOON,
        "source": "h1",
    }
    return Migration(**{**values, **changes})
