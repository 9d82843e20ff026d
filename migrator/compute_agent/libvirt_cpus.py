"""Which CPUs one libvirt can give its guests, and what a guest's CPU is made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import libvirt

from migrator.compute_agent.capabilities import (
    feature_policies,
    host_model_cpu,
    lacking_features,
    names_a_model,
)
from migrator.compute_agent.libvirt_errors import has_code, words
from migrator.model import CpuOffer, GuestCpu

_SUITS = (
    libvirt.VIR_CPU_COMPARE_IDENTICAL,
    libvirt.VIR_CPU_COMPARE_SUPERSET,
)
_UNTOLD = (
    "CONFIG_UNSUPPORTED",
    "CPU_INCOMPATIBLE",
    "INVALID_ARG",
    "NO_SUPPORT",
    "OPERATION_FAILED",
)
"""What libvirt answers where it cannot write a CPU out: a model it does not know, an architecture that
has no features."""


def offers(conn: libvirt.virConnect, kinds: Iterable[tuple[str, str]]) -> tuple[CpuOffer, ...]:
    """Of each architecture and virtualisation type that libvirt can tell it of: what host-model stands
    for there, written out."""
    found = []
    for arch, virt_type in kinds:
        try:
            offered = host_model_cpu(conn.getDomainCapabilities(None, arch, None, virt_type, 0))
            if offered is not None:
                features = _required(_expanded(conn, arch, None, virt_type, offered))
                found.append(CpuOffer(arch, virt_type, features))
        except libvirt.libvirtError as error:
            if not has_code(error, *_UNTOLD):
                raise
    return tuple(found)


def written_out(
    conn: libvirt.virConnect, arch: str, machine: str, virt_type: str, cpu_xml: str
) -> GuestCpu | None:
    """None of a CPU that names no model, and where libvirt cannot write it out."""
    if not names_a_model(cpu_xml):
        return None
    try:
        features = _required(_expanded(conn, arch, machine, virt_type, cpu_xml))
    except libvirt.libvirtError as error:
        if has_code(error, *_UNTOLD):
            return None
        raise
    return GuestCpu(features, tuple(sorted(set(_required(cpu_xml)) & set(features))))


def _required(cpu_xml: str) -> tuple[str, ...]:
    policies = feature_policies(cpu_xml)
    return tuple(sorted(name for name, policy in policies.items() if policy == "require"))


def missing_features(
    conn: libvirt.virConnect, arch: str, machine: str, virt_type: str, cpu_xml: str
) -> Sequence[str]:
    """Names of the features this host lacks; libvirt's own sentence where there are no names to give
    (a model it does not know, another vendor).

    Seen on libvirt 9.0: with ``virt_type`` qemu the comparison is against what TCG emulates. It says
    only yes or no; the names come from writing both CPUs out by baseline. A CPU without a model
    (host-passthrough, maximum) cannot be compared and is answered with none.
    """
    if not names_a_model(cpu_xml):
        return ()
    try:
        verdict = conn.compareHypervisorCPU(None, arch, machine, virt_type, cpu_xml, 0)
        if verdict in _SUITS:
            return ()
        named = _names(conn, arch, machine, virt_type, cpu_xml)
        if named:
            return named
        conn.compareHypervisorCPU(
            None,
            arch,
            machine,
            virt_type,
            cpu_xml,
            libvirt.VIR_CONNECT_COMPARE_CPU_FAIL_INCOMPATIBLE,
        )
    except libvirt.libvirtError as error:
        if has_code(error, "CPU_INCOMPATIBLE", "CONFIG_UNSUPPORTED", "INVALID_ARG") or (
            has_code(error, "INTERNAL_ERROR") and conn.isAlive() == 1
        ):
            return (words(error),)
        raise
    return ("the CPU does not suit this host",)


def _names(
    conn: libvirt.virConnect, arch: str, machine: str, virt_type: str, cpu_xml: str
) -> tuple[str, ...]:
    offered = host_model_cpu(conn.getDomainCapabilities(None, arch, machine, virt_type, 0))
    if offered is None:
        return ()
    guest, there = (_expanded(conn, arch, machine, virt_type, cpu) for cpu in (cpu_xml, offered))
    return lacking_features(cpu_xml, guest, there)


def _expanded(
    conn: libvirt.virConnect, arch: str, machine: str | None, virt_type: str, cpu_xml: str
) -> str:
    """With the features of its model."""
    expand = libvirt.VIR_CONNECT_BASELINE_CPU_EXPAND_FEATURES
    return str(conn.baselineHypervisorCPU(None, arch, machine, virt_type, [cpu_xml], expand))
