"""What is read from a domain's live XML, and what keeps a guest on its host."""

from __future__ import annotations

import pytest

from migrator.compute_agent.domain_facts import parse_domain
from migrator.errors import Refused

XML = """<domain type='kvm' id='3'>
  <name>g</name>
  <memory unit='KiB'>1049600</memory>
  <currentMemory unit='KiB'>524288</currentMemory>
  <vcpu placement='static' current='2'>8</vcpu>
  <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>
  {extra}
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <interface type='network'><source network='prod' portid='p' bridge='b'/></interface>
    <interface type='network'><source network='back'/></interface>
    <interface type='network'><source network='prod'/></interface>
    <interface type='bridge'><source bridge='br0'/></interface>
    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
    <tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>
    <console type='pty' tty='/dev/pts/1'><source path='/dev/pts/1'/></console>
    {device}
  </devices>
</domain>"""


def xml(device: str = "", extra: str = "") -> str:
    return XML.format(device=device, extra=extra)


def test_sizes_are_what_it_has_now_and_the_most_memory_it_may_use() -> None:
    facts = parse_domain(xml())
    assert (facts.vcpus, facts.memory_mib) == (2, 1025)


def test_machine_networks_and_cpu_are_read() -> None:
    facts = parse_domain(xml(extra="<cpu mode='custom'><model>Skylake</model></cpu>"))
    assert (facts.arch, facts.machine, facts.virt_type) == ("x86_64", "pc-q35-7.2", "kvm")
    assert facts.emulator == "/usr/bin/qemu-system-x86_64"
    assert facts.networks == ("back", "prod")
    assert facts.cpu_xml == '<cpu mode="custom"><model>Skylake</model></cpu>'


def test_a_guest_of_emulated_devices_may_leave_and_may_have_no_cpu_element() -> None:
    facts = parse_domain(xml())
    assert facts.host_devices == ()
    assert facts.cpu_xml is None


@pytest.mark.parametrize(
    ("device", "says"),
    [
        ("<hostdev mode='subsystem' type='usb'><alias name='hostdev0'/></hostdev>", "hostdev0"),
        ("<interface type='vdpa'><mac address='52:54:00:00:00:08'/></interface>", "52:54"),
        ("<filesystem type='mount'><target dir='share'/></filesystem>", "share"),
        ("<disk type='nvme' device='disk'><source namespace='1'/></disk>", "NVMe"),
        ("<input type='evdev'><source dev='/dev/input/event1'/></input>", "input device"),
        ("<tpm model='tpm-tis'><backend type='passthrough'/></tpm>", "TPM"),
        ("<serial type='dev'><source path='/dev/ttyS0'/></serial>", "character device"),
        ("<video><model type='virtio'><acceleration accel3d='yes'/></model></video>", "3D"),
    ],
)
def test_a_device_of_the_host_keeps_the_guest_there(device: str, says: str) -> None:
    (sentence,) = parse_domain(xml(device)).host_devices
    assert says in sentence


@pytest.mark.parametrize("device", ["<hostdev type='pci'/>", "<interface type='hostdev'/>"])
def test_whether_a_pci_device_may_be_let_go_of_is_not_judged_here(device: str) -> None:
    assert parse_domain(xml(device)).host_devices == ()


def test_memory_encrypted_for_the_processor_keeps_the_guest_there() -> None:
    (sentence,) = parse_domain(xml(extra="<launchSecurity type='sev'/>")).host_devices
    assert "encrypted" in sentence


@pytest.mark.parametrize(
    ("clock", "sentences"),
    [("<clock/>", 1), ("<clock><timer name='tsc' frequency='3000000000'/></clock>", 0)],
)
def test_an_invariant_tsc_needs_a_fixed_frequency(clock: str, sentences: int) -> None:
    cpu = "<cpu><feature policy='require' name='invtsc'/></cpu>"
    assert len(parse_domain(xml(extra=cpu + clock)).host_devices) == sentences


@pytest.mark.parametrize(
    "broken", ["", "<domain", "<domain/>", xml().replace("1049600", "much"), "<domain>\x00"]
)
def test_what_cannot_be_read_is_refused(broken: str) -> None:
    with pytest.raises(Refused) as caught:
        parse_domain(broken)
    assert caught.value.code == "domain.xml_invalid"
