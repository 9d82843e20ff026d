"""What the conductor needs of its database, a few verbs at a time.

Stores raise ``Transient`` ``database.busy`` or ``database.unreachable``; every other refusal is
named at its verb. Every verb is one transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from migrator.messages import ListMigrations
from migrator.model import (
    ActionRecord,
    Claim,
    DiskRecord,
    DomainSummary,
    Effect,
    ForceMethod,
    Host,
    HostAddresses,
    HostFacts,
    HostMark,
    HostState,
    InLine,
    Instance,
    LastReport,
    Migration,
    MigrationEvent,
    Placement,
    Profile,
    Tell,
    Todo,
    Tuning,
    Wishes,
)
from migrator.states import MigrationState


@dataclass(frozen=True)
class Lead:
    """The right to move one migration, until somebody takes a higher epoch."""

    migration_id: str
    epoch: int
    leader: str


@dataclass(frozen=True)
class RecordMark:
    """Differs from an earlier one when the migration's record has changed since: everything that is
    asked of it makes an event."""

    migration_id: str
    epoch: int
    event_seq: int


class Journal(Protocol):
    """The only writer of a migration's state."""

    def submit(self, migration: Migration, told: Sequence[Tell] = ()) -> Migration:
        """Insert it as ``queued``, with its first event and what else is ``told``.

        A request id seen before answers with the migration it made.
        :raises Refused: ``migration.exists`` (facts ``id``) while the instance has an unfinished one.
        """
        ...

    def lead(self, migration_id: str, leader: str, lease_s: float) -> tuple[Lead, Migration] | None:
        """Take the lead: epoch + 1. None while another leader's lease runs (by the database's clock) or
        once it is terminal. The same leader name may always take over from itself."""
        ...

    def renew(self, leader: str, lease_s: float) -> Sequence[RecordMark]:
        """Prolong the lease of every unfinished migration this leader leads; one statement, which tells
        how their records stand."""
        ...

    def move(
        self,
        lead: Lead,
        old: MigrationState,
        new: MigrationState,
        why: str,
        effects: Sequence[Effect] = (),
        **changes: Any,
    ) -> Migration:
        """old -> new with all its effects in one transaction, compare-and-set on (state, epoch), history
        appended, ``why`` its text. ``changes`` are fields of :class:`Migration`.

        :raises Fenced: ``command.stale`` when another leader took over or it is in another state.
        :raises Refused: ``state.illegal`` for a pair that is not in the table.
        :raises Transient: ``claim.conflict`` when a claim's generation has moved on.
        """
        ...

    def update(self, lead: Lead, effects: Sequence[Effect] = (), **changes: Any) -> Migration:
        """Change fields that are not the state, with effects, fenced by the epoch.

        :raises Fenced: ``command.stale``."""
        ...

    def cancel_queued(self, migration_id: str, by: str) -> Migration | None:
        """queued -> cancelled without a leader; None when it is queued no longer."""
        ...

    def ask_abort(self, migration_id: str, by: str) -> Migration:
        """Record that an abort was asked for; the leader sees it at its next look."""
        ...

    def ask_force(self, migration_id: str, method: ForceMethod, by: str) -> Migration:
        """Record how it is to be brought to its end, with no answer yet; as above."""
        ...

    def ask_tuning(self, migration_id: str, tuning: Tuning, by: str) -> Migration:
        """Record limits, on top of those asked for before; as above."""
        ...

    def note(
        self, migration_id: str, kind: str, text: str, facts: Mapping[str, Any] | None = None
    ) -> None:
        """Append one event."""
        ...

    def record_action(self, migration_id: str, action: ActionRecord) -> None: ...

    def finish_todo(
        self,
        todo: Todo,
        effects: Sequence[Effect] = (),
        *,
        before: Sequence[Todo] = (),
        **changes: Any,
    ) -> Migration | None:
        """Mark it done, and those done ``before`` it, apply ``effects`` and ``changes``.

        When it was the last one, move the migration where :data:`migrator.states.AFTER_TODOS` says in
        the same transaction, and one of which only ``confirm`` is left from ``switched`` to
        ``awaiting_confirm``. The migration afterwards, or None when the to-do had been done before."""
        ...

    def postpone_todo(self, todo: Todo, error: str, delay_s: float, attention: str | None) -> None:
        """Not done: attempts + 1, due again after ``delay_s``.

        ``attention`` is what the migration's flag then says, None leaves the flag as it is."""
        ...

    def confirm(self, migration_id: str, by: str) -> Migration | None:
        """A cold move's source is let go now; None when it does not wait for that, or not any more."""
        ...

    def revert(self, migration_id: str, by: str) -> Migration | None:
        """awaiting_confirm -> reverting, with the to-do that brings the guest back; None when it does
        not wait for that, or not any more."""
        ...

    def flow_backend(self, lead: Lead) -> Any:
        """A taskflow persistence backend whose every write is fenced by ``lead``."""
        ...


class MigrationStore(Protocol):
    """Reading migrations."""

    def get(self, migration_id: str) -> Migration:
        """By id or unambiguous beginning. :raises Refused: ``migration.unknown``,
        ``migration.ambiguous``."""
        ...

    def by_request(self, request_id: str) -> Migration | None:
        """The migration that a client's request id has made."""
        ...

    def find(self, wanted: ListMigrations) -> Sequence[Migration]: ...

    def unfinished(self) -> Sequence[Migration]: ...

    def line(self) -> Sequence[InLine]:
        """The same, oldest first, read for every decision about what may start."""
        ...

    def resumable(self, leader: str) -> Sequence[InLine]:
        """Those with an active flow whose lease has run out or is ``leader``'s own."""
        ...

    def events(self, migration_id: str, after: int, limit: int) -> Sequence[MigrationEvent]: ...

    def due_todos(self, leader: str) -> Sequence[Todo]:
        """Not done, due now by the database's clock, of migrations led by ``leader`` or by nobody alive,
        oldest first."""
        ...

    def keep_todos(self, leader: str, ids: Collection[int]) -> None:
        """``leader`` still works on these; nobody else is handed them meanwhile."""
        ...

    def hasten_todos(self, host: str) -> bool:
        """What could not be done on ``host`` before is due now; False when there was nothing."""
        ...

    def next_todo_in(self, leader: str | None = None) -> float | None:
        """Seconds until the next to-do is due; None when there is none. With ``leader`` those of
        migrations that another living conductor leads do not count."""
        ...

    def ended_since(
        self, since: datetime | None, but: Sequence[str], limit: int
    ) -> Sequence[Migration]:
        """Ended at or after ``since``, ``but`` for these ids; oldest end first."""
        ...

    def todo_retries(self) -> int:
        """How often to-dos were tried in vain, altogether."""
        ...

    def open_todos(self, migration_id: str) -> Sequence[Todo]: ...


@dataclass(frozen=True)
class Heard:
    """Which word of which agent process: a later one has a higher number, also across restarts."""

    incarnation: str
    generation: int


class HostStore(Protocol):
    """Hosts, and what their agents say of them."""

    def register(self, name: str, addresses: HostAddresses) -> None:
        """Make the host known (enabled), or update its addresses."""
        ...

    def heartbeat(
        self,
        name: str,
        incarnation: str,
        agent_version: str,
        why_down: str,
    ) -> LastReport | None:
        """Store that the agent spoke (``why_down`` is empty when it reaches its libvirt).

        How it was before this heartbeat, None for an unknown host."""
        ...

    def set_facts(self, name: str, facts: HostFacts) -> None: ...

    def get(self, name: str) -> Host:
        """:raises Refused: ``host.unknown`` (facts ``known``: the names that are)."""
        ...

    def list(self, names: Sequence[str] | None = None) -> Sequence[Host]:
        """By name; all of them, or those of ``names`` that there are."""
        ...

    def set_state(self, name: str, state: HostState) -> Host: ...

    def set_labels(self, name: str, tags: Sequence[str], zone: str | None) -> Host: ...

    def fleet_mark(self) -> object:
        """Equal to an earlier one only if no host's mark has changed since; cheaper than the marks."""
        ...

    def marks(self) -> Sequence[HostMark]:
        """Of every host, by name: cheap enough to ask for before every decision."""
        ...


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


class ProfileStore(Protocol):
    """What disturbance instances tolerate, by name."""

    def all(self) -> Mapping[str, Profile]:
        """Those that are built in and those that were made."""
        ...

    def create(self, profile: Profile) -> None:
        """:raises Refused: ``profile.exists``."""
        ...

    def change(self, profile: Profile) -> None:
        """:raises Refused: ``profile.unknown``."""
        ...

    def delete(self, name: str) -> None:
        """:raises Refused: ``profile.unknown``, ``profile.in_use``."""
        ...


class ClaimStore(Protocol):
    """Claims, read; they change only as effects of a migration's move or with an instance."""

    def list(self) -> Sequence[Claim]: ...

    def on_host(self, host: str) -> tuple[int, Sequence[Claim]]:
        """(claims generation, claims) of one host."""
        ...

    def of_hosts(self, names: Sequence[str] | None) -> Mapping[str, Sequence[Claim]]:
        """host -> its claims, of ``names`` or of all; without the bytes they keep free in pools."""
        ...

    def sweep(self) -> Sequence[Claim]:
        """Drop claims of migrations that have ended, and ``use`` claims of instances that do not live
        where they are; what was dropped."""
        ...

    def keep_foreign(self, instance_id: str, there: Mapping[str, DomainSummary]) -> None:
        """Its ``foreign`` claims are those of these hosts from now on, with what the domains there have.
        A claim that it has on such a host otherwise stays what it is, and so does everything while a
        migration of it is unfinished."""
        ...


class DiskStore(Protocol):
    """Recorded disks; a migration's switch moves them, everything else records them anew."""

    def of_instance(self, instance_id: str) -> Sequence[DiskRecord]: ...

    def record(self, instance_id: str, records: Sequence[DiskRecord]) -> None:
        """Replace what is recorded of the instance's disks."""
        ...

    def held_bytes(self, host: str, besides: str | None) -> Mapping[str, int]:
        """pool -> bytes that migrations other than ``besides`` keep free there."""
        ...

    def held_everywhere(self, besides: str | None) -> Mapping[str, Mapping[str, int]]:
        """The same of every host."""
        ...


@dataclass(frozen=True)
class Stores:
    """Everything of the database the conductor uses."""

    journal: Journal
    migrations: MigrationStore
    hosts: HostStore
    instances: InstanceStore
    claims: ClaimStore
    disks: DiskStore
    profiles: ProfileStore
