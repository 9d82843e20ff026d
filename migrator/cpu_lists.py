"""CPU lists as libvirt and the kernel write them: ``0-3,8,^2``."""

from __future__ import annotations

import re
from collections.abc import Iterable

MOST = 8192
"""CPUs Linux can have; more is a slip of the finger."""

_PART = re.compile(r"(\^?)(\d+)(?:-(\d+))?")


def numbers_in(text: str) -> tuple[int, ...]:
    """What is listed, ascending. ``^`` takes away what was listed before it.

    :raises ValueError: with the reason.
    """
    found: set[int] = set()
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(f"{part!r} is no CPU and no range of CPUs; write for example 0-3,8")
        first = int(match[2])
        last = int(match[3] or first)
        if last < first or last >= MOST:
            raise ValueError(
                f"{part!r} is no range of CPUs; they are numbered from 0 to {MOST - 1}"
            )
        numbers = range(first, last + 1)
        if match[1]:
            found.difference_update(numbers)
        else:
            found.update(numbers)
    return tuple(sorted(found))


def cpu_list(text: str) -> str:
    """``text`` if it lists at least one CPU. :raises ValueError: with the reason."""
    if not numbers_in(text):
        raise ValueError(f"{text!r} lists no CPU")
    return text


def listed(cpus: Iterable[int]) -> str:
    """CPU or cell numbers as libvirt writes them: ``0-3,8``."""
    runs: list[list[int]] = []
    for cpu in sorted(set(cpus)):
        if runs and cpu == runs[-1][1] + 1:
            runs[-1][1] = cpu
        else:
            runs.append([cpu, cpu])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in runs)
