"""What an operator may wish for an instance, and label a host with."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, TypeVar

from migrator.errors import Refused
from migrator.messages import WishInstance
from migrator.model import PciLive, PciNuma, ThreadPolicy, Wishes

MOST_LABELS = 32
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
_CHOICES: dict[str, type[enum.StrEnum]] = {
    "threads": ThreadPolicy,
    "pci_numa": PciNuma,
    "pci_live": PciLive,
}

E = TypeVar("E", bound=enum.StrEnum)


def wishes_after(wishes: Wishes, asked: WishInstance) -> Wishes:
    """``wishes`` with what was asked for.

    :raises Refused: ``request.invalid`` for what is no label or no choice, or contradicts itself.
    """
    changes: dict[str, Any] = {}
    for field in ("affinity", "anti_affinity", "tags", "forbidden_tags", "scratch"):
        given = getattr(asked, field)
        if given is not None:
            changes[field] = labels(field, given)
    if asked.zone is not None:
        changes["zone"] = label("zone", asked.zone)
    for field, choices in _CHOICES.items():
        text = getattr(asked, field)
        if text is not None:
            changes[field] = _choice(field, text, choices)
    after = replace(wishes, **changes)
    _consistent("tags", after.tags, "forbidden_tags", after.forbidden_tags)
    _consistent("affinity", after.affinity, "anti_affinity", after.anti_affinity)
    return after


def labels(field: str, given: Iterable[str]) -> tuple[str, ...]:
    """Sorted, each once. :raises Refused: ``request.invalid``."""
    found = tuple(sorted({_checked(field, each) for each in given}))
    if len(found) > MOST_LABELS:
        raise _invalid(field, f"has {len(found)} entries; {MOST_LABELS} are the most")
    return found


def label(field: str, text: str) -> str | None:
    """None for an empty one. :raises Refused: ``request.invalid``."""
    return _checked(field, text) if text else None


def _checked(field: str, text: str) -> str:
    if not _LABEL.fullmatch(text):
        raise _invalid(
            field,
            f"{text!r} is no label: 1 to 64 letters, digits, dots, colons, dashes and underscores,"
            " a letter or digit first",
        )
    return text


def _choice(field: str, text: str, choices: type[E]) -> E | None:
    if not text:
        return None
    if text not in set(choices):
        raise _invalid(field, f"cannot be {text!r}; there are {', '.join(choices)}")
    return choices(text)


def _consistent(one: str, ones: tuple[str, ...], other: str, others: tuple[str, ...]) -> None:
    both = sorted(set(ones) & set(others))
    if both:
        raise _invalid(one, f"and {other} both name {', '.join(both)}; no host would suit")


def _invalid(field: str, why: str) -> Refused:
    return Refused("request.invalid", f"{field} {why}", field=field)
