"""What a guest's virtual CPU asks for, and what a host can offer it. Features by libvirt's names."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CpuOffer:
    """The most a host can offer guests of one architecture and virtualisation type."""

    arch: str
    virt_type: str
    features: tuple[str, ...]
    """Sorted; those of the model included."""


@dataclass(frozen=True)
class GuestCpu:
    """The CPU a guest runs with. One without a model's name (host-passthrough) has none of this."""

    features: tuple[str, ...]
    """All of them, as the libvirt of its host writes the model out; sorted."""
    named: tuple[str, ...]
    """Those of them that its domain asks for by name: every libvirt knows what they are or says no."""
