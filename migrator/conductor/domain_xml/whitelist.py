"""What may differ between a guest's XML here and there, and a check that nothing else does.

The check reads both texts with the standard library's own tree, not with :mod:`document`, so that a
mistake in reading or writing cannot hide itself. Below ``<metadata>`` and in every text that is not
mere indentation each character counts.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from fnmatch import fnmatchcase
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from migrator.compute_agent.attempt_mark import NAMESPACE
from migrator.conductor.domain_xml.document import parse
from migrator.conductor.domain_xml.serial import CHARACTER_DEVICES

PINS = {"vcpupin": "vcpu", "emulatorpin": "", "iothreadpin": "iothread"}
"""Kinds of pins, and the attribute that says whose it is."""


@dataclass(frozen=True)
class Change:
    """One difference. ``path`` without positions, ``where`` with them; ``before`` is None for what is
    new, ``after`` for what is gone."""

    path: str
    where: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        if self.before is None:
            return f"{self.where}: {self.after!r} is new"
        if self.after is None:
            return f"{self.where}: {self.before!r} is gone"
        return f"{self.where}: {self.before!r} became {self.after!r}"


@dataclass(frozen=True)
class Allowed:
    """One row: a path (``*`` stands for anything), why it may differ, and how."""

    path: str
    reason: str
    how: Callable[[Change], bool]


def _replaced(change: Change) -> bool:
    return bool(change.before) and bool(change.after)


def _new(change: Change) -> bool:
    return change.before is None


def _said_raw(change: Change) -> bool:
    return change.before is None and change.after in ("raw", '<driver type="raw" />')


def _any(change: Change) -> bool:
    return True


def _gone(change: Change) -> bool:
    return change.after is None


def _named(change: Change) -> bool:
    return bool(change.after)


def _of_a_pool(change: Change) -> bool:
    return change.after in ("volume", "file", "block")


def _becomes(value: str) -> Callable[[Change], bool]:
    return lambda change: change.after == value


def _says_chain(change: Change) -> bool:
    return change.after is None or _closed(ElementTree.fromstring(change.after))


def _closed(layer: Element | None) -> bool:
    """Volumes of pools all the way down to an end; or nothing but the end."""
    while layer is not None and layer.get("type") == "volume":
        layer = layer.find("backingStore")
    return layer is not None and not layer.attrib and not len(layer)


def _replaced_or_gone(change: Change) -> bool:
    return bool(change.before)


def _only_pins(change: Change) -> bool:
    if change.before is not None or change.after is None:
        return False
    return all(child.tag == "vcpupin" for child in ElementTree.fromstring(change.after))


def _hexadecimal(change: Change) -> bool:
    """A part of a PCI address, as libvirt writes those and no other device's."""
    return all(re.fullmatch("0x[0-9a-f]+", value or "") for value in (change.before, change.after))


def _uuid(change: Change) -> bool:
    return all(
        re.fullmatch("[0-9a-f-]{36}", value or "") for value in (change.before, change.after)
    )


_BOUND_BY_HOST = "an address of the host itself: the guest listens on the host it is on"
_CPUS = "numbers of the host's own CPUs"
_CELLS = "numbers of the host's own cells"
_DEVICE = "the host's side of a device of the host"
_COPY = "a copied disk is the volume that was made for it, and stands on what was planned"
_SPARSE = "a copy keeps its holes"
_FORMAT = "no format means raw to libvirt; said aloud, nobody can guess another"

COPIED = "devices/disk(copied)"
"""Path of a disk that is another volume at the destination; of no other disk may the source or the chain
differ."""

WHITELIST: tuple[Allowed, ...] = (
    Allowed(f"metadata/{{{NAMESPACE}}}*", "the mark of the attempt that moves the guest", _any),
    Allowed("devices/disk/driver", _FORMAT, _said_raw),
    Allowed("devices/disk/driver/@type", _FORMAT, _said_raw),
    Allowed(f"{COPIED}/@type", _COPY, _of_a_pool),
    Allowed(f"{COPIED}/source/@index", _COPY, _gone),
    *(
        Allowed(f"{COPIED}/source/@{name}", _COPY, _any)
        for name in ("file", "dev", "pool", "volume")
    ),
    Allowed(f"{COPIED}/backingStore", _COPY, _says_chain),
    Allowed(f"{COPIED}/backingStore/*", _COPY, _any),
    Allowed(f"{COPIED}/driver", _SPARSE, _new),
    Allowed(f"{COPIED}/driver/@type", _FORMAT, _said_raw),
    Allowed(f"{COPIED}/driver/@discard", _SPARSE, _becomes("unmap")),
    Allowed(f"{COPIED}/driver/@detect_zeroes", _SPARSE, _becomes("unmap")),
    Allowed("devices/graphics/@listen", _BOUND_BY_HOST, _replaced),
    Allowed("devices/graphics/listen/@address", _BOUND_BY_HOST, _replaced),
    *(
        Allowed(f"devices/{device}/source/@host", _BOUND_BY_HOST, _replaced)
        for device in CHARACTER_DEVICES
    ),
    Allowed("vcpu/@cpuset", _CPUS, _replaced_or_gone),
    Allowed("cputune", "pins of a guest that had none of its own", _only_pins),
    *(Allowed(f"cputune/{pin}", "what floats needs no pin", _any) for pin in PINS),
    *(Allowed(f"cputune/{pin}/@cpuset", _CPUS, _replaced) for pin in PINS),
    Allowed("cputune/memorytune/node/@id", _CELLS, _replaced),
    Allowed("numatune/memory/@nodeset", _CELLS, _replaced),
    Allowed("numatune/memnode/@nodeset", _CELLS, _replaced),
    Allowed("devices/memory/source/nodemask/text()", _CELLS, _replaced),
    *(
        Allowed(f"devices/{device}/source/address/@{part}", _DEVICE, _hexadecimal)
        for device in ("hostdev", "interface")
        for part in ("domain", "bus", "slot", "function")
    ),
    Allowed("devices/hostdev/source/address/@uuid", _DEVICE, _uuid),
)


def unexpected_changes(
    before_xml: str, after_xml: str, copied: Collection[str] = ()
) -> tuple[str, ...]:
    """Every difference that :data:`WHITELIST` has no row for, with its path.

    :param copied: targets of the disks that are other volumes in ``after_xml``.
    :raises Refused: ``domain.xml_invalid`` for either text.
    """
    before, after = _tree(before_xml), _tree(after_xml)
    for tree in (before, after):
        _mark_copied(tree, copied)
    found = [str(change) for change in _differences(before, after) if not _allowed(change)]
    return (*found, *_open_ended(before, after))


def _mark_copied(domain: Element, copied: Collection[str]) -> None:
    """Give those disks a name of their own among the paths."""
    for disk in domain.findall("devices/disk"):
        if _target(disk) in copied:
            disk.tag = COPIED.rpartition("/")[2]


def _open_ended(before: Element, after: Element) -> Iterator[str]:
    """Copied disks that do not say where what they stand on ends."""
    sources = {_target(disk): disk.find("source") for disk in _copied_disks(before)}
    for disk in _copied_disks(after):
        old, new = sources.get(_target(disk)), disk.find("source")
        said = disk.findall("backingStore")
        if _shown(old) != _shown(new) and not (len(said) == 1 and _closed(said[0])):
            yield f"domain/devices/disk {_target(disk)}: it must say what it stands on, down to the end"


def _copied_disks(domain: Element) -> Iterator[Element]:
    """Their name is no tag that a path could look for."""
    name = COPIED.rpartition("/")[2]
    return (each for devices in domain.findall("devices") for each in devices if each.tag == name)


def _target(disk: Element) -> str:
    target = disk.find("target")
    return "" if target is None else target.get("dev", "")


def _allowed(change: Change) -> bool:
    return any(fnmatchcase(change.path, row.path) and row.how(change) for row in WHITELIST)


def _tree(text: str) -> Element:
    parse(text)  # refuses what must not reach a parser that expands and recurses
    builder = ElementTree.TreeBuilder(insert_comments=True, insert_pis=True)
    return ElementTree.fromstring(text, ElementTree.XMLParser(target=builder))


def _differences(before: Element, after: Element) -> Iterator[Change]:
    if before.tag != after.tag:
        yield Change("", "domain", before.tag, after.tag)
    yield from _within(before, after, "", "domain")


def _within(before: Element, after: Element, path: str, where: str) -> Iterator[Change]:
    for name in sorted({*before.keys(), *after.keys()}):
        old, new = before.get(name), after.get(name)
        if old != new:
            yield Change(_join(path, f"@{name}"), f"{where}/@{name}", old, new)
    exact = path.startswith("metadata/") or not (len(before) or len(after))
    old_text, new_text = _text(before, exact), _text(after, exact)
    if old_text != new_text:
        yield Change(_join(path, "text()"), f"{where}/text()", old_text, new_text)
    yield from _children(before, after, path, where)


def _text(element: Element, exact: bool) -> str:
    """What an element says beside its children. Unless ``exact``, indentation is not text, and the
    rest is told by the child it follows."""
    pieces = [("", element.text or "")]
    pieces += [(f"after <{_name(child)}>: ", child.tail or "") for child in element]
    return "".join(after + text for after, text in pieces if exact or text.strip())


def _children(before: Element, after: Element, path: str, where: str) -> Iterator[Change]:
    old_names, new_names = [*map(_name, before)], [*map(_name, after)]
    old_labels, new_labels = _numbered(old_names), _numbered(new_names)
    for old, new in _aligned([*map(_key, before)], [*map(_key, after)]):
        if new is None and old is not None:
            yield from _one_sided(
                before[old], None, _join(path, old_names[old]), f"{where}/{old_labels[old]}"
            )
        elif old is None and new is not None:
            yield from _one_sided(
                None, after[new], _join(path, new_names[new]), f"{where}/{new_labels[new]}"
            )
        elif old is not None and new is not None:
            yield from _within(
                before[old], after[new], _join(path, old_names[old]), f"{where}/{old_labels[old]}"
            )


def _aligned(old: list[str], new: list[str]) -> Iterator[tuple[int | None, int | None]]:
    """Positions of children that stand for each other, by key and order; None where one side has
    none. Long equal ends are matched first: the matcher's time grows with the square."""
    head = 0
    while head < min(len(old), len(new)) and old[head] == new[head]:
        yield head, head
        head += 1
    tail = 0
    while tail < min(len(old), len(new)) - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    middle = old[head : len(old) - tail], new[head : len(new) - tail]
    matcher = SequenceMatcher(None, *middle, autojunk=False)
    for kind, old_from, old_to, new_from, new_to in matcher.get_opcodes():
        olds, news = range(head + old_from, head + old_to), range(head + new_from, head + new_to)
        if kind == "equal":
            yield from zip(olds, news, strict=True)
        else:
            yield from ((position, None) for position in olds)
            yield from ((None, position) for position in news)
    for back in range(tail, 0, -1):
        yield len(old) - back, len(new) - back


def _one_sided(
    before: Element | None, after: Element | None, path: str, where: str
) -> Iterator[Change]:
    """An element that only one side has. No ``<metadata>`` and an empty one say the same."""
    if path == "metadata":
        nothing = Element("metadata")
        yield from _within(
            nothing if before is None else before, nothing if after is None else after, path, where
        )
    else:
        yield Change(path, where, _shown(before), _shown(after))


def _shown(element: Element | None) -> str | None:
    return None if element is None else ElementTree.tostring(element, encoding="unicode").strip()


def _name(element: Element) -> str:
    """Comments and instructions have a function for a tag."""
    return element.tag if isinstance(element.tag, str) else "#comment"


def _key(element: Element) -> str:
    """What tells it from its neighbours: its name, and of a pin whose it is."""
    name = _name(element)
    return f"{name} {element.get(PINS[name])}" if PINS.get(name) else name


def _numbered(names: list[str]) -> list[str]:
    """``disk[2]``, or the bare name where there is no other."""
    total, seen = Counter(names), Counter[str]()
    labels = []
    for name in names:
        seen[name] += 1
        labels.append(name if total[name] == 1 else f"{name}[{seen[name]}]")
    return labels


def _join(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name
