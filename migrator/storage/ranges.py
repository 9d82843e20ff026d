"""How a volume is cut for copying, and what two ends' digests say of a copy: pure.

Both ends must cut alike without asking each other, so the cut depends on the size alone. A range is
large enough that opening a stream for it costs nothing beside it, and small enough that the four
streams of one large volume end together and that little is repeated after a crash.
"""

from __future__ import annotations

from collections.abc import Sequence

from migrator.model import Range, RangeDigest, VolumeDigest

MIB = 1024 * 1024
SMALLEST = 64 * MIB
MOST_RANGES = 2048
"""Digests of one volume that travel in one message: some 200 KiB."""


def plan_ranges(size: int) -> tuple[Range, ...]:
    """The ranges of a volume of ``size`` bytes, in order; none for an empty one."""
    step = SMALLEST
    while step * MOST_RANGES < size:
        step *= 2
    return tuple(Range(offset, min(step, size - offset)) for offset in range(0, size, step))


def unproven(ranges: Sequence[RangeDigest], proven: Sequence[RangeDigest]) -> tuple[Range, ...]:
    """The ranges of ``ranges`` that the other end was not seen to hold alike."""
    known = {each.range: each.digest for each in proven}
    absent = object()
    return tuple(each.range for each in ranges if known.get(each.range, absent) != each.digest)


def difference(source: VolumeDigest, destination: VolumeDigest) -> str | None:
    """Why the one is no copy of the other, as a sentence's end; None when it is one."""
    if source.size != destination.size:
        return f"it has {destination.size} bytes where the source has {source.size}"
    missing = unproven(source.ranges, destination.ranges)
    if not missing:
        return None
    first = missing[0]
    return (
        f"{len(missing)} of its {len(source.ranges)} parts differ, the first at byte {first.offset}"
    )
