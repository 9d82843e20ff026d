"""Reading libvirt's capabilities: what a host's hypervisor offers. Pure: XML in, values out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from xml.etree import ElementTree

from migrator.model import Machines


@dataclass(frozen=True)
class HostCapabilities:
    """What virConnectGetCapabilities says of the host itself."""

    uuid: str
    arch: str


def host_capabilities(xml: str) -> HostCapabilities:
    """The host's own part of the capabilities."""
    host = ElementTree.fromstring(xml)
    return HostCapabilities(
        uuid=host.findtext("host/uuid", "").strip(),
        arch=host.findtext("host/cpu/arch", "").strip(),
    )


def machines(xml: str, arch: str) -> tuple[Machines, ...]:
    """What guests of one architecture are offered, by virtualisation type."""
    found = (
        Machines(arch, virt_type, names)
        for virt_type in ("kvm", "qemu")
        if (names := machine_types(xml, arch, virt_type))
    )
    return tuple(found)


def machine_types(xml: str, arch: str, virt_type: str) -> tuple[str, ...]:
    """Machine types of that architecture and virtualisation type, canonical names and aliases.

    A ``<domain>`` that lists machines of its own replaces the architecture's list, as libvirt means it.
    """
    found: set[str] = set()
    for guest in ElementTree.fromstring(xml).iterfind("guest/arch"):
        if guest.get("name") != arch:
            continue
        for domain in guest.iterfind("domain"):
            if domain.get("type") != virt_type:
                continue
            for machine in domain.findall("machine") or guest.findall("machine"):
                found.add((machine.text or "").strip())
                found.add(machine.get("canonical", ""))
    return tuple(sorted(found - {""}))


def host_model_cpu(domain_capabilities_xml: str) -> str | None:
    """The ``<cpu>`` that host-model stands for, None where the hypervisor does not offer it.

    For an emulated guest that is what QEMU's TCG can do, not what the machine can.
    """
    mode = ElementTree.fromstring(domain_capabilities_xml).find("cpu/mode[@name='host-model']")
    if mode is None or mode.get("supported") != "yes":
        return None
    cpu = ElementTree.Element("cpu", {"mode": "custom", "match": "exact"})
    cpu.extend(list(mode))
    return ElementTree.tostring(cpu, encoding="unicode")


def names_a_model(cpu_xml: str) -> bool:
    """Whether the CPU can be compared at all: host-passthrough and maximum name no model."""
    return bool((ElementTree.fromstring(cpu_xml).findtext("model") or "").strip())


def feature_policies(cpu_xml: str) -> Mapping[str, str]:
    """feature name -> policy; libvirt's default policy is require."""
    return {
        feature.get("name", ""): feature.get("policy", "require")
        for feature in ElementTree.fromstring(cpu_xml).iterfind("feature")
    }


def lacking_features(guest: str, guest_expanded: str, host_expanded: str) -> tuple[str, ...]:
    """The features a host lacks for a guest's CPU, sorted.

    :param guest: the CPU as the guest runs it.
    :param guest_expanded: the same, all its features written out by the host
        (virConnectBaselineHypervisorCPU). Features of the model that the host lacks come back there as
        ``disable``, features the guest asks for explicitly stay ``require`` whether it has them or not.
    :param host_expanded: what the host offers, written out the same way.
    """
    asked = feature_policies(guest)
    expanded = feature_policies(guest_expanded)
    offered = {
        name for name, policy in feature_policies(host_expanded).items() if policy == "require"
    }
    switched_off = {
        name
        for name, policy in expanded.items()
        if policy == "disable" and asked.get(name, "require") in ("require", "force")
    }
    needed = {name for name, policy in expanded.items() if policy == "require"}
    return tuple(sorted(switched_off | (needed - offered)))
