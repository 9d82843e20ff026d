"""What the other steps need to know of a running domain, read from its live XML. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree

from migrator.errors import Refused

KIB_PER_MIB = 1024


@dataclass(frozen=True)
class DomainFacts:
    """Parsed from libvirt's live XML; memory in MiB, rounded up."""

    vcpus: int
    """Plugged in now; ``<vcpu current=...>`` where hot-plug leaves room for more."""
    memory_mib: int
    """The most it may use (``<memory>``), whatever its balloon holds now."""
    arch: str
    machine: str
    virt_type: str
    emulator: str
    cpu_xml: str | None
    networks: tuple[str, ...]
    """libvirt networks its interfaces are plugged into."""
    host_devices: tuple[str, ...]
    """What keeps it on this host, one sentence each."""


def parse_domain(xml_text: str) -> DomainFacts:
    """Read the full live XML (VIR_DOMAIN_XML_SECURE, no other flag).

    :raises Refused: ``domain.xml_invalid`` when something every domain has is missing.
    """
    try:
        root = ElementTree.fromstring(xml_text)
        os_type = _need(root, "os/type")
        return DomainFacts(
            vcpus=_vcpus(_need(root, "vcpu")),
            memory_mib=-(-int(_need(root, "memory").text or "") // KIB_PER_MIB),
            arch=os_type.get("arch", ""),
            machine=os_type.get("machine", ""),
            virt_type=root.get("type", ""),
            emulator=root.findtext("devices/emulator", ""),
            cpu_xml=_cpu(root),
            networks=_networks(root),
            host_devices=tuple(dict.fromkeys(_host_devices(root))),
        )
    except (ElementTree.ParseError, ValueError) as error:
        raise Refused(
            "domain.xml_invalid",
            f"libvirt's description of the guest cannot be read: {error}. This should not happen:"
            " compare it with `virsh dumpxml`.",
        ) from error


def _need(root: ElementTree.Element, path: str) -> ElementTree.Element:
    found = root.find(path)
    if found is None:
        raise ValueError(f"there is no <{path}> in it")
    return found


def _vcpus(vcpu: ElementTree.Element) -> int:
    return int(vcpu.get("current") or vcpu.text or "")


def _cpu(root: ElementTree.Element) -> str | None:
    cpu = root.find("cpu")
    return None if cpu is None else ElementTree.tostring(cpu, encoding="unicode").strip()


def _networks(root: ElementTree.Element) -> tuple[str, ...]:
    sources = root.iterfind("devices/interface[@type='network']/source")
    return tuple(sorted({name for source in sources if (name := source.get("network"))}))


def _host_devices(root: ElementTree.Element) -> Iterator[str]:
    """Sentences about everything that libvirt or QEMU would refuse to migrate, or that would not be
    the same device over there."""
    yield from _passed_through(root)
    yield from _shared_with_host(root)
    yield from _blockers_of_qemu(root)


def _passed_through(root: ElementTree.Element) -> Iterator[str]:
    for hostdev in root.iterfind("devices/hostdev"):
        kind = hostdev.get("type", "unknown")
        if kind in ("pci", "mdev"):
            continue  # whether the guest can do without it for a while is the conductor's to say
        yield f"the host's {kind} device {_alias(hostdev)} is passed through to it; detach it first"
    for interface in root.iterfind("devices/interface"):
        if interface.get("type") == "vdpa":
            mac = interface.find("mac")
            address = mac.get("address", "") if mac is not None else _alias(interface)
            yield f"its network interface {address} is a device of the host; detach it first"
    for source in root.iterfind("devices/disk[@type='nvme']/source"):
        yield f"it drives the host's NVMe device {source.get('namespace', '')} itself; detach it first"
    for kind in ("evdev", "passthrough"):
        for _ in root.iterfind(f"devices/input[@type='{kind}']"):
            yield "an input device of the host is passed through to it; detach it first"
    for _ in root.iterfind("devices/tpm/backend[@type='passthrough']"):
        yield "the host's TPM is passed through to it; it cannot move without it"


def _shared_with_host(root: ElementTree.Element) -> Iterator[str]:
    for filesystem in root.iterfind("devices/filesystem"):
        target = filesystem.find("target")
        name = target.get("dir", "") if target is not None else ""
        yield f"a directory of the host is mounted in it as {name!r}; unmount and detach it first"
    for port in root.iterfind("devices/*[@type='dev']"):
        yield f"its {port.tag} {_alias(port)} is a character device of the host; detach it first"


def _blockers_of_qemu(root: ElementTree.Element) -> Iterator[str]:
    if root.find("launchSecurity") is not None:
        yield "its memory is encrypted for this host's processor; such a guest moves switched off only"
    for _ in root.iterfind("devices/video/model/acceleration[@accel3d='yes']"):
        yield "its graphics card uses the host's 3D acceleration; switch that off and start it again"
    for feature in root.iterfind("cpu/feature[@name='invtsc']"):
        fixed = root.find("clock/timer[@name='tsc'][@frequency]") is not None
        if feature.get("policy") == "require" and not fixed:
            yield (
                "its clock relies on an invariant TSC without a fixed frequency; give its <timer"
                " name='tsc'> a frequency, or remove invtsc, and start it again"
            )


def _alias(device: ElementTree.Element) -> str:
    alias = device.find("alias")
    return alias.get("name", "") if alias is not None else ""
