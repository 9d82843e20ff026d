"""The disks a domain's XML names."""

from __future__ import annotations

from migrator.compute_agent.disk_xml import disk_facts
from migrator.model import DiskLayer

DOMAIN = """<domain><devices>
  <disk type='volume' device='disk'>
    <driver name='qemu' type='qcow2' cache='none'/>
    <source pool='shared' volume='web1-vda'/>
    <target dev='vda' bus='virtio'/>
  </disk>
  <disk type='file' device='disk'>
    <driver name='qemu'/>
    <source file='/srv/a.img' index='1'/>
    <backingStore type='file'><format type='qcow2'/><source file='/srv/base'/></backingStore>
    <target dev='vdb'/>
    <shareable/>
  </disk>
  <disk type='block' device='lun'>
    <source dev='/dev/sdx'/>
    <target dev='sda'/>
  </disk>
  <disk type='network' device='disk'>
    <driver type='raw'/>
    <source protocol='rbd' name='pool/image'/>
    <target dev='vdc'/>
  </disk>
  <disk type='file' device='cdrom'>
    <target dev='sdb'/>
    <readonly/>
  </disk>
</devices></domain>"""


def test_every_disk_is_described_in_the_order_of_the_xml() -> None:
    disks = disk_facts(DOMAIN)
    assert [(disk.target, disk.device, disk.source_type) for disk in disks] == [
        ("vda", "disk", "volume"),
        ("vdb", "disk", "file"),
        ("sda", "lun", "block"),
        ("vdc", "disk", "network"),
        ("sdb", "cdrom", ""),
    ]


def test_a_volume_names_its_pool_and_the_others_their_path() -> None:
    places = [(disk.pool, disk.volume, disk.path) for disk in disk_facts(DOMAIN)]
    assert places == [
        ("shared", "web1-vda", None),
        (None, None, "/srv/a.img"),
        (None, None, "/dev/sdx"),
        (None, None, "pool/image"),
        (None, None, None),
    ]


def test_the_format_is_the_drivers_and_raw_when_it_says_none() -> None:
    assert [disk.format for disk in disk_facts(DOMAIN)] == ["qcow2", "raw", "raw", "raw", "raw"]


def test_cache_read_only_and_shareable_are_kept() -> None:
    disks = {disk.target: disk for disk in disk_facts(DOMAIN)}
    assert (disks["vda"].cache, disks["vdb"].cache) == ("none", None)
    assert [target for target, disk in disks.items() if disk.read_only] == ["sdb"]
    assert [target for target, disk in disks.items() if disk.shareable] == ["vdb"]


def test_a_chain_is_told_whole_and_ends_at_its_terminator() -> None:
    (disk,) = disk_facts(
        """<domain><devices><disk type='file' device='disk'>
        <driver name='qemu' type='qcow2' discard='unmap' detect_zeroes='off'/>
        <source file='/srv/top'/>
        <backingStore type='file'><format type='qcow2'/><source file='/srv/middle'/>
          <backingStore type='volume'><format type='raw'/><source pool='base' volume='b'/>
            <backingStore/>
          </backingStore>
        </backingStore>
        <target dev='vda' bus='scsi'/><serial>S1</serial>
        <encryption format='luks'/></disk></devices></domain>"""
    )
    assert disk.chain == [
        DiskLayer("qcow2", path="/srv/middle"),
        DiskLayer("raw", pool="base", volume="b"),
    ]
    assert (disk.bus, disk.serial) == ("scsi", "S1")
    assert (disk.discard, disk.detect_zeroes, disk.encrypted) == ("unmap", "off", True)
