"""What an agent is configured with, as values."""

from __future__ import annotations

from dataclasses import dataclass, field

from migrator.model import HostAddresses, HostLimits


@dataclass(frozen=True)
class AgentSettings:
    """Durations in seconds."""

    host: str
    """The one host this agent serves."""
    addresses: HostAddresses
    encryption: str = "required"
    """``required``: a transfer without TLS is refused here too, whatever a request says; ``off``."""
    heartbeat_s: float = 5.0
    """Between two reports while nothing changes."""
    limits: HostLimits = field(default_factory=HostLimits)
    """What guests may have of the host."""
    version: str = "unknown"
    """Of this program; shown to operators, decides nothing."""
