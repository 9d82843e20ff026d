"""The host's agent answers, and the operator lets the host receive."""

from __future__ import annotations

from migrator.model import HostState, Refusal
from migrator.scheduler.snapshot import Candidate, Wanted


def agent_alive(candidate: Candidate, wanted: Wanted) -> Refusal | None:
    """Refuse a host whose agent is silent or cannot reach its libvirt."""
    host = candidate.host
    if host.alive and host.facts is not None:
        return None
    silent = (
        "its agent has not described the host yet" if host.facts is None else "its agent is silent"
    )
    why = host.why_down or silent
    return Refusal(
        "agent_alive",
        "host.agent_down",
        f"{host.name} cannot receive: {why}; see `migrator host show {host.name}`",
    )


CODES = {
    HostState.DISABLED: "host.disabled",
    HostState.DRAINING: "host.draining",
    HostState.MAINTENANCE: "host.maintenance",
}


def enabled(candidate: Candidate, wanted: Wanted) -> Refusal | None:
    """Refuse a host that an operator lets receive nothing."""
    host = candidate.host
    if host.state is HostState.ENABLED:
        return None
    state = "in maintenance" if host.state is HostState.MAINTENANCE else str(host.state)
    return Refusal(
        "enabled",
        CODES[host.state],
        f"{host.name} is {state}; `migrator host enable {host.name}` lets it receive",
    )
