"""What the destination gives a guest, as far as its XML has to say it.

CPU numbers, cell numbers and PCI addresses are the destination's. What the source calls them stands
in the guest's XML already.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from migrator.conductor.domain_xml.addresses import AddressMap


@dataclass(frozen=True)
class Landing:
    """Where the guest's vCPUs, cells and host devices come to lie."""

    pins: Mapping[int, frozenset[int]] = field(default_factory=dict)
    """vCPU -> the CPUs that are its own; a vCPU that is not in it floats."""
    emulator: frozenset[int] = frozenset()
    """CPUs of QEMU's own threads; empty when they float."""
    floating: frozenset[int] = frozenset()
    """CPUs for whatever floats; empty when that may be any."""
    cells: Mapping[int, int] = field(default_factory=dict)
    """The guest's cell -> the host's; a guest without cells of its own has cell 0."""
    devices: Mapping[str, str] = field(default_factory=dict)
    """Address at the source -> at the destination, as ``0000:03:10.1`` or a mediated device's UUID."""


@dataclass(frozen=True)
class Arrival:
    """Everything about the destination that rewriters go by."""

    addresses: AddressMap
    landing: Landing | None = None
    """None leaves what is bound to CPUs, cells and devices of the host as it is."""


def cpuset(cpus: Collection[int]) -> str:
    """CPU or cell numbers as libvirt writes them: ``0-3,8``."""
    runs: list[list[int]] = []
    for cpu in sorted(cpus):
        if runs and cpu == runs[-1][1] + 1:
            runs[-1][1] = cpu
        else:
            runs.append([cpu, cpu])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in runs)
