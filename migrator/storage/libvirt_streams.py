"""The contents of volumes as libvirt streams: one range at a time, holes kept, no path opened.

Measured on libvirt 9.0: for a hole in an upload libvirt cuts the file off where the hole ends and lets
it grow again. Alone that is harmless; with several streams on one file it throws away what the others
have written behind it. So each stretch of data between two holes is a stream of its own, and nothing is
sent for a hole: the file has its length and nothing in it before (:func:`make_empty`). A block device
keeps whatever it held before, so there holes are sent, which libvirt writes as zeros.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

import libvirt

from migrator.errors import Refused
from migrator.model import Range, VolumeRef

AT_HOLE = -3
"""What recvFlags answers where a hole begins."""
PIECE = 1024 * 1024
"""Read together before it is digested and sent: libvirt's messages carry 256 KiB, in two parts."""

Data = Callable[[int, bytes], None]
"""(offset, bytes)"""
Hole = Callable[[int, int], None]
"""(offset, length)"""


@dataclass(frozen=True)
class VolumeFacts:
    """What the storage itself says of a volume; nothing here is read from its content. Bytes."""

    size: int
    """A file's length, a device's size."""
    allocated: int
    is_block: bool


def find_volume(conn: libvirt.virConnect, ref: VolumeRef) -> libvirt.virStorageVol:
    """:raises Refused: ``volume.missing``, ``pool.missing``."""
    try:
        pool = conn.storagePoolLookupByName(ref.pool)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_STORAGE_POOL:
            raise
        raise Refused(
            "pool.missing", f"there is no storage pool {ref.pool!r} any more", pool=ref.pool
        ) from error
    try:
        return pool.storageVolLookupByName(ref.volume)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_STORAGE_VOL:
            raise
        raise Refused(
            "volume.missing",
            f"volume {ref.volume!r} is not in pool {ref.pool!r} any more",
            pool=ref.pool,
            volume=ref.volume,
        ) from error


def volume_facts(volume: libvirt.virStorageVol) -> VolumeFacts:
    """From the file system, never from a header a guest may have written."""
    kind, _, allocated = volume.info()
    _, _, physical = volume.infoFlags(libvirt.VIR_STORAGE_VOL_GET_PHYSICAL)
    return VolumeFacts(physical, allocated, kind == libvirt.VIR_STORAGE_VOL_BLOCK)


def read(volume: libvirt.virStorageVol, piece: Range, data: Data, hole: Hole) -> None:
    """Every byte of the range in order, as data or as holes. What the two raise ends it."""
    flags = libvirt.VIR_STORAGE_VOL_DOWNLOAD_SPARSE_STREAM
    at = piece.offset
    with _stream(volume) as stream:
        volume.download(stream, piece.offset, piece.length, flags)
        parts: list[bytes] = []
        held = 0
        while True:
            got = stream.recvFlags(PIECE, libvirt.VIR_STREAM_RECV_STOP_AT_HOLE)
            in_hole = got == AT_HOLE
            if not in_hole and got:
                parts.append(got)
                held += len(got)
            if held and (in_hole or not got or held >= PIECE):
                data(at, parts[0] if len(parts) == 1 else b"".join(parts))
                at += held
                parts, held = [], 0
            if in_hole:
                length = stream.recvHole(0)
                hole(at, length)
                at += length
            elif not got:
                return


@dataclass(frozen=True)
class Target:
    """A volume that several streams write at once."""

    is_block: bool
    opening: AbstractContextManager[object]
    """A lock: libvirt refuses to open a stream to a volume ("still in use") while it opens another."""


class Writer:
    """The other end of :func:`read`: what is written into one range of a volume."""

    def __init__(self, volume: libvirt.virStorageVol, piece: Range, target: Target) -> None:
        self._volume = volume
        self._piece = piece
        self._is_block = target.is_block
        self._opening = target.opening
        self._stream: libvirt.virStream | None = None

    def data(self, offset: int, chunk: bytes) -> None:
        if self._stream is None:
            flags = libvirt.VIR_STORAGE_VOL_UPLOAD_SPARSE_STREAM if self._is_block else 0
            self._open(offset, flags)
        assert self._stream is not None
        rest = memoryview(chunk)
        while rest:
            rest = rest[self._stream.send(bytes(rest) if len(rest) < len(chunk) else chunk) :]

    def hole(self, offset: int, length: int) -> None:
        if not self._is_block:
            self._close()
            return
        if self._stream is None:
            self._open(offset, libvirt.VIR_STORAGE_VOL_UPLOAD_SPARSE_STREAM)
        assert self._stream is not None
        self._stream.sendHole(length, 0)

    def finish(self) -> None:
        """Everything was given; returns when libvirt has written it."""
        self._close()

    def abort(self) -> None:
        """Something failed; what was written stays."""
        stream, self._stream = self._stream, None
        if stream is not None:
            with contextlib.suppress(libvirt.libvirtError):
                stream.abort()

    def _open(self, offset: int, flags: int) -> None:
        stream = self._volume.connect().newStream(0)
        with self._opening:
            self._volume.upload(stream, offset, self._piece.end - offset, flags)
        self._stream = stream

    def _close(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.finish()


def set_length(volume: libvirt.virStorageVol, size: int) -> None:
    """Cut a file volume off, or let it grow, at ``size`` bytes."""
    with _stream(volume) as stream:
        volume.upload(stream, size - 1, 0, libvirt.VIR_STORAGE_VOL_UPLOAD_SPARSE_STREAM)
        stream.sendHole(1, 0)


def make_empty(volume: libvirt.virStorageVol, size: int) -> None:
    """Give a file volume its length and nothing in it: what an image tool wrote when it was made must
    not show through the holes of what is copied into it."""
    flags = libvirt.VIR_STORAGE_VOL_UPLOAD_SPARSE_STREAM
    with _stream(volume) as stream:
        volume.upload(stream, 0, 0, flags)
        stream.sendHole(1, 0)
    with _stream(volume) as stream:
        volume.upload(stream, 0, 0, flags)
        stream.send(b"\0")
        if size > 1:
            stream.sendHole(size - 1, 0)


@contextlib.contextmanager
def _stream(volume: libvirt.virStorageVol) -> Iterator[libvirt.virStream]:
    """A stream that is finished when all went well and aborted when not."""
    stream = volume.connect().newStream(0)
    try:
        yield stream
    except BaseException:
        with contextlib.suppress(libvirt.libvirtError):
            stream.abort()
        raise
    stream.finish()
