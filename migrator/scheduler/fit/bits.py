"""Sets of CPUs and cells as the bits of an integer: what a fit is fast by."""

from __future__ import annotations

from collections.abc import Iterable


def mask(numbers: Iterable[int]) -> int:
    """The set of ``numbers``."""
    bits = 0
    for number in numbers:
        bits |= 1 << number
    return bits


def numbers(bits: int) -> list[int]:
    """What is in the set, ascending."""
    found = []
    while bits:
        low = bits & -bits
        found.append(low.bit_length() - 1)
        bits ^= low
    return found


def first(bits: int, count: int) -> int:
    """The ``count`` lowest of the set."""
    chosen = 0
    for _ in range(count):
        low = bits & -bits
        chosen |= low
        bits ^= low
    return chosen
