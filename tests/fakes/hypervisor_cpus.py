"""CPUs of fake hosts: one model, and features that a host may lack."""

from __future__ import annotations

from collections.abc import Collection
from xml.etree import ElementTree

from migrator.model import CpuOffer, GuestCpu

OF_MODEL = ("cx8", "fpu", "sse2", "x2apic")
"""What the model stands for that every fake guest has."""
BESIDES = ("aes", "avx", "avx2", "avx512f", "hypervisor", "sse4.2", "svm", "vmx")
"""What a host offers besides."""


def offers(arch: str, lacking: Collection[str]) -> tuple[CpuOffer, ...]:
    """Of a host that lacks some of it; what TCG emulates and what the machine can is all one."""
    features = tuple(sorted({*OF_MODEL, *BESIDES} - set(lacking)))
    return tuple(CpuOffer(arch, kind, features) for kind in ("kvm", "qemu"))


def written_out(cpu_xml: str) -> GuestCpu | None:
    """With the features of the model, but for those it goes without."""
    cpu = ElementTree.fromstring(cpu_xml)
    if not cpu.findtext("model"):
        return None
    policies = {one.get("name", ""): one.get("policy", "require") for one in cpu.iter("feature")}
    named = {name for name, policy in policies.items() if policy == "require"}
    without = policies.keys() - named
    return GuestCpu(tuple(sorted(named.union(OF_MODEL) - without)), tuple(sorted(named)))
