"""What a conductor is configured with, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from migrator.model import DEFAULT_PROFILE, HostAddresses


@dataclass(frozen=True)
class ConductorSettings:
    """Durations in seconds, memory in MiB."""

    name: str
    """Unique among conductors; the same name may take over at once from its former self."""
    encryption: str = "required"
    """``required``: every stream of a migration is under TLS or it is refused; ``off``."""
    lease_s: float = 10.0
    """A leader silent for longer loses its migrations to another conductor."""
    host_down_s: float = 15.0
    """An agent silent for longer counts as down."""
    cold_stop_s: float = 60.0
    """A guest that is to move cold has so long to shut down by itself."""
    cold_confirm_s: float = 0.0
    """So long after a cold move its source keeps the guest, to be reverted or confirmed; 0: not at
    all."""
    max_migrations: int = 16
    """Of the whole fleet at once."""
    default_profile: str = DEFAULT_PROFILE
    """Of instances that have none and migrations that ask for none."""
    max_outgoing: int = 2
    """Leaving one host at once."""
    max_incoming: int = 2
    """Arriving at one host at once."""
    link_mib_s: int | None = None
    """Of each host's link to the migration network, in MiB/s; None: not limited."""
    links_mib_s: Mapping[str, int] = field(default_factory=dict)
    """Of the hosts whose link differs."""
    cpu_overcommit: float = 16.0
    """vCPUs a host may promise per CPU it has."""
    memory_overcommit: float = 1.0
    cell_strategy: str = "spread"
    """``spread``: a guest goes to the NUMA cell of a host that has most left; ``pack``: least."""
    reserved_memory_mib: int = 512
    """Kept for the host itself."""
    disk_overcommit: float = 1.0
    """Bytes of disks a pool may promise per byte it has free; above 1 a copied disk counts with what
    its guest has written and not with all it may ever write."""
    pool_classes: Mapping[str, str] = field(default_factory=dict)
    """pool -> class tag: where a destination lacks a pool of the source's name, one of its class
    takes the copies."""
    delete_grace_s: float = 2.0
    """Between a guest's switch and the deletion of the volumes it left at its source."""
    synchronous_writes_mib_s: float = 32.0
    """A copied disk that its guest writes to faster than this is mirrored synchronously."""
    rescue_over_control: bool = True
    """An interrupted post-copy may go on over the control addresses."""
    hosts: Mapping[str, HostAddresses] = field(default_factory=dict)
    """The fleet, where it is configured here; agents may also introduce themselves."""
