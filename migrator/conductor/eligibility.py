"""What two hosts and a guest allow, and why not. Pure.

Versions are libvirt's numbers: major * 1,000,000 + minor * 1,000 + release.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass

from migrator.cpu_lists import numbers_in
from migrator.model import Means, MeansVerdict

LIBVIRT_PARALLEL = 5_002_000
LIBVIRT_SYNCHRONOUS = 8_000_000
LIBVIRT_RESCUE = 8_005_000
"""From here on a broken post-copy can be paused and resumed; before, it is lost."""
LIBVIRT_ZERO_COPY = 8_005_000
QEMU_ZERO_COPY = 7_001_000
QEMU_PARALLEL_POSTCOPY = 10_001_000


@dataclass(frozen=True)
class Guest:
    """What of a guest decides how it can move."""

    paused: bool = False
    vfio: bool = False
    """A device of the host's is passed through to it."""
    huge_pages: bool = False
    file_backed: bool = False
    shared: bool = False
    """Its memory is shared with another process (vhost-user, virtiofs)."""
    persistent_memory: bool = False
    copies_disks: bool = False
    memory_limited: bool = False
    """Its definition says how much memory its QEMU may use, and so lock."""


@dataclass(frozen=True)
class Pair:
    """The older version of each, for both sides must know what they do."""

    libvirt: int
    qemu: int
    encrypted: bool = False
    no_page_faults: str = ""
    """Why a QEMU of the destination's cannot catch them; empty unless that is certain."""
    locks_memory: bool | None = None
    """The source's libvirt may let a QEMU lock memory; None while nobody knows."""


def guest_of(live_xml: str, paused: bool, copies_disks: bool = False) -> Guest:
    """From its domain XML."""
    root = ET.fromstring(live_xml)  # libvirt's own words
    backing = root.find("memoryBacking")
    source = None if backing is None else backing.find("source")
    access = None if backing is None else backing.find("access")
    kinds = {each.get("model") for each in root.findall("devices/memory")}
    return Guest(
        paused=paused,
        vfio=any(each.get("type") in ("pci", "mdev") for each in root.iter("hostdev"))
        or any(each.get("type") == "hostdev" for each in root.iter("interface")),
        huge_pages=backing is not None and backing.find("hugepages") is not None,
        file_backed=source is not None and source.get("type") == "file",
        shared=access is not None and access.get("mode") == "shared",
        persistent_memory=bool(kinds & {"nvdimm", "virtio-pmem"}),
        copies_disks=copies_disks,
        memory_limited=root.find("memtune/hard_limit") is not None,
    )


def emulator_cpus(live_xml: str) -> int | None:
    """How many CPUs its QEMU may use beside those of its vCPUs; None: any."""
    root = ET.fromstring(live_xml)
    pin = root.find("cputune/emulatorpin")
    vcpu = root.find("vcpu")
    listed = (None if pin is None else pin.get("cpuset")) or (
        None if vcpu is None else vcpu.get("cpuset")
    )
    return len(numbers_in(listed)) if listed else None


def judge(pair: Pair, guest: Guest) -> tuple[MeansVerdict, ...]:
    """Every means, each with its no."""
    return tuple(
        MeansVerdict(means, not why, why)
        for means, why in (
            (Means.PRECOPY, ""),
            (Means.POSTCOPY, _why_no_postcopy(pair, guest)),
            (Means.PAUSE, "the guest is paused already" if guest.paused else ""),
            (Means.THROTTLE, "the guest is paused: it writes nothing" if guest.paused else ""),
            (Means.PARALLEL, _older("libvirt", pair.libvirt, LIBVIRT_PARALLEL)),
            (Means.ZERO_COPY, _why_no_zero_copy(pair, guest)),
            (
                Means.COMPRESSION,
                "the guest's memory is encrypted on the way, which takes the CPU"
                if pair.encrypted
                else "",
            ),
            (Means.SYNCHRONOUS_WRITES, _why_no_synchronous_writes(pair, guest)),
        )
    )


def possible(verdicts: Sequence[MeansVerdict], means: Means) -> bool:
    return any(each.means is means and each.possible for each in verdicts)


def why_not(verdicts: Sequence[MeansVerdict], means: Means) -> str:
    """Empty when it is possible."""
    return next((each.why for each in verdicts if each.means is means), "nobody has looked")


def _why_no_postcopy(pair: Pair, guest: Guest) -> str:
    if guest.paused:
        return "the guest is paused: it needs no page before all are there"
    if guest.vfio:
        return "the guest has a VFIO device, which cannot wait for pages"
    if guest.persistent_memory:
        return "the guest has persistent memory"
    if guest.huge_pages:
        return "the guest has huge pages, each of which it would wait for whole"
    if guest.file_backed or guest.shared:
        return "the guest's memory is shared or backed by a file"
    if pair.no_page_faults:
        return f"the destination's QEMU cannot catch page faults: {pair.no_page_faults}"
    return _older("libvirt", pair.libvirt, LIBVIRT_RESCUE, " to rescue one that breaks")


def _why_no_zero_copy(pair: Pair, guest: Guest) -> str:
    if pair.encrypted:
        return "the stream is encrypted, which copies"
    if guest.memory_limited:
        return "the guest's definition limits what its QEMU may lock (memtune)"
    if pair.locks_memory is False:
        return "the source's libvirt may not let a QEMU lock its guest's memory"
    return _older("libvirt", pair.libvirt, LIBVIRT_ZERO_COPY) or _older(
        "QEMU", pair.qemu, QEMU_ZERO_COPY
    )


def _why_no_synchronous_writes(pair: Pair, guest: Guest) -> str:
    if not guest.copies_disks:
        return "no disk is copied"
    return _older("libvirt", pair.libvirt, LIBVIRT_SYNCHRONOUS)


def _older(what: str, have: int, need: int, use: str = "") -> str:
    if have >= need:
        return ""
    return f"{what} {_version(have)} is older than {_version(need)}, which it takes{use}"


def _version(number: int) -> str:
    return f"{number // 1_000_000}.{number // 1000 % 1000}"
