"""Every domain of this host, as its libvirt has it now."""

from __future__ import annotations

from migrator.compute_agent.context import AgentContext
from migrator.messages import Empty, HostDomains


def run(host: AgentContext, request: Empty) -> HostDomains:
    """Reads only; what the inventory last told may be older."""
    word = host.numbering.next()
    domains = host.hypervisor.list_domains()
    return HostDomains(domains=sorted(domains, key=lambda each: each.id), word=word)
