"""What the conductor in memory is filled with: hosts, instances, and scripts of migrations."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from migrator.messages import ActionView, HostView, InstanceView, MigrationView, QueuePlace
from migrator.states import MigrationState

MIB = 1024 * 1024
START = datetime(2026, 3, 1, 10, 0, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Frame:
    """How a migration looks from ``at`` seconds after it began."""

    at: float
    state: MigrationState
    phase: str | None
    text: str
    changes: dict[str, Any] = field(default_factory=dict)


def _memory(remaining_mib: int, iteration: int, dirty_mib_s: int) -> dict[str, Any]:
    return {
        "memory_total": 1024 * MIB,
        "memory_remaining": remaining_mib * MIB,
        "iteration": iteration,
        "dirty_rate": dirty_mib_s * MIB,
        "bandwidth": 118 * MIB,
    }


_S = MigrationState
SMOOTH: tuple[Frame, ...] = (
    Frame(0.0, _S.QUEUED, "queue", "accepted", {"queue": QueuePlace(position=1, limit="source")}),
    Frame(0.5, _S.SCHEDULING, "prepare", "a conductor leads it", {"queue": None}),
    Frame(1.0, _S.CLAIMED, "prepare", "h2 passed every check", {}),
    Frame(1.5, _S.PREPARING, "prepare", "h2 is being made ready", {}),
    Frame(2.0, _S.RUNNING, "memory", "the transfer has begun", _memory(1024, 1, 12)),
    Frame(4.0, _S.RUNNING, "memory", "first pass under way", _memory(610, 1, 12)),
    Frame(6.0, _S.RUNNING, "memory", "first pass ended", _memory(96, 2, 12)),
    Frame(7.0, _S.RUNNING, "switchover", "the rest fits into the downtime", _memory(4, 3, 12)),
    Frame(
        7.5,
        _S.SWITCHED,
        "finish",
        "the guest was seen running on h2",
        {"switched_at": START, "memory_remaining": 0, "method": "precopy"},
    ),
    Frame(
        8.0,
        _S.COMPLETED,
        None,
        "finished",
        {"finished_at": START, "downtime_ms": 42, "total_ms": 7480, "memory_remaining": 0},
    ),
)
"""A migration that goes well, in 8 s."""

FAILS: tuple[Frame, ...] = (
    *SMOOTH[:5],
    Frame(3.0, _S.ROLLING_BACK, None, "the transfer failed; undoing", {}),
    Frame(
        4.0,
        _S.FAILED,
        None,
        "undone; the guest is where it was",
        {
            "finished_at": START,
            "error_code": "transfer.failed",
            "error": "the connection to h2 broke after 412 MiB; the guest is on h1 as before; try again",
        },
    ),
)
LOST: tuple[Frame, ...] = (
    *SMOOTH[:5],
    Frame(
        3.0,
        _S.POSTCOPY,
        "postcopy",
        "the guest runs on h2 and fetches pages from h1",
        _memory(300, 1, 0),
    ),
    Frame(
        4.0,
        _S.LOST,
        None,
        "h1 died",
        {
            "finished_at": START,
            "error_code": "transfer.lost",
            "error": "h1 died while the guest's memory was split between both",
            "needs_attention": "start the guest again from its disks",
        },
    ),
)
REJECTED: tuple[Frame, ...] = (
    *SMOOTH[:2],
    Frame(
        1.0,
        _S.REJECTED,
        None,
        "no destination passed",
        {
            "finished_at": START,
            "error_code": "host.none_fits",
            "error": "no host can take g1: h2 lacks 512 MiB of memory; free some or add a host",
        },
    ),
)


def host(name: str, **changes: Any) -> HostView:
    view = HostView(
        name=name,
        state="enabled",
        alive=True,
        why_down=None,
        seen_at=START,
        agent_version="0.1.0",
        libvirt_version="9.0.0",
        hypervisor_version="7.2.22",
        arch="x86_64",
        cpus=8,
        memory_mib=32768,
        claimed_vcpus=3,
        claimed_memory_mib=3072,
        instances=2,
        libvirt_uri=f"qemu+ssh://root@{name}/system",
        peer_uri=f"qemu+tls://{name}/system",
        control_address="10.0.0.1",
        migration_address="10.1.0.1",
        disk_address="10.1.0.1",
        pools=["local", "shared"],
        networks=["default"],
    )
    return replace(view, **changes)


def instance(number: int, name: str, **changes: Any) -> InstanceView:
    view = InstanceView(
        id=str(uuid.UUID(int=number)),
        name=name,
        host="h1",
        status="running",
        vcpus=2,
        memory_mib=1024,
        persistent=True,
        candidates=[],
        migration=None,
        updated_at=START,
    )
    return replace(view, **changes)


def new_view(moved: InstanceView, destination: str, mode: str) -> MigrationView:
    asked = ActionView(at=START, action="migrate", rule="request", by="operator", result="accepted")
    return MigrationView(
        id=str(uuid.uuid4()),
        instance=moved.name,
        kind="live",
        mode=mode,
        state="queued",
        needs_attention=None,
        source=moved.host,
        destination=destination,
        profile=None,
        created_at=datetime.now(UTC),
        switched_at=None,
        finished_at=None,
        phase="queue",
        memory_total=None,
        memory_remaining=None,
        disk_total=None,
        disk_remaining=None,
        iteration=None,
        dirty_rate=None,
        bandwidth=None,
        downtime_ms=None,
        total_ms=None,
        method=None,
        actions=[asked],
        queue=None,
        error_code=None,
        error=None,
    )
