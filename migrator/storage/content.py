"""What a range of a volume holds, as a digest that holes do not change: pure.

Two copies of one content may differ in what is a hole and what is written zeros. So the range is cut
into blocks, counted from the volume's beginning; a block of nothing but zeros adds nothing, however it
is stored, and every other block adds its place and its bytes. A hole costs nothing to digest.
"""

from __future__ import annotations

import hashlib

from migrator.model import Range, RangeDigest, VolumeDigest

BLOCK = 1024 * 1024
_ZEROS = bytes(BLOCK)
ALGORITHM = "sha256"


class ContentDigest:
    """Fed in order with the data and the holes of one range."""

    def __init__(self, piece: Range) -> None:
        self._range = piece
        self._at = piece.offset
        self._hash = hashlib.new(ALGORITHM)
        self._empty = True
        self._block_has_data = False

    @property
    def at(self) -> int:
        """Offset in the volume of what comes next."""
        return self._at

    def data(self, chunk: bytes) -> None:
        """The next bytes."""
        begin = 0
        while begin < len(chunk):
            left = self._left_in_block()
            # An aligned chunk is used as it came.
            whole = begin == 0 and len(chunk) <= left
            part = chunk if whole else chunk[begin : begin + left]
            if self._block_has_data or not is_zero(part):
                self._begin_block()
                self._hash.update(part)
            self._move(len(part))
            begin += len(part)

    def hole(self, length: int) -> None:
        """The next ``length`` bytes are zeros."""
        while length > 0:
            part = min(length, self._left_in_block())
            if not self._block_has_data:
                # Whole blocks of it at once.
                part += (length - part) // BLOCK * BLOCK
            else:
                self._hash.update(_ZEROS[:part])
            self._move(part)
            length -= part

    def result(self) -> RangeDigest:
        """Once all is fed; what did not come was a hole."""
        self.hole(self._range.end - self._at)
        digest = None if self._empty else self._hash.hexdigest()
        return RangeDigest(self._range.offset, self._range.length, digest)

    def _left_in_block(self) -> int:
        return BLOCK - self._at % BLOCK

    def _begin_block(self) -> None:
        """The block's place, and the zeros it began with."""
        if self._block_has_data:
            return
        self._block_has_data, self._empty = True, False
        start = max(self._at - self._at % BLOCK, self._range.offset)
        self._hash.update(start.to_bytes(8, "big"))
        self._hash.update(_ZEROS[: self._at - start])

    def _move(self, length: int) -> None:
        self._at += length
        if self._at % BLOCK == 0:
            self._block_has_data = False


def is_zero(part: bytes) -> bool:
    """Nothing but zeros; at most a block. Looks at the ends first: data seldom begins with a zero."""
    if part[0] or part[-1]:
        return False
    return part == (_ZEROS if len(part) == BLOCK else _ZEROS[: len(part)])


def content_digest(volume: VolumeDigest) -> str:
    """Of a whole volume, from its ranges'; volumes of one length that hold the same have the same."""
    whole = hashlib.new(ALGORITHM, f"{volume.size}".encode())
    for piece in volume.ranges:
        whole.update(f"/{piece.offset}+{piece.length}:{piece.digest or ''}".encode())
    return whole.hexdigest()
