"""Which CPUs of the host each thread of the guest may run on.

vCPUs that have CPUs of their own are pinned to them. What floats gets the CPUs that the destination
keeps for that, or no restriction where it keeps none: the source's numbers mean nothing there. What
names the guest's own vCPUs (vcpusched, iothreadsched, shares, quotas, monitors) is as true there as
here and stays.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from xml.etree.ElementTree import Element

from migrator.conductor.domain_xml.document import insert, remove
from migrator.conductor.domain_xml.landing import Arrival, Landing, cpuset

BEFORE_CPUTUNE = (
    *("name", "uuid", "genid", "title", "description", "metadata", "maxMemory", "memory"),
    *("currentMemory", "blkiotune", "memtune", "memoryBacking", "vcpu", "vcpus", "iothreads"),
    *("iothreadids", "defaultiothread"),
)
"""What libvirt writes ahead of ``<cputune>``."""
BEFORE_VCPUPIN = (
    *("shares", "period", "quota", "global_period", "global_quota", "emulator_period"),
    *("emulator_quota", "iothread_period", "iothread_quota"),
)


def rewrite(domain: Element, arrival: Arrival) -> Iterator[str]:
    """Every vCPU, the emulator and each I/O thread on the destination's CPUs."""
    landing = arrival.landing
    if landing is None:
        return
    yield from _vcpu(domain, landing)
    yield from _pin_missing(domain, landing)
    cputune = domain.find("cputune")
    if cputune is None:
        return
    for pin in cputune.findall("vcpupin"):
        own = landing.pins.get(int(pin.get("vcpu", "-1")), frozenset())
        yield from _put(cputune, pin, own or landing.floating, f"vCPU {pin.get('vcpu')}")
    others = landing.emulator or landing.floating
    for pin in cputune.findall("emulatorpin"):
        yield from _put(cputune, pin, others, "the emulator")
    for pin in cputune.findall("iothreadpin"):
        yield from _put(cputune, pin, others, f"I/O thread {pin.get('iothread')}")


def _vcpu(domain: Element, landing: Landing) -> Iterator[str]:
    """``<vcpu cpuset>`` holds for every thread that has no pin of its own."""
    vcpu = domain.find("vcpu")
    old = None if vcpu is None else vcpu.get("cpuset")
    if vcpu is None or old is None:
        return
    pinned = {pin.get("vcpu") for pin in domain.iterfind("cputune/vcpupin")}
    others = [cpus for number, cpus in landing.pins.items() if str(number) not in pinned]
    new = frozenset[int]().union(*others) or landing.emulator or landing.floating
    if not new:
        del vcpu.attrib["cpuset"]
        yield f"threads without a pin of their own may use any CPU instead of {old}"
    elif cpuset(new) != old:
        vcpu.set("cpuset", cpuset(new))
        yield f"threads without a pin of their own use CPU {cpuset(new)} instead of {old}"


def _pin_missing(domain: Element, landing: Landing) -> Iterator[str]:
    """A vCPU with a CPU of its own that nothing but ``<vcpu cpuset>`` has kept there so far."""
    have = {pin.get("vcpu") for pin in domain.iterfind("cputune/vcpupin")}
    for number, cpus in sorted(landing.pins.items()):
        if str(number) in have or not cpus:
            continue
        cputune = _cputune(domain)
        pin = Element("vcpupin", {"vcpu": str(number), "cpuset": cpuset(cpus)})
        before = sum(child.tag in (*BEFORE_VCPUPIN, "vcpupin") for child in cputune)
        insert(cputune, before, pin, depth=2)
        yield f"vCPU {number} is pinned to CPU {cpuset(cpus)}"


def _cputune(domain: Element) -> Element:
    cputune = domain.find("cputune")
    if cputune is None:
        cputune = Element("cputune")
        position = sum(child.tag in BEFORE_CPUTUNE for child in domain)
        insert(domain, position, cputune, depth=1)
    return cputune


def _put(cputune: Element, pin: Element, cpus: Collection[int], who: str) -> Iterator[str]:
    old, new = pin.get("cpuset", ""), cpuset(cpus)
    if not new:
        remove(cputune, pin)
        yield f"{who} may use any CPU instead of {old}"
    elif new != old:
        pin.set("cpuset", new)
        yield f"{who} uses CPU {new} instead of {old}"
