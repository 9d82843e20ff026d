"""Begin to copy the guest's volumes to another host, or to prove what they hold here."""

from __future__ import annotations

from collections.abc import Sequence

from migrator.addresses import peer_uri
from migrator.compute_agent.context import AgentContext
from migrator.compute_agent.streams import Watching
from migrator.errors import Refused
from migrator.messages import StreamRole, StreamsTaken, StreamVolumes
from migrator.model import Range, VolumeCopy, VolumeDigest, VolumeRef
from migrator.storage.ranges import plan_ranges


def run(host: AgentContext, request: StreamVolumes) -> StreamsTaken:
    """Returns at once; ask with ``streams`` how it goes.

    :raises Refused: ``volume.missing``, ``pool.missing``, ``guest.busy`` when the guest runs here:
        what it writes meanwhile would not be in a copy.
    """
    view = host.hypervisor.view(request.instance_id)
    if view.active and not (request.bases and _only_read(host, request)):
        raise Refused(
            "guest.busy",
            f"{view.name} runs on {host.settings.host} ({view.state}); its volumes are streamed only"
            " while it is off",
            state=str(view.state),
        )
    ranges = [_ranges(host, volume.source) for volume in request.volumes]
    if request.role is StreamRole.PROOF:
        wanted = [(volume.source, cut) for volume, cut in zip(request.volumes, ranges, strict=True)]

        def work(watch: Watching) -> Sequence[VolumeDigest]:
            return host.hypervisor.digest_volumes(wanted, watch)

    else:
        peer = _peer(request)
        copies = [
            VolumeCopy(
                source=volume.source,
                destination=volume.destination,
                ranges=cut,
                proven=None if volume.proven is None else tuple(volume.proven),
            )
            for volume, cut in zip(request.volumes, ranges, strict=True)
        ]

        def work(watch: Watching) -> Sequence[VolumeDigest]:
            return host.hypervisor.copy_volumes(peer, copies, watch)

    return StreamsTaken(adopted=not host.streams.start(request, work))


def _only_read(host: AgentContext, request: StreamVolumes) -> bool:
    """None of them is a disk of the guest itself."""
    described = host.hypervisor.describe(request.instance_id)
    disks = () if described is None else described.disks
    written = {(disk.pool, disk.volume) for disk in disks if not disk.read_only}
    return all((each.source.pool, each.source.volume) not in written for each in request.volumes)


def _ranges(host: AgentContext, ref: VolumeRef) -> tuple[Range, ...]:
    info = host.hypervisor.volume_info(ref.pool, ref.volume)
    if info is None:
        raise Refused(
            "volume.missing",
            f"volume {ref.volume!r} is not in pool {ref.pool!r} of {host.settings.host} any more",
            pool=ref.pool,
            volume=ref.volume,
        )
    return plan_ranges(info.length)


def _peer(request: StreamVolumes) -> str:
    try:
        return peer_uri(request.peer_uri or "")
    except ValueError as error:
        raise Refused(
            "config.invalid",
            f"the destination cannot be reached by its peer_uri: {error}. Correct the configuration.",
        ) from error
