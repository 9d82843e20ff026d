"""What a move of a migration changes besides its own row, in the same transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from migrator.model.disks import DiskMove
from migrator.model.placement import Placement
from migrator.model.words import TodoKind


@dataclass(frozen=True)
class TakeClaim:
    """Reserve on a host; fails ``claim.conflict`` when its claims generation has moved on, or when
    another claim has a CPU or a device of the placement."""

    host: str
    claims_generation: int
    vcpus: int
    memory_mib: int
    placement: Placement | None = None
    group_marks: tuple[tuple[str, int], ...] = ()
    """(group, mark) as they were before the host was selected: the same conflict when one has moved on,
    since another member may have found a place that this one must share, or keep off."""


@dataclass(frozen=True)
class DropClaim:
    """Release what this migration reserved on a host; nothing when it is released already."""

    host: str


@dataclass(frozen=True)
class SwitchOwner:
    """The instance lives on ``destination`` now: owner moved, claims swapped (incoming -> use,
    use -> leaving)."""

    source: str
    destination: str
    in_use: bool = True
    """A guest that is off uses nothing there: the claim that brought it is released."""


@dataclass(frozen=True)
class AddTodo:
    """Durable work that follows."""

    kind: TodoKind
    host: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    delay_s: float = 0.0
    """Seconds before it is first tried."""


@dataclass(frozen=True)
class HoldBytes:
    """Keep room in the pools of a host for what will be copied there, until the migration's claim there
    is dropped or it has switched. Fails ``claim.conflict`` when others hold too much by then."""

    host: str
    pools: Mapping[str, int]
    """pool -> bytes."""
    room: Mapping[str, int]
    """pool -> bytes that all migrations together may hold in it."""


@dataclass(frozen=True)
class MoveDisks:
    """The instance's disks are where this migration has brought them: records of copied disks follow."""

    disks: tuple[DiskMove, ...]


@dataclass(frozen=True)
class Tell:
    """A line of the history; ``kind`` is one of those of :class:`migrator.model.MigrationEvent`."""

    kind: str
    text: str
    facts: Mapping[str, Any] = field(default_factory=dict)


Effect = TakeClaim | DropClaim | SwitchOwner | AddTodo | HoldBytes | MoveDisks | Tell
