"""What somebody wants of a running transfer. Asks add up; a newer one of a kind replaces the older."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from migrator.model import ForceMethod as ForceMethod  # part of what this module offers


@dataclass(frozen=True)
class AbortAsked:
    """End it; the guest stays."""


@dataclass(frozen=True)
class ForceAsked:
    """Bring it to its end."""

    method: ForceMethod = ForceMethod.AUTO


@dataclass(frozen=True)
class Tune:
    """Other limits than the profile's; None leaves one as it is. A bandwidth of 0 is no limit."""

    bandwidth_mib_s: int | None = None
    postcopy_bandwidth_mib_s: int | None = None
    max_downtime_ms: int | None = None


Ask = AbortAsked | ForceAsked | Tune


@dataclass(frozen=True)
class Asks:
    """All that has been asked of one transfer so far."""

    abort: bool = False
    force: ForceMethod | None = None
    tune: Tune = field(default_factory=Tune)

    def plus(self, ask: Ask) -> Asks:
        """These and one more."""
        match ask:
            case AbortAsked():
                return replace(self, abort=True)
            case ForceAsked():
                return replace(self, force=ask.method)
            case Tune():
                return replace(self, tune=_newer(self.tune, ask))


def _newer(old: Tune, new: Tune) -> Tune:
    def pick(before: int | None, now: int | None) -> int | None:
        return before if now is None else now

    return Tune(
        pick(old.bandwidth_mib_s, new.bandwidth_mib_s),
        pick(old.postcopy_bandwidth_mib_s, new.postcopy_bandwidth_mib_s),
        pick(old.max_downtime_ms, new.max_downtime_ms),
    )
