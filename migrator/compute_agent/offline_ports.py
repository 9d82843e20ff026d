"""What moving a guest that is off needs of its host's libvirt; a part of the Hypervisor port."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from migrator.model import Range, VolumeCopy, VolumeDigest, VolumeRef
from migrator.storage.ports import CopyWatch


class OfflineMoves(Protocol):
    """Raises as :class:`migrator.compute_agent.ports.Hypervisor` says."""

    def shutdown(self, instance_id: str) -> None:
        """Ask the guest's own system to shut down, and do not wait for it; success when it is off."""
        ...

    def start(self, instance_id: str) -> None:
        """Start a defined domain, from its saved memory where it has some; success when it runs.

        :raises Refused: ``guest.not_active`` when there is no such domain.
        :raises Broken: ``guest.start_failed`` with libvirt's words."""
        ...

    def define(self, xml: str) -> None:
        """Define a domain, or define it anew. :raises Refused: ``domain.xml_invalid``."""
        ...

    def saved_xml(self, instance_id: str) -> str | None:
        """The XML in its saved memory image, with what is secret; None when it has no image."""
        ...

    def define_saved(self, instance_id: str, xml: str) -> None:
        """Put another XML into its saved memory image. :raises Refused: ``domain.xml_invalid``."""
        ...

    def undefine_whole(self, instance_id: str) -> None:
        """Remove the definition, the saved memory image and the firmware's variables, keeping disks;
        success when there was none."""
        ...

    def open_directory(self, path: str) -> str:
        """The name of an active pool over that directory of the host; made for the time being when there
        is none. :raises Refused: ``pool.missing`` when there is no such directory."""
        ...

    def close_directory(self, path: str) -> None:
        """Let go of it, if it was made for the time being; the files stay."""
        ...

    def copy_volumes(
        self,
        peer_uri: str,
        copies: Sequence[VolumeCopy],
        watch: CopyWatch,
    ) -> Sequence[VolumeDigest]:
        """Stream volumes of this host into those of the libvirt at ``peer_uri``, holes kept; what the
        sources hold. Returns when all is there.

        :raises Refused: ``migration.aborted`` once the watch says so; ``volume.missing``,
            ``pool.missing``.
        :raises Transient: ``libvirt.unreachable`` when either side is lost: take it up again.
        :raises Broken: ``copy.failed`` with libvirt's words.
        """
        ...

    def digest_volumes(
        self, wanted: Sequence[tuple[VolumeRef, Sequence[Range]]], watch: CopyWatch
    ) -> Sequence[VolumeDigest]:
        """What volumes of this host hold, read here; raises as :meth:`copy_volumes` does."""
        ...
