"""Copying and digesting volumes of fake hosts. A copy takes no time, unless the fleet holds it."""

from __future__ import annotations

from collections.abc import Sequence

from migrator.errors import Broken, Refused, Transient
from migrator.model import CopySample, DiskFormat, Range, VolumeCopy, VolumeDigest, VolumeRef
from migrator.storage.content import ContentDigest
from migrator.storage.ports import CopyWatch
from tests.fakes.hypervisor_host import FakeHost
from tests.fakes.hypervisor_pools import FakeVolume

HELD_S = 0.01
"""Between two looks of a copy that is held."""


class FakeCopies(FakeHost):
    """The part of a fake hypervisor that is about the contents of volumes."""

    def copy_volumes(
        self,
        peer_uri: str,
        copies: Sequence[VolumeCopy],
        watch: CopyWatch,
    ) -> Sequence[VolumeDigest]:
        self._enter("copy_volumes")
        peer = self.fleet.by_peer_uri(peer_uri)
        if peer is None or not peer.up:
            raise Transient("libvirt.unreachable", f"libvirt at {peer_uri} cannot be reached")
        total = sum(piece.length for copy in copies for piece in copy.ranges)
        watch.moved(CopySample(total, 0))
        self._wait_while_held(peer, watch)
        digests, sent = [], 0
        for copy in copies:
            source, destination = _volume(self, copy.source), _volume(peer, copy.destination)
            if destination is source:
                raise Broken("copy.failed", "source and destination are one volume")
            held = _digest(copy.source, source, copy.ranges)
            missing = set(held.ranges) - set(copy.proven or ())
            self._send(len(source.content), peer, watch)
            sent += sum(each.length for each in missing)
            destination.content, destination.size = source.content, source.size
            if destination.format is DiskFormat.RAW:
                destination.size = source.length
            destination.allocated = source.allocated
            if self.garbles > 0:
                self.garbles -= 1
                destination.content = b"garbled " + source.content
            self.copied.append(copy)
            digests.append(held)
        watch.moved(CopySample(total, total, sent))
        return digests

    def digest_volumes(
        self, wanted: Sequence[tuple[VolumeRef, Sequence[Range]]], watch: CopyWatch
    ) -> Sequence[VolumeDigest]:
        self._enter("digest_volumes")
        return [_digest(ref, _volume(self, ref), ranges) for ref, ranges in wanted]

    def _wait_while_held(self, peer: FakeHost, watch: CopyWatch) -> None:
        self._check(peer, watch)
        while self.fleet.held:
            self.fleet.clock.sleep(HELD_S)
            self._check(peer, watch)

    def _send(self, length: int, peer: FakeHost, watch: CopyWatch) -> None:
        """As long as it takes at the bandwidth of the moment."""
        left = float(length)
        while left > 0 and (bandwidth := watch.bandwidth) is not None:
            self.fleet.clock.sleep(HELD_S)
            left -= bandwidth * HELD_S
            self._check(peer, watch)

    def _check(self, peer: FakeHost, watch: CopyWatch) -> None:
        if watch.stopped:
            raise Refused("migration.aborted", "the copy was told to end")
        if not (self.up and peer.up):
            raise Transient("libvirt.unreachable", "a libvirt went away during the copy")


def _volume(host: FakeHost, ref: VolumeRef) -> FakeVolume:
    found = host.pools.volume(ref.pool, ref.volume)
    if found is None:
        raise Refused("volume.missing", f"volume {ref.volume!r} is not in pool {ref.pool!r}")
    return found


def _digest(ref: VolumeRef, volume: FakeVolume, ranges: Sequence[Range]) -> VolumeDigest:
    digests = []
    for piece in ranges:
        content = ContentDigest(piece)
        content.data(volume.content[piece.offset : piece.end])
        digests.append(content.result())
    return VolumeDigest(ref, volume.length, tuple(digests), volume.allocated)
