"""Define the guest where its volumes have come to, off."""

from __future__ import annotations

from migrator.compute_agent.context import AgentContext
from migrator.compute_agent.marking import is_marked
from migrator.errors import Refused
from migrator.messages import DefineGuest, GuestDefined
from migrator.model import DomainState


def run(host: AgentContext, request: DefineGuest) -> GuestDefined:
    """:raises Refused: ``destination.domain_exists`` for one that is not this attempt's,
    ``domain.xml_invalid``."""
    view = host.hypervisor.view(request.instance_id)
    ours = is_marked(view, request.migration_id, request.attempt)
    if view.state is not DomainState.ABSENT and not ours:
        raise Refused(
            "destination.domain_exists",
            f"{host.settings.host} has this guest already ({view.state}) and not from this attempt; it"
            " is left alone",
        )
    if not view.active:
        host.hypervisor.define(request.xml)
        if request.saved_xml is not None:
            host.hypervisor.define_saved(request.instance_id, request.saved_xml)
    return GuestDefined(view=host.hypervisor.view(request.instance_id))
