"""The registry of storage pools: what every host last reported, and what is kept for migrations."""

from __future__ import annotations

from collections.abc import Iterator

from migrator.conductor.context import Context
from migrator.errors import Refused
from migrator.messages import PoolList, PoolOnHosts, PoolView
from migrator.storage.room import promised_bytes


def list_pools(context: Context) -> PoolList:
    """By name, then host."""
    return PoolList(pools=sorted(_views(context), key=lambda pool: (pool.name, pool.host)))


def show_pool(context: Context, name: str) -> PoolOnHosts:
    """:raises Refused: ``pool.unknown`` when no host has one of that name."""
    pools = list_pools(context).pools
    found = [pool for pool in pools if pool.name == name]
    if not found:
        known = ", ".join(dict.fromkeys(pool.name for pool in pools)) or "none"
        raise Refused(
            "pool.unknown",
            f"no host has an active storage pool {name!r}; those there are: {known}",
            pool=name,
        )
    return PoolOnHosts(name=name, class_tag=found[0].class_tag, hosts=found)


def _views(context: Context) -> Iterator[PoolView]:
    settings = context.settings
    for host in context.stores.hosts.list():
        pools = host.facts.pool_facts if host.facts is not None else ()
        held = context.stores.disks.held_bytes(host.name, None) if pools else {}
        for pool in pools:
            yield PoolView(
                name=pool.name,
                host=host.name,
                kind=pool.kind,
                class_tag=settings.pool_classes.get(pool.name),
                uuid=pool.uuid,
                path=pool.path,
                source=pool.source,
                capacity=pool.capacity,
                allocation=pool.allocation,
                available=pool.available,
                promised=promised_bytes(pool, settings.disk_overcommit),
                claimed=held.get(pool.name, 0),
                formats=list(pool.formats),
                lacks=list(pool.lacks),
            )
