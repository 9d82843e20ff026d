"""How a transfer's memory is sent: over how many connections, copied or not, packed or not. Pure.

Nothing is used that nothing speaks for; each choice says why. MiB/s throughout.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from migrator.conductor.eligibility import QEMU_PARALLEL_POSTCOPY, possible
from migrator.model import (
    PLAIN,
    XBZRLE,
    ZSTD,
    Forecast,
    Means,
    MeansVerdict,
    Packing,
    Profile,
    Sending,
)

ONE_CONNECTION = 1430.0
"""12 Gb/s. One connection of 100 GbE carried 13.6 Gb/s between two Cloud Hypervisors, eight the line's
rate (its pull request 7669); QEMU's is given a little less."""
ONE_ENCRYPTED = 286.0
"""300 MB/s: one QEMU thread with TLS on a link of 500 MB/s (openEuler's QEMU, pull request 38)."""
MOST_CONNECTIONS = 16
"""8 to 16 fill 100 Gb/s; beyond, what they cost grows (oVirt's and KubeVirt's advice)."""
FILLED = 0.8
"""Share of a link that an earlier move over one connection has to have carried to have filled it: its
beginning and end count as well."""
ZSTD_CONNECTION = 381.0
"""400 MB/s go into each connection's zstd: 64 GB in 20.2 s by 8 of them (QEMU,
docs/devel/migration/qatzip-compression.rst)."""
LIBVIRT_ZSTD = 9_004_000
QEMU_ZSTD = 5_000_000
XBZRLE_RATE = 1430.0
"""1.5 to 2.2 GB/s go into xbzrle (QEMU's commit that brought it)."""
CACHE_SHARE = 0.25
"""Of the guest's memory: xbzrle compares only what is still in its cache."""
LEAST_CACHE_MIB = 64
MOST_CACHE_MIB = 1024


@dataclass(frozen=True)
class Route:
    """From one host to another, for one guest."""

    link: float | None
    """What it carries at most, within the migration's own limit; None while nobody knows."""
    libvirt: int
    qemu: int
    cpus: int
    """That either host has, and the guest's QEMU may use beside its vCPUs."""
    carried: float | None = None
    """The most that an earlier move carried over one connection."""
    encrypted: bool = False
    locks_memory: bool | None = None
    memory_mib: int = 0
    """The guest's."""


@dataclass(frozen=True)
class SendingPlan:
    """What is chosen, and what another attempt would be sent by if it had to be packed."""

    sending: Sending
    packed: Sending
    means: tuple[MeansVerdict, ...]
    link_mib_s: float | None = None
    excludes_postcopy: bool = False
    """What is chosen cannot be followed by post-copy."""


def plan(
    route: Route, profile: Profile, means: Sequence[MeansVerdict], expected: Forecast | None
) -> SendingPlan:
    """The same means, of the three that are chosen here each with its why."""
    excluded = _why_not_instead_of_postcopy(route, profile, means, expected)
    connections, why_parallel = _parallel(route, excluded)
    packed = _packed(route, possible(means, Means.PARALLEL) and not excluded)
    compression, why_packed = _compressed(route, packed, expected)
    sending = Sending(connections)
    if not possible(means, Means.PARALLEL):
        sending = PLAIN
    if compression and possible(means, Means.COMPRESSION):
        sending = packed
        if packed.parallel and connections < 2:
            why_parallel = f"{packed.connections} connections, which {ZSTD} takes"
    zero_copy, why_zero = _zero_copy(route, sending)
    if zero_copy and possible(means, Means.ZERO_COPY):
        sending = replace(sending, zero_copy=True)
    chosen = {
        Means.PARALLEL: (sending.parallel, why_parallel),
        Means.ZERO_COPY: (sending.zero_copy, why_zero),
        Means.COMPRESSION: (sending.compression is not None, why_packed),
    }
    return SendingPlan(
        sending,
        packed,
        tuple(_told(each, chosen) for each in means),
        route.link,
        sending.parallel and route.qemu < QEMU_PARALLEL_POSTCOPY,
    )


def _told(verdict: MeansVerdict, chosen: dict[Means, tuple[bool, str]]) -> MeansVerdict:
    if verdict.means not in chosen or not verdict.possible:
        return verdict
    used, why = chosen[verdict.means]
    return replace(verdict, used=used, why=why)


def _why_not_instead_of_postcopy(
    route: Route, profile: Profile, means: Sequence[MeansVerdict], expected: Forecast | None
) -> str:
    """Why several connections may not take the place of an ending that the guest may need."""
    needed = profile.allow_postcopy and possible(means, Means.POSTCOPY)
    if not needed or route.qemu >= QEMU_PARALLEL_POSTCOPY or (expected and expected.sure):
        return ""
    return "before QEMU 10.1 several connections exclude post-copy, which the profile permits"


def _parallel(route: Route, excluded: str) -> tuple[int, str]:
    """Only where one connection cannot fill the link."""
    if route.link is None:
        return 1, "the speed of the link is not known"
    one = ONE_ENCRYPTED if route.encrypted else ONE_CONNECTION
    which = "one encrypted connection" if route.encrypted else "one connection"
    if route.link <= one:
        return 1, f"{which} fills a {route.link:.0f} MiB/s link"
    if route.carried is not None and route.carried >= FILLED * route.link:
        return 1, f"{which} has carried {route.carried:.0f} of the link's {route.link:.0f} MiB/s"
    if excluded:
        return 1, excluded
    number = min(math.ceil(route.link / one), MOST_CONNECTIONS, route.cpus)
    if number < 2:
        return 1, "there is no CPU for a second connection"
    return number, f"{number} connections for a {route.link:.0f} MiB/s link"


def _packed(route: Route, parallel: bool) -> Sending:
    """The best that both hosts know: zstd takes parallel connections, xbzrle takes none."""
    knows_zstd = route.libvirt >= LIBVIRT_ZSTD and route.qemu >= QEMU_ZSTD
    if knows_zstd and parallel and route.cpus >= 2:
        wanted = 2 if route.link is None else math.ceil(route.link / ZSTD_CONNECTION)
        return Sending(min(max(wanted, 2), MOST_CONNECTIONS, route.cpus), compression=ZSTD)
    size = min(max(int(route.memory_mib * CACHE_SHARE), LEAST_CACHE_MIB), MOST_CACHE_MIB)
    return Sending(compression=XBZRLE, cache_mib=1 << (size.bit_length() - 1))


def _compressed(route: Route, packed: Sending, expected: Forecast | None) -> tuple[bool, str]:
    """Only where the link is slower than the compressor and a pre-copy gains by it."""
    if expected is None or expected.dirty_mib_s is None:
        return False, "the guest's dirty rate was not measured"
    link = expected.bandwidth_mib_s if route.link is None else route.link
    if link is None:
        return False, "the speed of the link is not known"
    fast = XBZRLE_RATE
    if packed.compression == ZSTD:
        fast = ZSTD_CONNECTION * packed.connections
    if link >= fast:
        return False, f"{packed.compression} is slower than a {link:.0f} MiB/s link"
    match expected.packing:
        case Packing.NEEDED if packed.compression == ZSTD or expected.method == "none":
            return True, f"{packed.compression}, without which pre-copy would not end"
        case Packing.NEEDED:
            return False, "what else the profile permits ends it more surely than xbzrle"
        case Packing.SOONER if packed.compression == ZSTD:
            return True, f"{packed.compression}, by which pre-copy ends sooner"
        case Packing.SOONER:
            return False, "pre-copy ends without it, and xbzrle does not shorten a first pass"
    return False, "pre-copy would not gain by it"


def _zero_copy(route: Route, sending: Sending) -> tuple[bool, str]:
    """It takes 10 to 20 % off the time of 8 connections (QEMU's patches of April 2022)."""
    if not sending.parallel:
        return False, "only parallel connections can send without copying"
    if sending.compression is not None:
        return False, "what is packed is copied anyway"
    if not route.locks_memory:
        return False, "whether the source's libvirt may lock the guest's memory is not known"
    return True, "which spares the source's CPUs"
