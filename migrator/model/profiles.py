"""What disturbance an instance tolerates, in words that know no hypervisor."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from migrator.model.methods import DirtyRate

GIB = 1 << 30


class OnDeadline(enum.StrEnum):
    """What becomes of a migration that has not ended by its deadline."""

    ABORT = "abort"
    FORCE = "force"
    """Use what the profile permits beyond ``max_downtime_ms``; abort when it permits nothing."""
    CONTINUE = "continue"


@dataclass(frozen=True)
class Profile:
    """Tolerances of one instance. MiB/s; None = no limit of ours."""

    name: str
    max_downtime_ms: int = 500
    """Longest freeze of the guest that nobody needs to be asked about."""
    allow_throttle: bool = False
    """The guest may be slowed down while it moves."""
    allow_postcopy: bool = False
    """The guest may run at the destination before all its memory is there: it then waits for pages, and
    is lost if the source dies meanwhile."""
    allow_pause: bool = False
    """The guest may be frozen for longer than ``max_downtime_ms``."""
    deadline_s: int | None = None
    """Seconds from the start of the transfer."""
    deadline_per_gib: int | None = None
    """Seconds for each GiB to be copied; the earlier of the two counts."""
    on_deadline: OnDeadline = OnDeadline.ABORT
    bandwidth_mib_s: int | None = None
    postcopy_bandwidth_mib_s: int | None = None

    def deadline_for(self, size: int) -> float | None:
        """Seconds from the start of a transfer of ``size`` bytes; None without a deadline."""
        ends = []
        if self.deadline_s is not None:
            ends.append(float(self.deadline_s))
        if self.deadline_per_gib is not None:
            ends.append(self.deadline_per_gib * max(size, GIB) / GIB)
        return min(ends) if ends else None


STRICT = Profile("strict")
BALANCED = Profile("balanced", allow_throttle=True)
GUARANTEED = Profile(
    "guaranteed", allow_postcopy=True, allow_pause=True, on_deadline=OnDeadline.FORCE
)
OFFLINE_OK = Profile(
    "offline-ok", allow_throttle=True, allow_pause=True, on_deadline=OnDeadline.FORCE
)

PRESETS = (STRICT, BALANCED, GUARANTEED, OFFLINE_OK)
"""Always there, never changed."""
DEFAULT_PROFILE = BALANCED.name


@dataclass(frozen=True)
class TransferPolicy:
    """What the monitor of one attempt decides by: the tolerances, and what the attempt can do."""

    profile: Profile
    postcopy: bool = False
    """It was started so that it can go on as post-copy."""
    throttle: bool = False
    """It was started so that the guest is slowed down when it outruns the copy."""
    restart_with: tuple[str, ...] = ()
    """Start flags another attempt could add that this one lacks, whatever it has to leave out for them;
    empty once it was restarted."""
    spent_s: float = 0.0
    """Time towards the deadline that earlier attempts took."""
    link_mib_s: float | None = None
    """What the link between the hosts carries at most; None while nobody knows."""
    dirty: DirtyRate | None = None
    """How fast the guest wrote before it moved, where that was measured."""
