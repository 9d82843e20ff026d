"""Give a running guest devices of this host, again or for the first time here."""

from __future__ import annotations

from migrator.compute_agent.context import AgentContext
from migrator.compute_agent.plugged import name_of, removable
from migrator.messages import AttachDevices, DevicesAttached


def run(host: AgentContext, request: AttachDevices) -> DevicesAttached:
    """Those it does not have; nothing for a guest that does not run here.

    :raises Transient: when libvirt cannot.
    """
    attached = attach_missing(host, request.instance_id, request.devices)
    word = host.numbering.next()
    seen = host.hypervisor.summary(request.instance_id)
    return DevicesAttached(attached=attached, seen=seen, word=word)


def attach_missing(host: AgentContext, instance_id: str, devices: list[str]) -> list[str]:
    """The addresses of what was attached."""
    described = host.hypervisor.describe(instance_id) if devices else None
    if described is None or not described.view.active:
        return []
    has = removable(described.live_xml)
    missing = [device for device in devices if name_of(device) not in has]
    for device in missing:
        host.hypervisor.attach_device(instance_id, device)
    return [name_of(device) for device in missing]
