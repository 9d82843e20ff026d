"""What a fake host keeps of its domains."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from migrator.compute_agent.attempt_mark import (
    NAMESPACE,
    PREFIX,
    find_mark,
    mark_element,
    parse_mark,
)
from migrator.compute_agent.disk_xml import disk_facts
from migrator.messages import DiskFacts
from migrator.model import AttemptMark, DomainState, Reason, Statistics

if TYPE_CHECKING:
    from tests.fakes.hypervisor_transfer import FakeTransfer

ElementTree.register_namespace(PREFIX, NAMESPACE)

_DISK = """
    <disk type='volume' device='disk'>
      <driver name='qemu' type='{format}' cache='{cache}'/>
      <source pool='{pool}' volume='{volume}'/>{chain}
      <target dev='{target}' bus='virtio'/>
    </disk>"""
_LAYER = (
    "<backingStore type='file'><format type='{format}'/>"
    "<source file='{path}'/>{rest}</backingStore>"
)

_DOMAIN = """<domain type='qemu'>
  <name>{name}</name>
  <uuid>{id}</uuid>
  <memory unit='KiB'>{memory_kib}</memory>
  <currentMemory unit='KiB'>{memory_kib}</currentMemory>
  <vcpu placement='static'>{vcpus}</vcpu>{cputune}
  <os>
    <type arch='x86_64' machine='pc-q35-7.2'>hvm</type>
    <boot dev='hd'/>
  </os>
  <features>
    <acpi/>
  </features>
  <cpu mode='custom' match='exact' check='full'>
    <model fallback='forbid'>qemu64</model>
    <feature policy='require' name='x2apic'/>
    <feature policy='require' name='hypervisor'/>
  </cpu>
  <clock offset='utc'/>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>{disks}
    <interface type='network'>
      <mac address='52:54:00:00:00:01'/>
      <source network='default'/>
      <model type='virtio'/>
    </interface>{devices}
    <memballoon model='virtio'/>
  </devices>
</domain>"""


@dataclass(frozen=True)
class FakeDisk:
    """A volume a fake guest uses."""

    pool: str
    volume: str
    target: str = "vda"
    format: str = "raw"
    cache: str = "none"
    chain: Sequence[tuple[str, str]] = ()
    """What it stands on, nearest first: (path, format)."""

    def chain_xml(self) -> str:
        """As libvirt shows it of a running guest; nothing for a disk that stands alone."""
        xml = "<backingStore/>" if self.chain else ""
        for path, form in reversed(self.chain):
            xml = _LAYER.format(path=path, format=form, rest=xml)
        return xml


@dataclass(frozen=True)
class FakeGuest:
    """A guest to start on a fake host."""

    name: str
    id: str
    memory_mib: int = 256
    vcpus: int = 1
    persistent: bool = False
    autostart: bool = False
    running: bool = True
    disks: Sequence[FakeDisk] = ()
    cputune: str = ""
    """What its <cputune> says, as XML."""
    devices: str = ""
    """More devices, as XML."""
    xml: str | None = None
    """A domain XML of the test's own instead of the one made from the fields above."""

    def domain_xml(self) -> str:
        """Its XML as libvirt would print it."""
        if self.xml is not None:
            return self.xml
        disks = "".join(
            _DISK.format(
                format=disk.format,
                cache=disk.cache,
                pool=disk.pool,
                volume=disk.volume,
                target=disk.target,
                chain=disk.chain_xml(),
            )
            for disk in self.disks
        )
        return _DOMAIN.format(
            name=self.name,
            id=self.id,
            memory_kib=self.memory_mib * 1024,
            vcpus=self.vcpus,
            disks=disks,
            cputune=f"\n  <cputune>{self.cputune}</cputune>" if self.cputune else "",
            devices=self.devices,
        )


@dataclass
class FakeDomain:
    """A domain on one fake host. ``live_xml`` exists while it is active, ``inactive_xml`` while it
    is persistent, as in libvirt."""

    id: str
    name: str
    state: DomainState
    reason: Reason
    live_xml: str | None
    inactive_xml: str | None
    autostart: bool = False
    transfer: FakeTransfer | None = None
    """The transfer that leaves or reaches this host, while libvirt has the job."""
    completed: Statistics | None = None
    saved_xml: str | None = None
    """In its saved memory image, while it has one."""

    @property
    def persistent(self) -> bool:
        return self.inactive_xml is not None

    @property
    def active(self) -> bool:
        return self.live_xml is not None

    @property
    def xml(self) -> str:
        """The live XML if it is active, else the definition."""
        xml = self.live_xml if self.live_xml is not None else self.inactive_xml
        assert xml is not None
        return xml

    @property
    def vcpus(self) -> int:
        return _size(self.xml)[0]

    @property
    def memory_mib(self) -> int:
        return _size(self.xml)[1]

    @property
    def disks(self) -> tuple[DiskFacts, ...]:
        return _disks(self.xml)

    @property
    def mark(self) -> AttemptMark | None:
        return _mark(self.xml)

    def set_mark(self, mark: AttemptMark | None) -> None:
        """Write or remove the mark, live and persistent."""
        if self.live_xml is not None:
            self.live_xml = _with_mark(self.live_xml, mark)
        if self.inactive_xml is not None:
            self.inactive_xml = _with_mark(self.inactive_xml, mark)


# The same few documents are asked for the same things all the time.


@functools.lru_cache(maxsize=256)
def _size(xml: str) -> tuple[int, int]:
    """vCPUs, and memory in MiB."""
    root = ElementTree.fromstring(xml)
    return int(root.findtext("vcpu", "1")), int(root.findtext("memory", "0")) // 1024


@functools.lru_cache(maxsize=256)
def _disks(xml: str) -> tuple[DiskFacts, ...]:
    return disk_facts(xml)


@functools.lru_cache(maxsize=256)
def _mark(xml: str) -> AttemptMark | None:
    return parse_mark(xml)


def _with_mark(xml: str, mark: AttemptMark | None) -> str:
    root = ElementTree.fromstring(xml)
    metadata = root.find("metadata")
    old = find_mark(root)
    if metadata is not None and old is not None:
        metadata.remove(old)
    if mark is not None:
        if metadata is None:
            metadata = ElementTree.Element("metadata")
            root.insert(2, metadata)
        metadata.append(ElementTree.fromstring(mark_element(mark)))
    elif metadata is not None and len(metadata) == 0:
        root.remove(metadata)
    return ElementTree.tostring(root, encoding="unicode")
