"""What operators have asked of a migration that is under way, as its record keeps it."""

from __future__ import annotations

import enum
from dataclasses import astuple, dataclass


class ForceMethod(enum.StrEnum):
    """How a transfer is to be brought to its end at once."""

    AUTO = "auto"
    """The least disturbing of the others that works, whatever the profile permits."""
    POSTCOPY = "postcopy"
    DOWNTIME = "downtime"
    """Let the guest be frozen for as long as the rest takes."""
    PAUSE = "pause"


@dataclass(frozen=True)
class Tuning:
    """Limits an operator has set for one migration; None leaves the profile's. MiB/s, 0 is no limit."""

    bandwidth_mib_s: int | None = None
    postcopy_bandwidth_mib_s: int | None = None
    max_downtime_ms: int | None = None

    def plus(self, newer: Tuning) -> Tuning:
        """These, changed where ``newer`` says something."""
        return Tuning(
            *(
                before if now is None else now
                for before, now in zip(astuple(self), astuple(newer), strict=True)
            )
        )


@dataclass(frozen=True)
class StandingAsks:
    """Everything asked so far; None where nothing was. MiB/s, where 0 is no limit."""

    force: ForceMethod | None = None
    bandwidth_mib_s: int | None = None
    postcopy_bandwidth_mib_s: int | None = None
    max_downtime_ms: int | None = None
    suspended: bool = False
    """migrator itself has paused the guest for this attempt, and must see that it runs again."""
