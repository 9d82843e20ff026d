"""Operators' wishes about a migration that is under way: written down, handed on, answered."""

from __future__ import annotations

from collections.abc import Callable

from migrator.conductor.admission import AlreadySo
from migrator.conductor.context import Context
from migrator.conductor.mailroom import Wake
from migrator.conductor.steering import (
    judge_force,
    judge_rescue,
    judge_tune,
    parse_force,
    parse_tuning,
)
from migrator.errors import Refused
from migrator.messages import (
    ForceAnswer,
    ForceComplete,
    MigrationView,
    Relay,
    RescueAnswer,
    RescueMigration,
    Tune,
    TuneAnswer,
)
from migrator.model import Migration
from migrator.states import MigrationState

View = Callable[[Migration], MigrationView]

ANSWER_WITHIN_S = 10.0
"""For the source's agent to say what becomes of it; below what a client waits for us."""
LOOK_S = 0.1
APPLIES_AT_ONCE = frozenset(
    {MigrationState.RUNNING, MigrationState.POSTCOPY, MigrationState.COPYING}
)
"""Something is under way that new limits reach."""
NOT_BEGUN = "its transfer has not begun; it is kept until then"
NOT_ANSWERED = "its source has not answered yet; it is kept, and handed on as soon as it does"


def force_complete(context: Context, request: ForceComplete, view: View) -> ForceAnswer:
    """Persisted first, so that it holds whoever dies; then whatever the agent says to it."""
    method = parse_force(request)
    migration = context.stores.migrations.get(request.id)
    repeated = isinstance(judge_force(migration, method), AlreadySo)
    if not repeated or migration.force_result == "refused":
        migration = context.stores.journal.ask_force(migration.id, method, request.by)
        _wake(context, migration.id, Wake("force-complete"))
    if migration.state is not MigrationState.RUNNING:
        return ForceAnswer(result="deferred", reason=NOT_BEGUN, migration=view(migration))
    migration = _answered(context, migration)
    if migration.force_result == "refused":
        raise Refused("force.impossible", migration.force_why or "", method=str(method))
    result, reason = migration.force_result or "deferred", migration.force_why
    return ForceAnswer(
        result="accepted" if result == "ended" else result,
        reason=reason or NOT_ANSWERED,
        migration=view(migration),
    )


def tune(context: Context, request: Tune, view: View) -> TuneAnswer:
    """Persisted; a transfer that runs is told at once."""
    tuning = parse_tuning(request)
    migration = context.stores.migrations.get(request.id)
    judge_tune(migration, tuning)
    migration = context.stores.journal.ask_tuning(migration.id, tuning, request.by)
    _wake(context, migration.id, Wake("tune"))
    applied = migration.state in APPLIES_AT_ONCE or migration.switched_at is not None
    return TuneAnswer(result="applied" if applied else "kept", migration=view(migration))


def rescue(context: Context, request: RescueMigration, view: View) -> RescueAnswer:
    """Have its leader try now."""
    migration = context.stores.migrations.get(request.id)
    judge_rescue(migration)
    text = f"{request.by} asked for a try to rescue it"
    context.stores.journal.note(
        migration.id, "action", text, {"action": "rescue", "by": request.by}
    )
    _wake(context, migration.id, Wake("rescue", look=True, rescue=True))
    paused = migration.state is MigrationState.POSTCOPY_PAUSED
    return RescueAnswer(result="accepted" if paused else "already", migration=view(migration))


def _wake(context: Context, migration_id: str, wake: Wake) -> None:
    """Whoever leads it, here or in another conductor."""
    if not context.mail.deliver(migration_id, wake):
        context.peers.relay(Relay(migration_id=migration_id, rescue=wake.rescue))


def _answered(context: Context, migration: Migration) -> Migration:
    """The record once the agent has said something, or when it is too late to wait for that."""
    deadline = context.clock.monotonic() + ANSWER_WITHIN_S
    while migration.force_result is None and migration.finished_at is None:
        if context.clock.monotonic() >= deadline:
            break
        context.clock.sleep(LOOK_S)
        migration = context.stores.migrations.get(migration.id)
    return migration
