"""May the guest leave, and which of the destination's pools are the same storage here?"""

from __future__ import annotations

from collections.abc import Iterator

from migrator.addresses import peer_uri
from migrator.compute_agent.context import AgentContext
from migrator.compute_agent.encryption import refuse_control
from migrator.errors import Refused
from migrator.messages import CheckSource, PoolIdentity, SourceChecked
from migrator.model import Kind, Refusal
from migrator.storage.identity import same_storage


def run(host: AgentContext, request: CheckSource) -> SourceChecked:
    """Changes nothing."""
    not_shared = {
        pool.name: refusal
        for pool in request.pools
        if (refusal := _difference(host, pool)) is not None
    }
    return SourceChecked(
        refusals=[*_guest(host, request), *_peer(host, request)],
        shared_pools=[pool.name for pool in request.pools if pool.name not in not_shared],
        not_shared=list(not_shared.values()),
        written=_written(host, request) if not_shared or request.measure_writes else {},
        read_at_s=host.clock.monotonic(),
    )


def _written(host: AgentContext, request: CheckSource) -> dict[str, int]:
    return dict(host.hypervisor.disk_writes(request.instance_id))


def _guest(host: AgentContext, request: CheckSource) -> Iterator[Refusal]:
    view = host.hypervisor.view(request.instance_id)
    name = view.name or request.instance_id
    if not view.active and request.kind != Kind.COLD:
        yield Refusal(
            "guest",
            "guest.not_active",
            f"{name} does not run on {host.settings.host} any more ({view.state}); nothing to move.",
            {"state": str(view.state)},
        )
    elif view.job is not None:
        yield Refusal(
            "guest",
            "guest.busy",
            f"libvirt is working on {name} ({view.job.operation.replace('_', ' ')}); wait until that has"
            " ended.",
            {"job": view.job.operation},
        )


def _peer(host: AgentContext, request: CheckSource) -> Iterator[Refusal]:
    try:
        uri = peer_uri(request.peer_uri)
    except ValueError as error:
        yield Refusal(
            "peer",
            "config.invalid",
            f"the destination cannot be reached by its peer_uri: {error}. Correct it in the"
            " configuration.",
            {"peer_uri": request.peer_uri},
        )
        return
    refusal = refuse_control("encryption", uri, (request.encryption, host.settings.encryption))
    if refusal is not None:
        yield refusal


def _difference(host: AgentContext, written: PoolIdentity) -> Refusal | None:
    """Why this host's pool of that name is not the destination's; None when it is."""
    try:
        read = host.hypervisor.read_pool_identity(written.name, written)
    except Refused as refused:
        facts = {**refused.facts, "pool": written.name}
        return Refusal("pools", refused.code, refused.message, facts)
    refusal = same_storage(written, read)
    if refusal is None:
        return None
    facts = {**refusal.facts, "pool": written.name}
    return Refusal(refusal.filter, refusal.code, refusal.message, facts)
