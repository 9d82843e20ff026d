"""The journal: the only writer of migrations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from migrator.model import ActionRecord, Effect, ForceMethod, Migration, Tell, Todo, Tuning
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
