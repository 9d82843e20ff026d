"""How a transfer is started: flags that libvirt cannot change while it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from migrator.conductor.eligibility import possible
from migrator.model import (
    DiskMode,
    DiskMove,
    Forecast,
    Means,
    MeansVerdict,
    Migration,
    Profile,
    Tuning,
)

MIB = 1024 * 1024
PARALLEL_MARGIN = 0.5
"""Of a limited bandwidth: a guest that writes faster than this share leaves too little for the copy to
gain on it."""


@dataclass(frozen=True)
class DiskCopy:
    """What the start flags depend on, of the disks."""

    needs_unsafe: bool = False
    """Shared disks move, all of them proven shared and written through."""
    moves: Sequence[DiskMove] = ()
    synchronous: bool = False

    @property
    def targets(self) -> list[str]:
        """Disks that are copied, by their targets."""
        return [move.target for move in self.moves if move.mode is DiskMode.COPY]

    @property
    def layered(self) -> bool:
        """Of some disks only what their guests wrote is copied: what they stand on is there."""
        return any(move.backing for move in self.moves if move.mode is DiskMode.COPY)


def start_flags(persistent: bool, encryption: str, disks: DiskCopy) -> list[str]:
    """libvirt's VIR_MIGRATE_* names in lower case, sorted.

    ``unsafe`` only when every writable disk that is not copied is proven shared and written through:
    libvirt itself cannot tell a plain shared directory from two that merely have the same name.
    ``non_shared_disk`` only when a disk is copied: with an empty list of disks libvirt would copy all
    that are writable. ``non_shared_inc`` instead has QEMU copy the topmost volume of each alone; of a
    disk that stands alone that is all of it.
    """
    flags = {"live", "peer2peer", "abort_on_error"}
    if persistent:
        flags |= {"persist_dest", "undefine_source"}
    if disks.needs_unsafe:
        flags.add("unsafe")
    if encryption == "required":
        flags.add("tls")
    if disks.targets:
        flags.add("non_shared_inc" if disks.layered else "non_shared_disk")
        if disks.synchronous:
            flags.add(SYNCHRONOUS_FLAG)
    return sorted(flags)


POSTCOPY_FLAG = "postcopy"
SYNCHRONOUS_FLAG = "non_shared_synchronous_writes"
THROTTLE_FLAG = "auto_converge"
PACKED_FLAG = "compressed"


def helping_flags(
    profile: Profile,
    means: Sequence[MeansVerdict],
    expected: Forecast | None,
    excluded: bool = False,
) -> frozenset[str]:
    """What a guest that outruns the copy may be met with; libvirt takes these at the start only.

    Each only where profile, hosts and guest allow it. Throttling is not prepared for where
    post-copy or a pause is permitted, which take seconds instead of minutes, nor for a guest that was
    measured and needs none.

    :param excluded: memory is sent in a way that post-copy cannot follow.
    """
    if profile.allow_postcopy and possible(means, Means.POSTCOPY):
        return frozenset() if excluded else frozenset({POSTCOPY_FLAG})
    throttle = profile.allow_throttle and possible(means, Means.THROTTLE)
    if profile.allow_pause:
        return frozenset()
    return frozenset({THROTTLE_FLAG}) if throttle and not _converges(expected) else frozenset()


def flags_of_another_attempt(
    profile: Profile, means: Sequence[MeansVerdict], given: frozenset[str]
) -> tuple[str, ...]:
    """What could still be added."""
    could = {
        POSTCOPY_FLAG: profile.allow_postcopy and possible(means, Means.POSTCOPY),
        THROTTLE_FLAG: profile.allow_throttle and possible(means, Means.THROTTLE),
        SYNCHRONOUS_FLAG: possible(means, Means.SYNCHRONOUS_WRITES),
        PACKED_FLAG: possible(means, Means.COMPRESSION),
    }
    return tuple(flag for flag, can in could.items() if can and flag not in given)


def _converges(expected: Forecast | None) -> bool:
    measured = expected is not None and expected.dirty_mib_s is not None
    return measured and expected is not None and expected.method == "precopy"


def needs_synchronous_writes(
    moves: Sequence[DiskMove],
    write_rates: Mapping[str, float],
    limit_mib_s: float,
    bandwidth_mib_s: int | None,
) -> bool:
    """Whether a copied disk is written to so fast that a mirror which lags behind may never catch up.

    Synchronous, each write of the guest waits for the destination: slower for the guest, and sure to
    end.

    :param write_rates: target -> bytes/s the guest writes now.
    :param limit_mib_s: as configured.
    :param bandwidth_mib_s: what the whole transfer may use, None for all there is.
    """
    limit = limit_mib_s * MIB
    if bandwidth_mib_s is not None:
        limit = min(limit, bandwidth_mib_s * MIB * PARALLEL_MARGIN)
    copied = [move.target for move in moves if move.mode is DiskMode.COPY]
    return sum(write_rates.get(target, 0.0) for target in copied) > limit


def bandwidth_of(migration: Migration) -> int | None:
    """MiB/s it may use now, None for no limit: the operator's latest word, else the profile's."""
    tuned = (migration.tuning or Tuning()).bandwidth_mib_s
    if tuned is not None or migration.profile is None:
        return (migration.bandwidth_mib_s if tuned is None else tuned) or None
    return migration.profile.bandwidth_mib_s
