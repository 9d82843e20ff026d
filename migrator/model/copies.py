"""Volumes that are copied while their guest is off, and the proof that a copy is one. Bytes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class VolumeRef:
    """A volume of one host."""

    pool: str
    volume: str


@dataclass(frozen=True)
class Range:
    """A piece of a volume; the unit of copying, proving and resuming."""

    offset: int
    length: int

    @property
    def end(self) -> int:
        return self.offset + self.length


@dataclass(frozen=True)
class RangeDigest:
    """What a range holds. ``digest`` is None when it holds nothing but zeros, written or not."""

    offset: int
    length: int
    digest: str | None = None

    @property
    def range(self) -> Range:
        return Range(self.offset, self.length)


@dataclass(frozen=True)
class VolumeDigest:
    """What a volume holds, range by range, and what it occupies."""

    ref: VolumeRef
    size: int
    """Length of the content, as the storage has it: a file's length, a device's size."""
    ranges: tuple[RangeDigest, ...]
    allocated: int = 0
    """What the storage spends on it."""


@dataclass(frozen=True)
class VolumeCopy:
    """One volume to be copied into one that is there already."""

    source: VolumeRef
    destination: VolumeRef
    ranges: tuple[Range, ...]
    proven: tuple[RangeDigest, ...] | None = None
    """What the destination was seen to hold, by whoever takes a copy up again: a range that holds the
    same here is not sent. None for a first copy: whatever the destination holds is nothing of ours."""


@dataclass(frozen=True)
class CopySample:
    """How far a copy, or the proof of one, is. Holes count as soon as they are met."""

    total: int
    done: int
    sent: int = 0
    """Bytes that went over the wire: data, not holes."""


@dataclass(frozen=True)
class StateFile:
    """A file that belongs to a guest and lies in no pool: its saved memory image, its firmware's
    variables. Both hosts have it at the same place."""

    directory: str
    name: str
    length: int = 0
    """Bytes."""
    pool: str = ""
    """Of one host, over the directory, for the time being."""
