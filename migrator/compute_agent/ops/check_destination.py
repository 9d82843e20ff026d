"""Could this host run the guest? Every no at once."""

from __future__ import annotations

from collections.abc import Iterator

from migrator.compute_agent.context import AgentContext
from migrator.compute_agent.encryption import refuse_control
from migrator.errors import Refused
from migrator.messages import CheckDestination, DestinationChecked, PoolIdentity
from migrator.model import DomainState, HostFacts, Refusal

Refusals = Iterator[Refusal]


def run(host: AgentContext, request: CheckDestination) -> DestinationChecked:
    """Changes nothing but the nonce it leaves in each pool for the source to read."""
    facts = host.hypervisor.host_facts()
    identities: list[PoolIdentity] = []
    refusals = [
        *_encryption(host, request),
        *_name_taken(host, request),
        *_machine(host, request, facts),
        *_networks(host, request),
        *_pools(host, request, identities),
        *_volumes(host, request, [identity.name for identity in identities]),
    ]
    return DestinationChecked(
        refusals=refusals,
        pools=identities,
        libvirt_version=facts.libvirt_version,
        hypervisor_version=facts.hypervisor_version,
        present=[[pool, volume] for pool, volume in request.look_for if _has(host, pool, volume)],
        pool_facts=list(host.hypervisor.pool_facts()) if request.look_for else [],
    )


def _has(host: AgentContext, pool: str, volume: str) -> bool:
    """Looks again after a refresh; a pool that is not there has nothing."""
    try:
        if host.hypervisor.has_volume(pool, volume):
            return True
        host.hypervisor.refresh_pool(pool)
        return host.hypervisor.has_volume(pool, volume)
    except Refused:
        return False


def _encryption(host: AgentContext, request: CheckDestination) -> Refusals:
    wanted = (request.encryption, host.settings.encryption)
    refusal = refuse_control("encryption", host.settings.addresses.peer_uri, wanted)
    if refusal is not None:
        yield refusal


def _name_taken(host: AgentContext, request: CheckDestination) -> Refusals:
    there = host.hypervisor.view(request.instance_id)
    if there.state is not DomainState.ABSENT:
        yield _exists(host, f"already has this guest ({there.state})", request.instance_id)
    other = host.hypervisor.id_of(request.name)
    if other is not None and other != request.instance_id:
        yield _exists(host, f"has another domain called {request.name!r} ({other})", other)


def _exists(host: AgentContext, what: str, instance_id: str) -> Refusal:
    return Refusal(
        "domain",
        "destination.domain_exists",
        f"{host.settings.host} {what}, and it is none of this migration's. Undefine it there if it is a"
        " leftover (`virsh undefine --keep-nvram`), or choose another host",
        {"id": instance_id},
    )


def _machine(host: AgentContext, request: CheckDestination, facts: HostFacts) -> Refusals:
    name = host.settings.host
    known = host.hypervisor.machine_types(request.arch, request.virt_type)
    if request.machine in known:
        yield from _cpu(host, request)
        return
    if not known:
        yield Refusal(
            "machine",
            "machine.unsupported",
            f"{name} cannot run {request.arch} guests of type {request.virt_type}; choose a host that"
            " can (`virsh domcapabilities` there says what it runs).",
            {"arch": request.arch, "virt_type": request.virt_type},
        )
        return
    yield Refusal(
        "machine",
        "machine.unsupported",
        f"the QEMU of {name} does not know machine type {request.machine}; install the QEMU version of"
        " the source there, or choose another host",
        {"machine": request.machine},
    )
    yield from _too_old(host, request, facts)


def _too_old(host: AgentContext, request: CheckDestination, facts: HostFacts) -> Refusals:
    """Age alone is no reason: a machine type that both know is the promise that counts."""
    pairs = {
        "libvirt": (facts.libvirt_version, request.source_libvirt_version),
        "QEMU": (facts.hypervisor_version, request.source_hypervisor_version),
    }
    older = {what: pair for what, pair in pairs.items() if pair[0] < pair[1]}
    if older:
        listed = " and ".join(
            f"{what} {_dotted(here)} where the source has {_dotted(there)}"
            for what, (here, there) in older.items()
        )
        yield Refusal(
            "version",
            "host.too_old",
            f"{host.settings.host} has {listed}; guests move to the same or a newer version. Upgrade it,"
            " or choose another host",
            {what: _dotted(here) for what, (here, _) in older.items()},
        )


def _dotted(version: int) -> str:
    """As libvirt writes numbers: major * 1,000,000 + minor * 1,000 + release."""
    return f"{version // 1_000_000}.{version // 1_000 % 1_000}.{version % 1_000}"


def _cpu(host: AgentContext, request: CheckDestination) -> Refusals:
    if request.cpu_xml is None:
        return
    missing = host.hypervisor.missing_features(
        request.arch, request.machine, request.virt_type, request.cpu_xml
    )
    if not missing:
        return
    name = host.settings.host
    # No feature's name has a blank; libvirt's own sentence, where it names none, does.
    named = [each for each in missing if " " not in each]
    why = (
        f"the guest runs with CPU features {name} does not have: {', '.join(named)}"
        if named
        else f"{name} cannot offer the guest its CPU: {'; '.join(missing)}"
    )
    yield Refusal(
        "cpu",
        "cpu.incompatible",
        f"{why}. Choose another host, or start the guest with a CPU model that both hosts offer.",
        {"features": named},
    )


def _networks(host: AgentContext, request: CheckDestination) -> Refusals:
    active = host.hypervisor.active_networks() if request.networks else ()
    for network in request.networks:
        if network not in active:
            yield Refusal(
                "networks",
                "network.missing",
                f"{host.settings.host} has no active network {network!r}; define and start it there"
                f" (`virsh net-start {network}`), or choose another host",
                {"network": network},
            )


def _pools(
    host: AgentContext, request: CheckDestination, identities: list[PoolIdentity]
) -> Refusals:
    for pool in request.pools:
        try:
            volumes = [volume for holder, volume in request.volumes if holder == pool]
            identities.append(host.hypervisor.write_pool_identity(pool, volumes))
        except Refused as refused:
            yield _of_pool(refused, pool)


def _volumes(host: AgentContext, request: CheckDestination, pools: list[str]) -> Refusals:
    """In the pools that are there; a missing pool was one no already."""
    for pool, volume in request.volumes:
        if pool not in pools:
            continue
        try:
            found = host.hypervisor.has_volume(pool, volume)
            if not found:
                # libvirt has not looked since somebody else put it there
                host.hypervisor.refresh_pool(pool)
                found = host.hypervisor.has_volume(pool, volume)
        except Refused as refused:
            yield _of_pool(refused, pool)
            continue
        if not found:
            yield Refusal(
                "volumes",
                "volume.missing",
                f"{host.settings.host} has no volume {volume!r} in its pool {pool!r}; that pool must be"
                " the same storage as the source's, or choose another host",
                {"pool": pool, "volume": volume},
            )


def _of_pool(refused: Refused, pool: str) -> Refusal:
    return Refusal("pools", refused.code, refused.message, {**refused.facts, "pool": pool})
