"""Make the host ready to receive, and say where its QEMU will listen."""

from __future__ import annotations

from migrator.addresses import address, stream_uri
from migrator.compute_agent.context import AgentContext
from migrator.compute_agent.made_volumes import is_made, make
from migrator.compute_agent.marking import is_marked
from migrator.compute_agent.staleness import Reality, short_of, taken_meanwhile
from migrator.errors import Refused
from migrator.messages import DestinationPrepared, PrepareDestination
from migrator.model import DomainState


def run(host: AgentContext, request: PrepareDestination) -> DestinationPrepared:
    """:raises Refused: ``destination.domain_exists``, ``pool.missing``, ``pool.cannot``,
    ``volume.missing``, ``volume.exists``, ``network.missing``, ``config.invalid``, ``claim.stale``."""
    listen = _listen_address("migration_address", request.migration_address)
    disks_uri = None
    if request.create:
        disks_uri = stream_uri(_listen_address("disk_address", request.disk_address))
    _check_nothing_there(host, request)
    _check_claim(host, request)
    for pool in request.pools:
        host.hypervisor.refresh_pool(pool)
    for pool, volume in request.volumes:
        if not host.hypervisor.has_volume(pool, volume):
            raise Refused(
                "volume.missing",
                f"volume {volume!r} is not in pool {pool!r} of {host.settings.host} any more",
                pool=pool,
                volume=volume,
            )
    active = host.hypervisor.active_networks() if request.networks else ()
    for network in request.networks:
        if network not in active:
            raise Refused(
                "network.missing",
                f"network {network!r} of {host.settings.host} is not active any more; start it with"
                f" `virsh net-start {network}`",
                network=network,
            )
    _check_room(host, request)
    # Last: whatever is refused before has made nothing.
    for planned in request.create:
        make(host.hypervisor, request.migration_id, planned)
    return DestinationPrepared(
        migrate_uri=stream_uri(listen), listen_address=listen, disks_uri=disks_uri
    )


def _listen_address(name: str, configured: str) -> str:
    """One address of the migration network, never every one: what listens there believes what it is
    sent."""
    try:
        return address(configured)
    except ValueError as error:
        raise Refused(
            "config.invalid",
            f"the host's {name} cannot be listened on: {error}. Correct the configuration.",
        ) from error


def _check_claim(host: AgentContext, request: PrepareDestination) -> None:
    placement = request.placement
    if placement is None or not (
        placement.own_cpus or placement.blocked_cpus or placement.devices or placement.pages
    ):
        return
    domains = host.hypervisor.list_domains()
    now = Reality(
        topology=host.hypervisor.topology(),
        others=[each for each in domains if each.id != request.instance_id],
        free_pages=host.hypervisor.free_pages() if placement.pages else {},
    )
    taken = taken_meanwhile(placement, now)
    if taken:
        raise Refused(
            "claim.stale",
            f"what was claimed on {host.settings.host} is taken by now: {'; '.join(taken)}",
            taken=taken,
        )


def _check_room(host: AgentContext, request: PrepareDestination) -> None:
    """What is here of this migration already was made with room for it."""
    if not request.pool_bytes or any(
        is_made(host.hypervisor, request.migration_id, planned) for planned in request.create
    ):
        return
    free = {pool.name: pool.available for pool in host.hypervisor.pool_facts()}
    short = short_of(request.pool_bytes, free)
    if short:
        raise Refused(
            "claim.stale",
            f"the room that was claimed on {host.settings.host} is taken by now: {'; '.join(short)}",
            taken=short,
        )


def _check_nothing_there(host: AgentContext, request: PrepareDestination) -> None:
    view = host.hypervisor.view(request.instance_id)
    ours = is_marked(view, request.migration_id, request.attempt)
    if view.state is not DomainState.ABSENT and not ours:
        what = f"has this guest already ({view.state}) and not from this attempt"
    else:
        other = host.hypervisor.id_of(request.name)
        if other is None or other == request.instance_id:
            return
        what = f"has another domain called {request.name!r} ({other})"
    raise Refused("destination.domain_exists", f"{host.settings.host} {what}; it is left alone")
