"""Read a guest whole, or say why it cannot be moved as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec

from migrator.compute_agent.context import AgentContext
from migrator.compute_agent.disk_heads import looked_at
from migrator.compute_agent.domain_facts import parse_domain
from migrator.compute_agent.held import held
from migrator.compute_agent.offline_facts import (
    check_offline_move,
    custom_cpu,
    offline_disks,
    state_files,
)
from migrator.compute_agent.ports import DomainDescription
from migrator.compute_agent.requested import requested
from migrator.errors import Refused
from migrator.messages import DiskFacts, InstanceRef, RecordedChain, SourceFacts
from migrator.model import DomainState, DomainView, Kind, Reason

MOVABLE = frozenset({DomainState.RUNNING, DomainState.BLOCKED, DomainState.PAUSED})

WHY_NOT: dict[DomainState, str] = {
    DomainState.SHUTOFF: ("is shut off. Start it first, or move it as it is with --kind cold"),
    DomainState.CRASHED: "has crashed. Look into it, start it again, then move it",
    DomainState.SHUTDOWN: "is shutting down. Move it once it has been started again",
    DomainState.PMSUSPENDED: (
        "sleeps (suspended to memory by its own system), and QEMU may lose that state on the way."
        " Wake it with `virsh dompmwakeup` first"
    ),
}

IN_TRANSIT = frozenset(
    {Reason.MIGRATION, Reason.POSTCOPY, Reason.POSTCOPY_FAILED, Reason.STARTING_UP}
)


def run(host: AgentContext, request: InstanceRef) -> SourceFacts:
    """:raises Refused: ``instance.gone``, ``guest.not_active``, ``guest.busy``; for a cold move also
    ``guest.transient``, ``disk.definition_differs``."""
    described = host.hypervisor.describe(request.instance_id)
    if described is None:
        raise Refused(
            "instance.gone",
            f"{host.settings.host} has no domain {request.instance_id} any more; look where it is now"
            " with `migrator instance show`",
        )
    if request.kind == Kind.COLD:
        return _with_cpu(host, _offline(host, described, request.recorded))
    _check(described)
    return _with_cpu(host, _facts(host, described, described.full_live_xml, described.disks))


def _with_cpu(host: AgentContext, facts: SourceFacts) -> SourceFacts:
    """Its CPU written out, so that hosts can be left out before they are asked."""
    if facts.cpu_xml is None:
        return facts
    known = host.hypervisor.written_out(facts.arch, facts.machine, facts.virt_type, facts.cpu_xml)
    return msgspec.structs.replace(facts, cpu=known)


def _offline(
    host: AgentContext, described: DomainDescription, recorded: Sequence[RecordedChain]
) -> SourceFacts:
    """As it will be at the destination."""
    definition = check_offline_move(described)
    disks = offline_disks(described, definition, recorded)
    facts = _facts(host, described, definition, disks)
    saved = host.hypervisor.saved_xml(described.id)
    # A saved guest goes on with the CPU it has in its memory image.
    cpu = facts.cpu_xml if saved is None else parse_domain(saved).cpu_xml
    return msgspec.structs.replace(
        facts,
        live_xml=saved or definition,
        cpu_xml=custom_cpu(cpu),
        saved_xml=saved,
        state_files=state_files(described.name, definition, saved is not None),
    )


def _facts(
    host: AgentContext, described: DomainDescription, xml: str, disks: Sequence[DiskFacts]
) -> SourceFacts:
    facts = parse_domain(xml)
    versions = host.hypervisor.host_facts()
    return SourceFacts(
        instance_id=described.id,
        name=described.name,
        view=_as_it_was(described.view),
        live_xml=described.live_xml,
        inactive_xml=described.inactive_xml,
        vcpus=facts.vcpus,
        memory_mib=facts.memory_mib,
        arch=facts.arch,
        machine=facts.machine,
        virt_type=facts.virt_type,
        emulator=facts.emulator,
        cpu_xml=facts.cpu_xml,
        disks=list(looked_at(host.hypervisor, disks)),
        networks=list(facts.networks),
        host_devices=list(facts.host_devices),
        libvirt_version=versions.libvirt_version,
        hypervisor_version=versions.hypervisor_version,
        spec=requested(xml, held(xml)),
        read_at_s=host.clock.monotonic(),
    )


def _check(described: DomainDescription) -> None:
    view = described.view
    if view.state not in MOVABLE:
        why = WHY_NOT.get(view.state, f"is in state {view.state}")
        raise Refused("guest.not_active", f"{described.name} {why}.", state=str(view.state))
    paused_for_it = view.state is DomainState.PAUSED and view.reason in IN_TRANSIT
    if described.job_active or paused_for_it:
        what = view.job.operation if view.job is not None else str(view.reason)
        raise Refused(
            "guest.busy",
            f"libvirt is working on {described.name} ({what.replace('_', ' ')}), and does one thing at a"
            " time; wait until it has ended, or end it with `virsh domjobabort`.",
            job=what,
        )


def _as_it_was(view: DomainView) -> DomainView:
    """A mark without a job is left of an attempt that was never undone; it took autostart away."""
    if view.mark is None:
        return view
    return replace(view, autostart=view.autostart or view.mark.autostart)
