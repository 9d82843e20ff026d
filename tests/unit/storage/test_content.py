"""The digest of a range depends on what it holds and on nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from migrator.model import Range
from migrator.storage.content import BLOCK, ContentDigest

RANGE = Range(4 * BLOCK, 3 * BLOCK)

Part = tuple[int, bytes | None]
"""(length, data), data None for a hole."""


def fed(piece: Range, *parts: bytes | int) -> str | None:
    """The digest of a range given as data (bytes) and holes (their lengths)."""
    content = ContentDigest(piece)
    for part in parts:
        if isinstance(part, int):
            content.hole(part)
        else:
            content.data(part)
    return content.result().digest


def test_holes_and_written_zeros_are_alike() -> None:
    data = b"x" * 1000
    as_holes = fed(RANGE, BLOCK + 5, data, 2 * BLOCK - 1005)
    as_zeros = fed(RANGE, bytes(BLOCK + 5) + data, bytes(2 * BLOCK - 1005))
    assert as_holes is not None
    assert as_holes == as_zeros


def test_a_range_of_nothing_but_zeros_has_no_digest() -> None:
    assert fed(RANGE) is None
    assert fed(RANGE, bytes(3 * BLOCK)) is None


@given(st.lists(st.integers(1, 2 * BLOCK), min_size=1, max_size=6), st.integers(0, BLOCK - 1))
def test_how_the_stream_is_cut_does_not_matter(cuts: list[int], at: int) -> None:
    content = bytearray(3 * BLOCK)
    content[at] = 1
    content[BLOCK + at] = 2
    whole = bytes(content)
    pieces, begin = [], 0
    for cut in cuts:
        pieces.append(whole[begin : begin + cut])
        begin += cut
    pieces.append(whole[begin:])
    assert fed(RANGE, *(piece for piece in pieces if piece)) == fed(RANGE, whole)


@given(st.integers(0, 3 * BLOCK - 1), st.integers(0, 3 * BLOCK - 1))
def test_the_same_byte_elsewhere_is_another_content(one: int, other: int) -> None:
    def at(place: int) -> str | None:
        return fed(RANGE, *([place] if place else []), b"\x07")

    assert (at(one) == at(other)) == (one == other)


def test_the_same_bytes_at_another_offset_of_the_volume_are_another_content() -> None:
    assert fed(Range(0, BLOCK), b"x") != fed(Range(BLOCK, BLOCK), b"x")


def test_a_range_may_end_within_a_block() -> None:
    assert fed(Range(0, 10), b"0123456789") == fed(Range(0, 10), b"01234", b"56789")
    assert fed(Range(0, 10), b"01234") == fed(Range(0, 10), b"01234" + bytes(5))
