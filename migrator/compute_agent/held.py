"""Which parts of its host a running guest has, read from its live XML. Pure.

Only what is its own for certain is told: a vCPU has a CPU when it is pinned to one and no other vCPU of
the guest is, QEMU's own threads have one when they are pinned to a single other one, memory and pages
lie in a cell when they are bound to one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from migrator.cpu_lists import numbers_in
from migrator.device_address import host_devices
from migrator.model import CellPlacement, DeviceGiven, PagesTaken, Placement

KIB_PER_MIB = 1024
_KIB = {"KiB": 1, "MiB": 1024, "GiB": 1024**2}


def held(xml_text: str) -> Placement:
    """:raises ValueError: for what is no domain's XML."""
    try:
        domain = ElementTree.fromstring(xml_text)
    except ElementTree.ParseError as error:
        raise ValueError(f"no domain: {error}") from error
    vcpus = _count(domain)
    pins = _pins(domain, vcpus)
    memory_kib = int(domain.findtext("memory", "0"))
    page_kib = _page_kib(domain)
    cells = _cells(domain, pins, vcpus, page_kib is None)
    return Placement(
        vcpus=vcpus - len(pins),
        memory_mib=-(-memory_kib // KIB_PER_MIB) if page_kib is None else 0,
        pins=tuple(sorted(pins.items())),
        emulator_cpu=_emulator(domain, pins),
        cells=cells,
        pages=_pages(domain, cells, page_kib) if page_kib is not None else (),
        page_kib=page_kib,
        devices=tuple(
            DeviceGiven("", address)
            for address in sorted({each[2] for each in host_devices(domain)})
        ),
    )


def _numbers(text: str) -> frozenset[int]:
    return frozenset(numbers_in(text))


def _count(domain: Element) -> int:
    vcpu = domain.find("vcpu")
    return 1 if vcpu is None else int(vcpu.get("current") or vcpu.text or "1")


def _pins(domain: Element, vcpus: int) -> Mapping[int, int]:
    runs_on: dict[int, frozenset[int]] = {}
    vcpu = domain.find("vcpu")
    common = None if vcpu is None else vcpu.get("cpuset")
    for number in range(vcpus):
        pin = domain.find(f"cputune/vcpupin[@vcpu='{number}']")
        text = common if pin is None else pin.get("cpuset")
        if text:
            runs_on[number] = _numbers(text)
    one = {number: next(iter(cpus)) for number, cpus in runs_on.items() if len(cpus) == 1}
    times = Counter(one.values())
    return {number: cpu for number, cpu in one.items() if times[cpu] == 1}


def _emulator(domain: Element, pins: Mapping[int, int]) -> int | None:
    pin = domain.find("cputune/emulatorpin")
    cpus = _numbers(pin.get("cpuset", "")) if pin is not None else frozenset[int]()
    own = cpus - frozenset(pins.values())
    return next(iter(own)) if pins and len(cpus) == len(own) == 1 else None


def _page_kib(domain: Element) -> int | None:
    """Of the first size named; 0 would be the host's default one, which is not told here."""
    if domain.find("memoryBacking/hugepages") is None:
        return None
    page = domain.find("memoryBacking/hugepages/page")
    return 0 if page is None else int(page.get("size", "0")) * _KIB.get(page.get("unit", "KiB"), 1)


def _cells(
    domain: Element, pins: Mapping[int, int], vcpus: int, ordinary: bool
) -> tuple[CellPlacement, ...]:
    lies_in = _lies_in(domain)
    cells = []
    for guest, (numbers, memory_mib) in sorted(_guest_cells(domain, vcpus).items()):
        if guest in lies_in:
            sharing = len(numbers - pins.keys())
            memory = memory_mib if ordinary else 0
            cells.append(CellPlacement(guest, lies_in[guest], sharing, memory))
    return tuple(cells)


def _lies_in(domain: Element) -> Mapping[int, int]:
    """Guest cell -> the host's, where it may lie in no other."""
    bound: dict[int, int] = {}
    memory = domain.find("numatune/memory[@mode='strict'][@nodeset]")
    if memory is not None:
        nodes = _numbers(memory.get("nodeset", ""))
        if len(nodes) == 1:
            (node,) = nodes
            guests = [int(cell.get("id", "0")) for cell in domain.iterfind("cpu/numa/cell")]
            bound.update({guest: node for guest in guests or [0]})
    for memnode in domain.iterfind("numatune/memnode[@nodeset]"):
        nodes = _numbers(memnode.get("nodeset", ""))
        if memnode.get("mode") == "strict" and len(nodes) == 1:
            bound[int(memnode.get("cellid", "0"))] = next(iter(nodes))
    return bound


def _guest_cells(domain: Element, vcpus: int) -> Mapping[int, tuple[frozenset[int], int]]:
    cells = {
        int(cell.get("id", "0")): (
            _numbers(cell.get("cpus", "0")),
            int(cell.get("memory", "0")) * _KIB.get(cell.get("unit", "KiB"), 1) // KIB_PER_MIB,
        )
        for cell in domain.iterfind("cpu/numa/cell")
    }
    if cells:
        return cells
    memory_mib = int(domain.findtext("memory", "0")) // KIB_PER_MIB
    return {0: (frozenset(range(vcpus)), memory_mib)}


def _pages(
    domain: Element, cells: tuple[CellPlacement, ...], page_kib: int
) -> tuple[PagesTaken, ...]:
    sizes = _guest_cells(domain, 1)
    taken = Counter[int]()
    for cell in cells:
        if page_kib:
            taken[cell.host] += sizes[cell.guest][1] * KIB_PER_MIB // page_kib
    return tuple(PagesTaken(host, page_kib, count) for host, count in sorted(taken.items()))
