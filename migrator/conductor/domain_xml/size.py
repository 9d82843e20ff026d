"""Another size for a guest that comes up anew: what a resize changes of its definition.

Applied after what its move may change was checked: a size is asked for, it does not follow from a host.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from migrator.errors import Refused

KIB_PER_MIB = 1024
TIED_TO_SIZE = ("cpu/numa", "cpu/topology", "devices/memory", "maxMemory", "vcpus")
"""What spells the old size out piece by piece; nobody but its owner can say what becomes of it."""


@dataclass(frozen=True)
class Size:
    """None leaves as it is."""

    vcpus: int | None = None
    memory_mib: int | None = None


def resize(domain: Element, size: Size) -> Iterator[str]:
    """Give the definition that size; yields what changed, in words.

    :raises Refused: ``domain.xml_invalid`` for a guest whose definition spells its size out.
    """
    if size == Size():
        return
    tied = [path for path in TIED_TO_SIZE if domain.find(path) is not None]
    if tied:
        raise Refused(
            "domain.xml_invalid",
            f"the guest's definition spells its size out in <{tied[0]}>; change that with `virsh edit`",
        )
    if size.vcpus is not None:
        yield from _put(domain, "vcpu", str(size.vcpus))
        vcpu = domain.find("vcpu")
        if vcpu is not None and vcpu.attrib.pop("current", None) is not None:
            yield "all vCPUs are plugged in from the start"
    if size.memory_mib is not None:
        for name in ("memory", "currentMemory"):
            element = domain.find(name)
            if element is not None:
                element.set("unit", "KiB")
            yield from _put(domain, name, str(size.memory_mib * KIB_PER_MIB))


def _put(domain: Element, name: str, text: str) -> Iterator[str]:
    element = domain.find(name)
    if element is not None and (element.text or "").strip() != text:
        yield f"{name} is {text} instead of {(element.text or '').strip()}"
        element.text = text
