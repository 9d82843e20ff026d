"""Two agents that speak for one host: started twice, or on the wrong machine under its name."""

from __future__ import annotations

from migrator.messages import HostReport
from migrator.model import Host


def two_agents(host: str) -> str:
    """Why a host that two processes speak for takes part in nothing: commands reach either of them, and
    what they say of its guests need not be about the same libvirt."""
    return (
        f"two agents serve {host}: stop the one that is not on it, or started twice "
        "(`pgrep -af migrator-agent` on every machine shows them)"
    )


def of_another_libvirt(known: Host | None, request: HostReport) -> str:
    """Why a report is not to be believed: it tells of another libvirt while the agent of the one that
    is known lives, so that every guest of the host would look gone. Empty when it is.

    A host that was replaced is taken as soon as its former agent counts as down.
    """
    if known is None or known.facts is None or request.facts is None or not known.alive:
        return ""
    told, before = request.facts.host_uuid, known.facts.host_uuid
    if told in ("", before) or not before:
        return ""
    return (
        f"an agent speaks for {request.host} about another libvirt (host UUID {told}, so far {before}) "
        f"and is not believed: {two_agents(request.host)}"
    )
