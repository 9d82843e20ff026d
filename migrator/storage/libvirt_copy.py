"""Copying whole volumes from one libvirt to another, and digesting what a volume holds.

A few workers take range after range, of any volume, so that several volumes move at once and one large
volume by several streams. Each worker has connections of its own: a connection carries one call at a
time. Nothing is remembered for a crash: what a destination holds already is proven by its digests.

libvirt's errors pass through; who opened the connections knows which of them is dead.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

import libvirt

from migrator.errors import Refused
from migrator.model import (
    CopySample,
    Range,
    RangeDigest,
    VolumeCopy,
    VolumeDigest,
    VolumeRef,
)
from migrator.storage.content import BLOCK, ContentDigest
from migrator.storage.libvirt_streams import (
    Target,
    Writer,
    find_volume,
    make_empty,
    read,
    set_length,
    volume_facts,
)
from migrator.storage.ports import CopyWatch

E = TypeVar("E")
P = TypeVar("P")
R = TypeVar("R")

WORKERS = 4
"""Streams at once: reading, digesting and sending take turns in each, so that one alone leaves the
link idle most of the time; with more than four the two daemons are what is busy."""
LOOK_S = 0.1
"""Between two looks at whether the copy is to end."""
ABORT_S = 2.0
"""A worker sees the sign within a piece. One that hangs in a dead daemon is left to keepalive."""

_ZEROS = bytes(BLOCK)


@dataclass(frozen=True)
class Ends:
    """Connections of one worker."""

    source: libvirt.virConnect
    destination: libvirt.virConnect


OpenEnds = Callable[[], AbstractContextManager[Ends]]
Open = Callable[[], AbstractContextManager[libvirt.virConnect]]


def copy_volumes(
    open_ends: OpenEnds, copies: Sequence[VolumeCopy], watch: CopyWatch
) -> list[VolumeDigest]:
    """Copy every volume; what the sources hold, digested on the way.

    :raises Refused: ``migration.aborted`` once the watch says so.
    """
    with open_ends() as ends:
        targets = [_make_ready(ends, copy) for copy in copies]
    total = sum(piece.length for copy in copies for piece in copy.ranges)
    meter = _Meter(total, watch)
    pieces = [
        _Piece(copy, piece, target)
        for copy, target in zip(copies, targets, strict=True)
        for piece in copy.ranges
    ]
    found = iter(_Workers(open_ends, partial(_copy_piece, meter), meter).run(pieces))
    digests = [tuple(next(found) for _ in copy.ranges) for copy in copies]
    with open_ends() as ends:
        return [_copied(ends, copy, digest) for copy, digest in zip(copies, digests, strict=True)]


def digest_volumes(
    open_one: Open, wanted: Sequence[tuple[VolumeRef, Sequence[Range]]], watch: CopyWatch
) -> list[VolumeDigest]:
    """What every volume holds. :raises Refused: ``migration.aborted``"""
    meter = _Meter(sum(piece.length for _, ranges in wanted for piece in ranges), watch)
    pieces = [(ref, piece) for ref, ranges in wanted for piece in ranges]
    found = iter(_Workers(open_one, partial(_digest_piece, meter), meter).run(pieces))
    with open_one() as conn:
        return [_described(conn, ref, tuple(next(found) for _ in ranges)) for ref, ranges in wanted]


# ---------------------------------------------------------------- one piece


@dataclass(frozen=True)
class _Piece:
    """A range of one copy."""

    copy: VolumeCopy
    range: Range
    target: Target


def _make_ready(ends: Ends, copy: VolumeCopy) -> Target:
    """Empty the destination before a first copy into it."""
    source = volume_facts(find_volume(ends.source, copy.source))
    volume = find_volume(ends.destination, copy.destination)
    before = volume_facts(volume)
    fresh = before.allocated == 0 and before.size == source.size
    if not (before.is_block or fresh or copy.proven is not None):
        make_empty(volume, source.size)
    return Target(before.is_block, threading.Lock())


def _copied(ends: Ends, copy: VolumeCopy, digest: tuple[RangeDigest, ...]) -> VolumeDigest:
    """The source's digest, and the destination as long as the source."""
    described = _described(ends.source, copy.source, digest)
    volume = find_volume(ends.destination, copy.destination)
    there = volume_facts(volume)
    if there.size != described.size and described.size and not there.is_block:
        set_length(volume, described.size)
    return described


def _described(
    conn: libvirt.virConnect, ref: VolumeRef, ranges: tuple[RangeDigest, ...]
) -> VolumeDigest:
    seen = volume_facts(find_volume(conn, ref))
    return VolumeDigest(ref, seen.size, ranges, seen.allocated)


def _copy_piece(meter: _Meter, ends: Ends, piece: _Piece) -> RangeDigest:
    source = find_volume(ends.source, piece.copy.source)
    known = {each.range: each for each in piece.copy.proven or ()}.get(piece.range)
    if known is not None:
        here = _digest(meter, source, piece.range)
        if here == known:
            return here
        meter.moved(-piece.range.length)
    # Whatever an interrupted copy, or whoever made the image, left there is overwritten.
    occupied = known is not None and known.digest is not None
    destination = find_volume(ends.destination, piece.copy.destination)
    writer = Writer(destination, piece.range, piece.target)
    try:
        digest = _send(meter, source, writer, piece.range, occupied)
    except BaseException:
        writer.abort()
        raise
    writer.finish()
    return digest


def _send(
    meter: _Meter, source: libvirt.virStorageVol, writer: Writer, piece: Range, occupied: bool
) -> RangeDigest:
    content = ContentDigest(piece)

    def data(offset: int, chunk: bytes) -> None:
        meter.pace(len(chunk))
        writer.data(offset, chunk)
        content.data(chunk)
        meter.moved(len(chunk), len(chunk))

    def hole(offset: int, length: int) -> None:
        meter.check()
        if occupied:
            for at in range(offset, offset + length, BLOCK):
                meter.check()
                writer.data(at, _ZEROS[: min(BLOCK, offset + length - at)])
        else:
            writer.hole(offset, length)
        content.hole(length)
        meter.moved(length)

    read(source, piece, data, hole)
    return content.result()


def _digest_piece(
    meter: _Meter, conn: libvirt.virConnect, piece: tuple[VolumeRef, Range]
) -> RangeDigest:
    ref, wanted = piece
    return _digest(meter, find_volume(conn, ref), wanted)


def _digest(meter: _Meter, volume: libvirt.virStorageVol, piece: Range) -> RangeDigest:
    content = ContentDigest(piece)

    def data(_: int, chunk: bytes) -> None:
        meter.check()
        content.data(chunk)
        meter.moved(len(chunk))

    def hole(_: int, length: int) -> None:
        meter.check()
        content.hole(length)
        meter.moved(length)

    read(volume, piece, data, hole)
    return content.result()


# ---------------------------------------------------------------- the workers


class _Meter:
    """Counts for all workers, holds them to the bandwidth, and passes the sign to end on."""

    def __init__(self, total: int, watch: CopyWatch) -> None:
        self.ending = threading.Event()
        self._watch = watch
        self._lock = threading.Lock()
        self._total = total
        self._done = self._sent = 0
        self._bandwidth: int | None = None
        self._free_at = 0.0

    def check(self) -> None:
        """:raises Refused: ``migration.aborted``"""
        if self.ending.is_set() or self._watch.stopped:
            raise Refused("migration.aborted", "the copy was told to end")

    def pace(self, length: int) -> None:
        """Wait until so many bytes may be sent."""
        while (left := self._book(length)) > 0:
            self.check()
            self.ending.wait(min(left, LOOK_S))
        self.check()

    def _book(self, length: int) -> float:
        """0.0 when they may go now; else seconds until it is worth asking again. The bandwidth may have
        changed since: then it counts from now on."""
        bandwidth = self._watch.bandwidth
        now = time.monotonic()
        with self._lock:
            if bandwidth != self._bandwidth:
                self._bandwidth, self._free_at = bandwidth, now
            if bandwidth is None:
                return 0.0
            if self._free_at > now:
                return self._free_at - now
            # Whoever wakes up late catches up.
            self._free_at = max(self._free_at, now - LOOK_S) + length / bandwidth
        return 0.0

    def moved(self, done: int, sent: int = 0) -> None:
        with self._lock:
            self._done += done
            self._sent += sent
            sample = CopySample(self._total, self._done, self._sent)
        self._watch.moved(sample)

    @property
    def stopped(self) -> bool:
        return self._watch.stopped


class _Workers(Generic[E, P, R]):
    """Threads that take pieces until none is left or one has failed."""

    def __init__(
        self,
        open_ends: Callable[[], AbstractContextManager[E]],
        work: Callable[[E, P], R],
        meter: _Meter,
    ) -> None:
        self._open_ends = open_ends
        self._work = work
        self._meter = meter
        self._results: dict[int, R] = {}
        self._errors: list[BaseException] = []

    def run(self, pieces: Sequence[P]) -> list[R]:
        """The results in the order of the pieces. Raises what the first worker raised that failed."""
        waiting: queue.SimpleQueue[tuple[int, P]] = queue.SimpleQueue()
        for numbered in enumerate(pieces):
            waiting.put(numbered)
        threads = [
            threading.Thread(target=self._run, args=(waiting,), name=f"copy-{n}", daemon=True)
            for n in range(min(WORKERS, len(pieces)))
        ]
        for thread in threads:
            thread.start()
        self._wait(threads)
        if self._errors:
            raise self._errors[0]
        self._meter.check()
        return [self._results[number] for number in range(len(pieces))]

    def _wait(self, threads: Sequence[threading.Thread]) -> None:
        deadline: float | None = None
        while alive := [thread for thread in threads if thread.is_alive()]:
            if self._meter.stopped or self._errors:
                self._meter.ending.set()
                deadline = deadline or time.monotonic() + ABORT_S
                if time.monotonic() > deadline:
                    return
            alive[0].join(LOOK_S)

    def _run(self, waiting: queue.SimpleQueue[tuple[int, P]]) -> None:
        try:
            with self._open_ends() as ends:
                while not self._meter.ending.is_set():
                    try:
                        number, piece = waiting.get_nowait()
                    except queue.Empty:
                        return
                    self._results[number] = self._work(ends, piece)
        except BaseException as error:
            self._errors.append(error)
            self._meter.ending.set()
