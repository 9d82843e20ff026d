"""Which guests are tied to the host they are on, and what their owner reads."""

from __future__ import annotations

import pytest

from migrator.conductor.domain_xml.portability import TIED, Tied, reasons_not_to_move
from migrator.errors import CODES, Refused
from tests.unit.conductor.domain_xml.worked_example import GUESTS, golden

QEMU = "http://libvirt.org/schemas/domain/qemu/1.0"


def devices(inner: str) -> str:
    return f"<domain><devices>{inner}</devices></domain>"


TIED_GUESTS = {
    "devices/hostdev": (
        devices(
            "<hostdev mode='subsystem' type='pci'><source><address domain='0x0000' bus='0x3b' "
            "slot='0x02' function='0x1'/></source></hostdev>"
        ),
        "pci device 0000:3b:02.1",
    ),
    "devices/interface[@type='hostdev']": (
        devices("<interface type='hostdev'><mac address='52:54:00:00:00:01'/></interface>"),
        "interface 52:54:00:00:00:01",
    ),
    "devices/interface[@type='vdpa']": (
        devices("<interface type='vdpa'><source dev='/dev/vhost-vdpa-0'/></interface>"),
        "vDPA",
    ),
    "devices/interface[@type='vhostuser']": (
        devices("<interface type='vhostuser'><mac address='52:54:00:00:00:02'/></interface>"),
        "vhost-user",
    ),
    "devices/filesystem": (
        devices("<filesystem type='mount'><source dir='/srv/x'/></filesystem>"),
        "directory /srv/x",
    ),
    "devices/shmem": (devices("<shmem name='ring'/>"), "memory region ring"),
    "devices/tpm": (devices("<tpm model='tpm-crb'><backend type='emulator'/></tpm>"), "emulator"),
    "devices/input[@type='passthrough']": (
        devices("<input type='passthrough'><source evdev='/dev/input/event1'/></input>"),
        "/dev/input/event1",
    ),
    "devices/input[@type='evdev']": (
        devices("<input type='evdev'><source dev='/dev/input/event2'/></input>"),
        "/dev/input/event2",
    ),
    "devices/smartcard[@mode='host']": (devices("<smartcard mode='host'/>"), "smartcard"),
    "devices/smartcard[@mode='host-certificates']": (
        devices("<smartcard mode='host-certificates'/>"),
        "certificate",
    ),
    "devices/memory[@model='nvdimm']": (devices("<memory model='nvdimm'/>"), "NVDIMM"),
    "devices/memory[@model='virtio-pmem']": (devices("<memory model='virtio-pmem'/>"), "pmem"),
    "devices/memory[@model='sgx-epc']": (devices("<memory model='sgx-epc'/>"), "SGX"),
    "launchSecurity": ("<domain><launchSecurity type='sev'/></domain>", "sev"),
    "devices/video/model/acceleration[@accel3d='yes']": (
        devices("<video><model type='virtio'><acceleration accel3d='yes'/></model></video>"),
        "accel3d='no'",
    ),
    "devices/disk[transient]": (
        devices("<disk type='file'><target dev='vdx'/><transient/></disk>"),
        "disk vdx",
    ),
    "devices/disk[mirror]": (
        devices("<disk type='file'><target dev='vdy'/><mirror type='file'/></disk>"),
        "disk vdy",
    ),
}


@pytest.mark.parametrize("row", TIED, ids=lambda row: row.path)
def test_a_tied_device_is_refused_by_name(row: Tied) -> None:
    live_xml, named = TIED_GUESTS[row.path]
    (refusal,) = reasons_not_to_move(live_xml)
    assert refusal.code == row.code
    assert refusal.code in CODES
    assert named in refusal.message


def test_a_guest_without_ties_may_move() -> None:
    harmless = devices(
        "<interface type='network'/><interface type='bridge'/><interface type='direct'/>"
        "<input type='mouse'/><smartcard mode='passthrough' type='spicevmc'/>"
        "<memory model='dimm'/><video><model><acceleration accel3d='no'/></model></video>"
        "<disk type='file'/><rng/><watchdog/><controller/><redirdev/><vsock/>"
    )
    assert reasons_not_to_move(harmless) == ()


@pytest.mark.parametrize("guest", [guest for guest in GUESTS if guest != "passthrough"])
def test_the_golden_guests_may_move(guest: str) -> None:
    assert reasons_not_to_move(golden(guest, "live").read_text()) == ()


@pytest.mark.parametrize(
    "live_xml",
    [
        f"<domain xmlns:qemu='{QEMU}'><qemu:commandline/></domain>",
        f"<domain xmlns:other='{QEMU}'><other:commandline/></domain>",
        f"<domain><commandline xmlns='{QEMU}'/></domain>",
        f"<domain><q:commandline xmlns:q='{QEMU}'/></domain>",
        f"<domain xmlns:qemu='{QEMU}'><qemu:override/></domain>",
        f"<domain xmlns:qemu='{QEMU}'><qemu:capabilities/></domain>",
    ],
)
def test_hand_written_qemu_arguments_are_refused_under_any_prefix(live_xml: str) -> None:
    (refusal,) = reasons_not_to_move(live_xml)
    assert refusal.code == "device.not_migratable"
    assert "cannot be proven" in refusal.message


def test_other_namespaces_are_no_qemu_arguments() -> None:
    for live_xml in (
        "<domain xmlns:qemu='urn:example'><qemu:commandline/></domain>",
        f"<domain xmlns:qemu='{QEMU}'><metadata><qemu:commandline/></metadata></domain>",
        f"<domain xmlns:qemu='{QEMU}'><qemu:deprecation behavior='omit'/></domain>",
    ):
        assert reasons_not_to_move(live_xml) == ()


def test_every_reason_is_told_at_once_and_each_device_by_itself() -> None:
    live_xml = devices("<hostdev type='usb'/><hostdev type='mdev'/><shmem/>")
    assert [refusal.facts["device"] for refusal in reasons_not_to_move(live_xml)] == [
        "usb device",
        "mdev device",
        "memory region (unnamed)",
    ]


def test_a_name_full_of_braces_is_only_a_name() -> None:
    (refusal,) = reasons_not_to_move(devices("<shmem name='{0} {x}'/>"))
    assert "memory region {0} {x}" in refusal.message


def test_xml_that_is_not_a_domain_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        reasons_not_to_move("<network/>")
    assert refused.value.code == "domain.xml_invalid"
