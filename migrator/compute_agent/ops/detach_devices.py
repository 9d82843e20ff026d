"""Have the guest let go of devices of the host that cannot travel with it."""

from __future__ import annotations

from migrator.compute_agent.context import AgentContext
from migrator.compute_agent.plugged import removable
from migrator.compute_agent.waiting import poll
from migrator.errors import Refused
from migrator.messages import DetachDevices, DevicesDetached

POLL_S = 0.2
WAITING_SHARE = 0.8
"""Of the deadline, for the guest; the rest is for libvirt's answers."""


def run(host: AgentContext, request: DetachDevices) -> DevicesDetached:
    """:raises Refused: ``guest.not_active``, ``device.not_released`` when the guest keeps one."""
    wanted = frozenset(request.addresses)

    def still() -> dict[str, str]:
        return {
            address: device
            for address, device in removable(_live_xml(host, request.instance_id)).items()
            if address in wanted
        }

    for device in still().values():
        host.hypervisor.detach_device(request.instance_id, device)
    gone = poll(
        host.clock,
        request.deadline_s * WAITING_SHARE,
        POLL_S,
        lambda: None if still() else True,
    )
    if gone is None:
        raise Refused(
            "device.not_released",
            f"the guest does not let go of {', '.join(sorted(still()))}: its system has to support"
            " unplugging; look into the guest, or detach it by hand and try again",
            devices=sorted(still()),
        )
    return DevicesDetached(live_xml=_live_xml(host, request.instance_id))


def _live_xml(host: AgentContext, instance_id: str) -> str:
    described = host.hypervisor.describe(instance_id)
    if described is None or not described.view.active:
        raise Refused(
            "guest.not_active", f"the guest does not run on {host.settings.host} any more"
        )
    return described.live_xml
