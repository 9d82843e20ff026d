"""What a guest needs of any host, told from its XML."""

from __future__ import annotations

import pytest

from migrator.compute_agent.held import held
from migrator.compute_agent.requested import requested
from migrator.model import (
    CpuPolicy,
    EmulatorPolicy,
    GuestCell,
    PciLive,
    PciRequest,
    RequestSpec,
    ResourceRequest,
)

PINNED = "<vcpupin vcpu='0' cpuset='4'/><vcpupin vcpu='1' cpuset='5'/>"
ONE_CELL = "<numatune><memory mode='strict' nodeset='1'/></numatune>"
TWO_CELLS = (
    "<cpu><numa><cell id='0' cpus='0' memory='262144'/>"
    "<cell id='1' cpus='1' memory='256' unit='MiB'/></numa></cpu>"
)


def of(inner: str, vcpus: str = "<vcpu>2</vcpu>", memory: int = 524288) -> RequestSpec:
    xml = f"<domain type='kvm'><memory unit='KiB'>{memory}</memory>{vcpus}{inner}</domain>"
    return requested(xml, held(xml))


def needs(inner: str, vcpus: str = "<vcpu>2</vcpu>") -> ResourceRequest:
    return of(inner, vcpus).resources


def test_a_plain_guest_needs_its_size_anywhere() -> None:
    assert needs("") == ResourceRequest(vcpus=2, memory_mib=512)


@pytest.mark.parametrize(
    ("tuned", "policy", "dedicated"),
    [
        ("", CpuPolicy.SHARED, ()),
        ("<vcpupin vcpu='0' cpuset='4-7'/>", CpuPolicy.SHARED, ()),
        ("<vcpupin vcpu='1' cpuset='4'/>", CpuPolicy.MIXED, (1,)),
        (PINNED, CpuPolicy.DEDICATED, (0, 1)),
    ],
)
def test_a_vcpu_that_has_a_cpu_needs_one(
    tuned: str, policy: CpuPolicy, dedicated: tuple[int, ...]
) -> None:
    found = needs(f"<cputune>{tuned}</cputune>")
    assert (found.cpu_policy, found.dedicated, found.cells) == (policy, dedicated, ())


@pytest.mark.parametrize(
    ("pin", "policy"),
    [
        ("", EmulatorPolicy.NONE),
        ("<emulatorpin cpuset='4-5'/>", EmulatorPolicy.NONE),
        ("<emulatorpin cpuset='6'/>", EmulatorPolicy.ISOLATE),
        ("<emulatorpin cpuset='0-1'/>", EmulatorPolicy.SHARE),
    ],
)
def test_qemus_threads_are_kept_off_the_guests_cpus_again(pin: str, policy: EmulatorPolicy) -> None:
    assert needs(f"<cputune>{PINNED}{pin}</cputune>").emulator is policy


@pytest.mark.parametrize(
    ("inner", "cells"),
    [
        (ONE_CELL, (GuestCell(0, (0, 1), 512),)),
        (ONE_CELL.replace("'1'", "'0-1'"), ()),
        (ONE_CELL.replace("strict", "preferred"), ()),
        (TWO_CELLS, ()),
        (
            TWO_CELLS + "<numatune><memnode cellid='0' mode='strict' nodeset='1'/>"
            "<memnode cellid='1' mode='strict' nodeset='0'/></numatune>",
            (GuestCell(0, (0,), 256), GuestCell(1, (1,), 256)),
        ),
        # both on one cell of the host: such a place is not looked for
        (TWO_CELLS + ONE_CELL, ()),
        (
            TWO_CELLS + "<numatune><memnode cellid='0' mode='strict' nodeset='1'/></numatune>",
            (),
        ),
    ],
)
def test_cells_that_lie_in_cells_of_their_own_need_some(
    inner: str, cells: tuple[GuestCell, ...]
) -> None:
    assert needs(inner).cells == cells


@pytest.mark.parametrize(
    ("pages", "size"),
    [
        ("<hugepages/>", 2048),
        ("<hugepages><page size='1' unit='GiB'/></hugepages>", 1048576),
        ("<hugepages><page size='2048' unit='KiB'/></hugepages>", 2048),
        ("<locked/>", None),
    ],
)
def test_huge_pages_are_needed_in_the_size_they_have(pages: str, size: int | None) -> None:
    assert needs(f"<memoryBacking>{pages}</memoryBacking>").page_kib == size


def source(bus: str) -> str:
    where = f"domain='0x0000' bus='{bus}' slot='0x02' function='0x1'"
    return f"<source><address type='pci' {where}/></source>"


def test_a_device_is_asked_for_by_its_address_until_its_make_is_known() -> None:
    devices = (
        f"<devices><hostdev mode='subsystem' type='pci'>{source('0xd8')}</hostdev>"
        f"<interface type='hostdev'>{source('0x3b')}</interface></devices>"
    )
    assert needs(devices).pci == (
        PciRequest("0000:3b:02.1", match=()),
        PciRequest("0000:d8:02.1", match=()),
    )


def test_a_device_with_a_stand_in_may_be_unplugged() -> None:
    interface = (
        "<devices><interface type='hostdev'><teaming type='transient' persistent='ua-b'/>"
        f"{source('0x3b')}</interface></devices>"
    )
    (request,) = needs(interface).pci
    assert request.live is PciLive.DETACH


def test_the_rest_of_the_domain_is_kept_for_choosing() -> None:
    spec = of(
        "<os firmware='efi'><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>"
        "<cpu mode='custom'><model>Cascadelake-Server</model></cpu><devices>"
        "<disk type='volume'><source pool='shared' volume='a'/></disk>"
        "<disk type='volume'><source pool='shared' volume='b'/></disk>"
        "<interface type='network'><source network='default'/></interface></devices>"
    )
    assert (spec.arch, spec.machine, spec.virt_type) == ("x86_64", "pc-q35-7.2", "kvm")
    assert (spec.cpu_model, spec.firmware) == ("Cascadelake-Server", "efi")
    assert (spec.pools, spec.networks) == (("shared",), ("default",))
    assert of("<cpu mode='host-passthrough'/>").cpu_model == "host-passthrough"


def test_what_is_no_domain_is_said_to_be_none() -> None:
    with pytest.raises(ValueError, match="no domain"):
        requested("<domain", held("<domain/>"))
