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


def enabled(candidate: Candidate, wanted: Wanted) -> Refusal | None:
    """Refuse a host that an operator disabled."""
    host = candidate.host
    if host.state is HostState.ENABLED:
        return None
    return Refusal(
        "enabled",
        "host.disabled",
        f"{host.name} is {host.state}; `migrator host enable {host.name}` lets it receive",
    )
