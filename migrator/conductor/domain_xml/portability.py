"""Which parts of a guest tie it to the host it is on.

One row per kind of device: where in the domain's XML it stands, and what an operator reads. Disks'
contents are judged by :mod:`migrator.storage.plan`, CPU and machine type by the destination itself.
A UEFI guest's variables need no row: QEMU carries them in the stream and writes them out there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from migrator.conductor.domain_xml.document import parse
from migrator.device_address import name_of
from migrator.model import Refusal

FILTER = "devices"
QEMU_NAMESPACE = "http://libvirt.org/schemas/domain/qemu/1.0"
HARMLESS_QEMU_ELEMENTS = frozenset({"deprecation"})
"""Of libvirt's QEMU namespace: says how QEMU complains, not what it runs."""


@dataclass(frozen=True)
class Tied:
    """What is looked for, and why it cannot move; ``{0}`` in the sentence is the device's name."""

    path: str
    sentence: str
    name: Callable[[Element], str]
    code: str = "device.not_migratable"


def _the(name: str) -> Callable[[Element], str]:
    return lambda element: name


def _child(path: str, attribute: str, kind: str) -> Callable[[Element], str]:
    def name(element: Element) -> str:
        found = element.find(path)
        value = None if found is None else found.get(attribute)
        return f"{kind} {value}" if value else kind

    return name


def _host_device(element: Element) -> str:
    """``PCI device 0000:03:00.0`` where the address is said, else its kind."""
    kind = f"{element.get('type') or element.get('mode') or 'host'} device"
    address = element.find("source/address")
    if address is not None and address.get("uuid"):
        return f"mediated device {address.get('uuid')}"
    parts = [] if address is None else [address.get(key) for key in ("bus", "slot", "function")]
    if address is None or None in parts:
        return kind
    domain, bus, slot, function = (
        (part or "0").removeprefix("0x") for part in (address.get("domain"), *parts)
    )
    return f"{kind} {domain}:{bus}:{slot}.{function}"


_INTERFACE = _child("mac", "address", "interface")
_DISK = _child("target", "dev", "disk")

TIED: tuple[Tied, ...] = (
    Tied(
        "devices/hostdev",
        "{0} of this host is passed through to the guest, and its state cannot be copied; detach "
        "it with `virsh detach-device` and try again (a PCI or mediated device that the guest does "
        "without for a while: `migrator instance set INSTANCE --pci-live detach`)",
        _host_device,
    ),
    Tied(
        "devices/interface[@type='hostdev']",
        "{0} is a network device of this host passed through to the guest, and its state cannot be "
        "copied; detach it with `virsh detach-interface` and try again, or have it done where the guest "
        "has a bond: `migrator instance set INSTANCE --pci-live detach`",
        _INTERFACE,
    ),
    Tied(
        "devices/interface[@type='vdpa']",
        "{0} is a vDPA device of this host, and its state cannot be copied; detach it with `virsh "
        "detach-interface` and try again",
        _INTERFACE,
    ),
    Tied(
        "devices/interface[@type='vhostuser']",
        "{0} is served by another program over a socket of this host (vhost-user); whether the "
        "destination has one that can go on with it cannot be seen through libvirt; give the guest "
        "a bridge or network interface instead",
        _INTERFACE,
    ),
    Tied(
        "devices/filesystem",
        "{0} of this host is shared with the guest (virtiofs or 9p), and files the guest has open "
        "there cannot follow it; unmount and detach it and try again",
        _child("source", "dir", "directory"),
    ),
    Tied(
        "devices/shmem",
        "{0} is shared with other programs on this host, which would go on without the guest; "
        "detach it with `virsh detach-device` and try again, or have it done where the guest does "
        "without it for a while: `migrator instance set INSTANCE --pci-live detach`",
        lambda element: f"memory region {element.get('name') or '(unnamed)'}",
    ),
    Tied(
        "devices/tpm",
        "the guest's {0} keeps its secrets on this host, and migrator cannot prove that they arrive "
        "whole; remove the TPM",
        lambda element: f"TPM ({_child('backend', 'type', 'backend')(element)})",
    ),
    Tied(
        "devices/input[@type='passthrough']",
        "{0} of this host is passed through to the guest; detach it and try again",
        _child("source", "evdev", "input device"),
    ),
    Tied(
        "devices/input[@type='evdev']",
        "{0} of this host is passed through to the guest; detach it and try again",
        _child("source", "dev", "input device"),
    ),
    Tied(
        "devices/smartcard[@mode='host']",
        "{0} of this host is used by the guest; detach it and try again",
        _the("the smartcard reader"),
    ),
    Tied(
        "devices/smartcard[@mode='host-certificates']",
        "{0} of this host is used by the guest; detach it and try again",
        _the("the certificate database"),
    ),
    Tied(
        "devices/memory[@model='nvdimm']",
        "{0} keeps its contents in this host's storage; detach it and try again",
        _the("an NVDIMM"),
    ),
    Tied(
        "devices/memory[@model='virtio-pmem']",
        "{0} keeps its contents in this host's storage; detach it and try again",
        _the("a virtio-pmem device"),
    ),
    Tied(
        "devices/memory[@model='sgx-epc']",
        "{0} is memory only this host's CPU can read; the guest cannot move live",
        _the("an SGX enclave page cache"),
    ),
    Tied(
        "launchSecurity",
        "the guest's memory is protected by this host's CPU ({0}) and cannot be copied; the guest "
        "cannot move live",
        lambda element: element.get("type") or "launchSecurity",
    ),
    Tied(
        "devices/video/model/acceleration[@accel3d='yes']",
        "QEMU cannot migrate {0}; set accel3d='no' with `virsh edit` and restart the guest",
        _the("3D acceleration"),
    ),
    Tied(
        "devices/disk[transient]",
        "{0} is transient: what the guest wrote to it lies in a file that only this host has; "
        "remove <transient/> with `virsh edit` and restart the guest",
        _DISK,
    ),
    Tied(
        "devices/disk[mirror]",
        "{0} is being copied by a block job; wait for it or end it with `virsh blockjob --abort`",
        _DISK,
        code="guest.busy",
    ),
)


def reasons_not_to_move(live_xml: str, let_go: frozenset[str] = frozenset()) -> tuple[Refusal, ...]:
    """Every reason at once; empty when nothing in the guest's XML ties it to its host.

    :param let_go: devices, by their names, that the guest lets go of for the move.
    :raises Refused: ``domain.xml_invalid``.
    """
    domain = parse(live_xml)
    return (*_hand_written(domain), *_tied(domain, let_go))


def _hand_written(domain: Element) -> Iterator[Refusal]:
    for child in domain:
        # the prefix is the author's choice; the namespace it stands for is not
        prefix, colon, name = child.tag.rpartition(":")
        declaration = f"xmlns:{prefix}" if colon else "xmlns"
        uri = child.get(declaration, domain.get(declaration))
        if uri == QEMU_NAMESPACE and name not in HARMLESS_QEMU_ELEMENTS:
            yield Refusal(
                FILTER,
                "device.not_migratable",
                f"the guest has hand-written QEMU settings (<{child.tag}>), which cannot be proven "
                f"to mean the same on another host; remove <{child.tag}> with `virsh edit` and "
                "restart the guest",
                {"element": child.tag},
            )


def _tied(domain: Element, let_go: frozenset[str]) -> Iterator[Refusal]:
    for row in TIED:
        for element in domain.iterfind(row.path):
            if name_of(element) in let_go:
                continue
            name = row.name(element)
            yield Refusal(FILTER, row.code, row.sentence.format(name), {"device": name})
