"""What a section [host:NAME] says of the host's parts, as values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from migrator.cpu_lists import numbers_in
from migrator.model import DevicePattern, HostLimits

_SIZES = {"k": 1, "m": 1024, "g": 1024 * 1024}
_PAGES = re.compile(r"(\d+):(\d+)([KMGkmg]):(\d+)")
_ADDRESS = re.compile(r"[0-9a-f*]{1,8}:[0-9a-f*]{1,2}(:[0-9a-f*]{1,2}(\.[0-7*])?)?")
_MAKE = re.compile(r"([0-9a-f]{4}):([0-9a-f]{4}|\*)")


def reserved_pages(text: str) -> str:
    """``0:2M:64``: cell, size, number of pages. :raises ValueError: with the reason."""
    if not _PAGES.fullmatch(text):
        raise ValueError(f"{text!r}: write CELL:SIZE:PAGES, for example 0:2M:64")
    return text


def device_pattern(text: str) -> str:
    """``8086:154c=physnet1``, ``0000:3b:*``. :raises ValueError: with the reason."""
    pattern(text)
    return text


def pattern(text: str) -> DevicePattern:
    """What a device must look like, and the network it is plugged into."""
    device, _, network = text.partition("=")
    device = device.strip().lower()
    make = _MAKE.fullmatch(device)
    if make is not None:
        product = "" if make[2] == "*" else make[2]
        return DevicePattern(vendor=make[1], product=product, network=network.strip() or None)
    if not _ADDRESS.fullmatch(device):
        raise ValueError(
            f"{text!r}: write VENDOR:PRODUCT or ADDRESS, with =NETWORK where it is plugged into one;"
            " for example 8086:154c=red or 0000:3b:*"
        )
    return DevicePattern(address=device, network=network.strip() or None)


def host_limits(section: Any) -> HostLimits:
    """All of it."""
    return HostLimits(
        reserved_cpus=_cpus(section.reserved_cpus) or (),
        dedicated_cpus=_cpus(section.dedicated_cpus),
        shared_cpus=_cpus(section.shared_cpus),
        reserved_memory_mib=section.reserved_memory_mib,
        reserved_pages=tuple(map(_pages, section.reserved_pages)),
        cpu_overcommit=section.cpu_overcommit,
        memory_overcommit=section.memory_overcommit,
        devices=tuple(map(pattern, section.passthrough)),
    )


def contradictions(limits: HostLimits) -> Sequence[str]:
    """What cannot be so at once; CPUs that the host does not have are found by its agent."""
    sets = {
        "reserved_cpus": limits.reserved_cpus,
        "dedicated_cpus": limits.dedicated_cpus or (),
        "shared_cpus": limits.shared_cpus or (),
    }
    said = []
    for one, other in (
        ("dedicated_cpus", "shared_cpus"),
        ("reserved_cpus", "dedicated_cpus"),
        ("reserved_cpus", "shared_cpus"),
    ):
        both = sorted(set(sets[one]) & set(sets[other]))
        if both:
            named = ", ".join(map(str, both))
            said.append(f"CPU {named} is in both {one} and {other}; a CPU is one or the other")
    places = [(cell, size) for cell, size, _ in limits.reserved_pages]
    if len(set(places)) != len(places):
        said.append("reserved_pages names a cell and size twice")
    return said


def _cpus(text: str | None) -> tuple[int, ...] | None:
    return None if text is None else numbers_in(text)


def _pages(text: str) -> tuple[int, int, int]:
    match = _PAGES.fullmatch(text)
    assert match is not None
    return int(match[1]), int(match[2]) * _SIZES[match[3].lower()], int(match[4])
