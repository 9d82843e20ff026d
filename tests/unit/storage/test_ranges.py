"""How volumes are cut, and what two ends' digests say of a copy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.model import RangeDigest, VolumeDigest, VolumeRef
from migrator.storage.content import BLOCK
from migrator.storage.ranges import MOST_RANGES, SMALLEST, difference, plan_ranges, unproven

TIB = 1024**4
REF = VolumeRef("local", "web1-vda")


@given(st.integers(0, 64 * TIB))
def test_ranges_cover_a_volume_once_and_begin_at_whole_blocks(size: int) -> None:
    ranges = plan_ranges(size)
    assert len(ranges) <= MOST_RANGES
    at = 0
    for piece in ranges:
        assert piece.offset == at
        assert piece.offset % BLOCK == 0
        assert piece.length > 0
        at = piece.end
    assert at == size


@pytest.mark.parametrize(("size", "count"), [(0, 0), (1, 1), (SMALLEST, 1), (SMALLEST + 1, 2)])
def test_small_volumes_are_cut_at_the_smallest_range(size: int, count: int) -> None:
    assert len(plan_ranges(size)) == count


def digests(*contents: str | None) -> tuple[RangeDigest, ...]:
    return tuple(
        RangeDigest(number * SMALLEST, SMALLEST, content) for number, content in enumerate(contents)
    )


def volume(*contents: str | None, size: int = 3 * SMALLEST) -> VolumeDigest:
    return VolumeDigest(REF, size, digests(*contents))


def test_only_what_the_other_end_holds_alike_is_proven() -> None:
    missing = unproven(digests("a", None, "c"), digests("a", "b"))
    assert [piece.offset for piece in missing] == [SMALLEST, 2 * SMALLEST]


def test_a_copy_differs_in_nothing() -> None:
    assert difference(volume("a", None, "c"), volume("a", None, "c")) is None


@pytest.mark.parametrize(
    ("copy", "why"),
    [
        (volume("a", None, "d"), "1 of its 3 parts differ, the first at byte 134217728"),
        (volume("a", "b", "c"), "1 of its 3 parts differ, the first at byte 67108864"),
        (volume("a", None), "1 of its 3 parts differ, the first at byte 134217728"),
        (volume("a", None, "c", size=7), "it has 7 bytes where the source has 201326592"),
    ],
)
def test_what_is_no_copy_says_why(copy: VolumeDigest, why: str) -> None:
    assert difference(volume("a", None, "c"), copy) == why
