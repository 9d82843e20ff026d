"""Instances, and where they were seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from migrator.model import DomainSummary, Instance, Placement, Wishes


@dataclass(frozen=True)
class Heard:
    """Which word of which agent process: a later one has a higher number, also across restarts."""

    incarnation: str
    generation: int


class InstanceStore(Protocol):
    """Instances."""

    def resolve(self, name_or_id: str) -> Instance:
        """:raises Refused: ``instance.unknown``, ``instance.ambiguous_name`` (facts ``candidates``:
        [{id, host}])."""
        ...

    def get(self, instance_id: str) -> Instance | None: ...

    def list(self) -> Sequence[Instance]: ...

    def idle_without_records(self) -> Sequence[Instance]:
        """Those no disk is recorded of, and no migration is unfinished of."""
        ...

    def sightings(self, instance_id: str) -> Mapping[str, DomainSummary]:
        """host -> what that host's inventory last said of it."""
        ...

    def all_sightings(self) -> Mapping[str, Mapping[str, DomainSummary]]:
        """The same of every instance that any host has: id -> host -> what it said."""
        ...

    def record_sightings(
        self, host: str, domains: Sequence[DomainSummary], heard: Heard
    ) -> Sequence[str]:
        """Replace what ``host`` said, except of those that something newer was said of; the ids of the
        instances whose sightings changed, appeared or vanished.

        :raises Refused: ``report.stale`` (facts ``generation``) when a newer inventory was heard."""
        ...

    def record_sighting(
        self, host: str, instance_id: str, domain: DomainSummary | None, heard: Heard
    ) -> bool:
        """One domain of it; True when that changed anything. Nothing once something newer was said of
        it.

        :raises Refused: ``report.stale`` (facts ``generation``) when a newer inventory was heard."""
        ...

    def record_look(
        self, host: str, instance_id: str, domain: DomainSummary | None, word: int
    ) -> bool:
        """What the agent of ``host`` answered, with the number of its look; True when that changed
        anything. Nothing once something newer has been heard."""
        ...

    def save(self, instance: Instance, use_claim: bool, held: Placement | None = None) -> None:
        """Insert or update it.

        ``use_claim`` keeps exactly one ``use`` claim of its size on its owner (none without), with the
        parts of the host it was seen to have (None: those it is known to have), in the same
        transaction, unless a migration of it is unfinished."""
        ...

    def set_wishes(self, instance_id: str, wishes: Wishes) -> None:
        """What its operator wants, the whole of it. Nothing for an unknown one."""
        ...

    def set_profile(self, instance_id: str, profile: str | None) -> None:
        """Which profile it has; None: the default. Nothing for an unknown one."""
        ...

    def group_marks(self, groups: Sequence[str]) -> tuple[tuple[str, int], ...]:
        """(group, mark) of each, by name: a mark grows with each claim that a member takes."""
        ...

    def groups(self) -> Mapping[str, frozenset[str]]:
        """group -> the ids of the instances that are in it, for affinity or against it."""
        ...

    def keep_use_claim(self, instance: Instance, held: Placement) -> None:
        """What ``save`` does for the ``use`` claim of one that is active on its owner, and nothing
        else."""
        ...
