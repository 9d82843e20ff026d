"""A volume copied and proven by the agents' own adapter; started by :mod:`benchmarks.cold_stream`.

python -m benchmarks.cold_copy SOURCE_URI PEER_URI DESTINATION_URI VOLUME COPY
"""

from __future__ import annotations

import sys

from migrator.compute_agent.libvirt_hypervisor import LibvirtHypervisor
from migrator.model import CopySample, VolumeCopy, VolumeRef
from migrator.storage.ranges import difference, plan_ranges

POOL = "local"


class Unwatched:
    """Nobody looks and nobody aborts."""

    stopped = False
    bandwidth = None

    def moved(self, sample: CopySample) -> None:
        """Of no interest here."""


def main(source_uri: str, peer_uri: str, destination_uri: str, volume: str, copy: str) -> None:
    """Copy once for every line that comes in, and say so: agents are up before anybody asks."""
    here, there = LibvirtHypervisor(source_uri), LibvirtHypervisor(destination_uri)
    print("ready", flush=True)
    for _ in sys.stdin:
        copy_once(here, there, peer_uri, (VolumeRef(POOL, volume), VolumeRef(POOL, copy)))
        print("copied", flush=True)


def copy_once(
    here: LibvirtHypervisor,
    there: LibvirtHypervisor,
    peer_uri: str,
    volumes: tuple[VolumeRef, VolumeRef],
) -> None:
    for hypervisor in (here, there):
        hypervisor.refresh_pool(POOL)
    source, destination = volumes
    facts = here.volume_info(POOL, volumes[0].volume)
    assert facts is not None
    ranges = plan_ranges(facts.length)
    held = here.copy_volumes(peer_uri, [VolumeCopy(source, destination, ranges)], Unwatched())
    arrived = there.digest_volumes([(destination, ranges)], Unwatched())
    wrong = difference(held[0], arrived[0])
    if wrong is not None:
        raise SystemExit(f"no copy: {wrong}")


if __name__ == "__main__":
    main(*sys.argv[1:])
