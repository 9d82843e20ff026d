"""Guests: a domain definition, its volumes, and waiting until it lives."""

import contextlib
import os
import re
import subprocess
import time
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

import libvirt

from nested import capabilities, console, pools
from nested.configuration import service_environment
from nested.errors import LabError, bad_input
from nested.host import anchor_of, connect, qemu_processes
from nested.layout import INITRAMFS, KERNEL, VENV_BIN, HostLayout
from nested.record import Record

METADATA = "https://migrator.invalid/lab/guest/1"
ROOM_FOR_KERNEL_MIB = 96
BOOT_SECONDS = 90
ADOPTION_SECONDS = 30


@dataclass(frozen=True)
class GuestRequest:
    """What ``tools/lab guest`` was asked for.  Sizes in MiB, rate in MiB/s (0 = without pause)."""

    name: str
    host: str
    memory: int = 256
    vcpus: int = 1
    pins: tuple[int, ...] = ()
    disks: tuple[pools.DiskRequest, ...] = ()
    dirty: int = 0
    dirty_rate: int = 0
    writes: int = 20
    """Blocks of 4 KiB a second, to each disk."""
    fill: int = 0
    beat: int = 10
    """Milliseconds between two looks at the clocks."""
    transient: bool = False
    cdrom: bool = False
    shared_memory: bool = False
    """A memory region that it shares with the host: libvirt does not migrate it, and can unplug it."""

    @property
    def volumes(self) -> list[str]:
        """Return the names of its volumes in order."""
        return [f"{self.name}-{target(index)}" for index in range(len(self.disks))]


def target(index: int) -> str:
    """Return the device name of disk ``index``."""
    return f"vd{chr(ord('a') + index)}"


def check(request: GuestRequest) -> None:
    """Refuse what cannot work, before anything is made."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,50}", request.name):
        raise bad_input("guest.name", f"{request.name!r} is not a usable name.")
    needed = request.dirty + request.fill + ROOM_FOR_KERNEL_MIB
    if request.memory < needed:
        raise bad_input(
            "guest.memory",
            f"{request.dirty + request.fill} MiB of test memory need --memory {needed} or more.",
        )
    if not 1 <= request.vcpus <= 64:
        raise bad_input("guest.vcpus", "A guest has 1 to 64 virtual CPUs.")
    if request.pins and len(request.pins) != request.vcpus:
        raise bad_input(
            "guest.pin", f"--pin needs one CPU for each of the {request.vcpus} virtual CPUs."
        )
    absent = [pin for pin in request.pins if pin not in os.sched_getaffinity(0)]
    if absent:
        raise bad_input("guest.pin", f"This machine has no CPU {absent[0]}.")
    if not 1 <= request.beat <= 1000:
        raise bad_input("guest.beat", "A guest's inner beat takes 1 to 1000 ms.")
    if len(request.disks) > 8:
        raise bad_input("guest.disk", "A guest has at most 8 disks.")


def domain_xml(request: GuestRequest, machine: str, emulator: str) -> str:
    """Return the definition: emulated always, because /dev/kvm may be there and useless."""
    pins = "".join(
        f"<vcpupin vcpu='{vcpu}' cpuset='{cpu}'/>" for vcpu, cpu in enumerate(request.pins)
    )
    disks = "".join(
        f"<disk type='volume' device='disk'>"
        f"<driver name='qemu' type='{disk.format}' cache='none' discard='unmap'/>"
        f"<source pool='{disk.pool}' volume={quoteattr(volume)}/>"
        f"<target dev='{target(index)}' bus='virtio'/></disk>"
        for index, (disk, volume) in enumerate(zip(request.disks, request.volumes, strict=True))
    )
    if request.cdrom:
        disks += "<disk type='file' device='cdrom'><target dev='sda' bus='sata'/><readonly/></disk>"
    if request.shared_memory:
        # The port first: a device that is to be unplugged stands in one of its own.
        disks += (
            "<controller type='pci' index='1' model='pcie-root-port'/>"
            f"<shmem name={quoteattr(request.name)}><model type='ivshmem-plain'/><size unit='M'>1</size>"
            "<address type='pci' domain='0' bus='1' slot='0' function='0'/></shmem>"
        )
    work = (
        f"dirty={request.dirty} rate={request.dirty_rate} fill={request.fill}"
        f" writes={request.writes} beat={request.beat}"
    )
    options = f"console=ttyS0 quiet mitigations=off {work}"
    return f"""<domain type='qemu'>
  <name>{escape(request.name)}</name>
  <metadata><lab:guest xmlns:lab='{METADATA}'><lab:work>{work}</lab:work></lab:guest></metadata>
  <memory unit='MiB'>{request.memory}</memory>
  <vcpu placement='static'>{request.vcpus}</vcpu>
  {f"<cputune>{pins}</cputune>" if pins else ""}
  <os>
    <type arch='x86_64' machine='{machine}'>hvm</type>
    <kernel>{escape(str(KERNEL))}</kernel><initrd>{escape(str(INITRAMFS))}</initrd><cmdline>{options}</cmdline>
  </os>
  <features><acpi/></features>
  <cpu mode='custom' match='exact' check='none'><model fallback='forbid'>qemu64</model></cpu>
  <clock offset='utc'/>
  <on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot><on_crash>destroy</on_crash>
  <devices>
    <emulator>{escape(emulator)}</emulator>
    {disks}
    <controller type='usb' model='none'/>
    <serial type='pty'>
      <log file={quoteattr(console.path_inside(request.name))} append='on'/><target port='0'/>
    </serial>
    <memballoon model='none'/>
    <console type='pty'><target type='serial' port='0'/></console>
  </devices>
</domain>"""


def create(record: Record, request: GuestRequest) -> None:
    """Boot a guest; return after its first heartbeat and once the service knows it."""
    check(request)
    host = record.host(request.host)
    anchor_of(host)
    for each in record.host_layouts:
        if request.name in qemu_processes(each):
            raise bad_input("guest.exists", f"Guest {request.name} runs on {each.name} already.")
    console.forget(record, request.name)
    with contextlib.closing(connect(host)) as connection:
        with contextlib.suppress(libvirt.libvirtError):
            connection.lookupByName(request.name)
            raise bad_input(
                "guest.exists",
                f"Guest {request.name} is defined on {host.name} already; "
                f"'tools/lab remove {request.name}' removes it.",
            )
        made: list[str] = []
        try:
            for disk, volume in zip(request.disks, request.volumes, strict=True):
                pools.create_volume(connection, volume, disk)
                made.append(volume)
            _start(connection, request)
            _await_heartbeat(host, request.name)
        except BaseException:
            _destroy(connection, request.name)
            pools.delete_volumes(connection, made)
            raise
    capabilities.keep(host)
    if record.services:
        _await_adoption(record, request.name)


def _start(connection: libvirt.virConnect, request: GuestRequest) -> None:
    try:
        machine, emulator = _newest_machine(connection)
        xml = domain_xml(request, machine, emulator)
        if request.transient:
            connection.createXML(xml)
        else:
            connection.defineXML(xml).create()
    except libvirt.libvirtError as error:
        raise LabError("guest.start", f"Guest {request.name} did not start: {error}") from error


def _newest_machine(connection: libvirt.virConnect) -> tuple[str, str]:
    """Return this QEMU's versioned q35 name (an alias may mean another one elsewhere) and its path."""
    xml = connection.getDomainCapabilities(None, "x86_64", "q35", "qemu", 0)
    machine = re.search(r"<machine>([^<]+)</machine>", xml)
    path = re.search(r"<path>([^<]+)</path>", xml)
    if not machine or not path:
        raise LabError("guest.start", "This libvirt offers no q35 machine for emulated guests.")
    return machine.group(1), path.group(1)


def _await_heartbeat(host: HostLayout, name: str) -> None:
    deadline = time.monotonic() + BOOT_SECONDS
    path = host.console(name)
    while time.monotonic() < deadline:
        text = path.read_text(errors="replace") if path.exists() else ""
        if console.HEARTBEAT in text:
            return
        if "corrupt set-up" in text:
            raise LabError(
                "guest.boot",
                f"Guest {name} could not set up its test memory; give it more --memory.",
            )
        if name not in qemu_processes(host):
            raise LabError(
                "guest.boot", f"Guest {name} ended before its first heartbeat: {text[-400:]}"
            )
        time.sleep(0.1)
    raise LabError("guest.boot", f"Guest {name} gave no heartbeat within {BOOT_SECONDS} s.")


def _await_adoption(record: Record, name: str) -> None:
    deadline = time.monotonic() + ADOPTION_SECONDS
    command = [str(VENV_BIN / "migrator"), "instance", "show", name, "-f", "json"]
    while True:
        shown = subprocess.run(
            command,
            env=os.environ | service_environment(record.layout),
            capture_output=True,
            text=True,
            check=False,
        )
        if shown.returncode == 0:
            return
        if time.monotonic() > deadline:
            raise LabError(
                "guest.unknown",
                f"Guest {name} runs, but after {ADOPTION_SECONDS} s 'migrator instance show' "
                f"still says: {shown.stderr.strip()}",
            )
        time.sleep(0.2)


def remove(record: Record, name: str) -> None:
    """Take a guest away wherever it is, with its definitions, volumes and console logs."""
    for host in record.host_layouts:
        with contextlib.closing(connect(host)) as connection:
            _destroy(connection, name)
            pools.delete_volumes(connection, [f"{name}-{target(index)}" for index in range(8)])
    console.forget(record, name)


def _destroy(connection: libvirt.virConnect, name: str) -> None:
    with contextlib.suppress(libvirt.libvirtError):
        domain = connection.lookupByName(name)
        with contextlib.suppress(libvirt.libvirtError):
            domain.destroy()
        domain.undefine()
