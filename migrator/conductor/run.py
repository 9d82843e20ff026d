"""One migration being led: what every step works with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from migrator.conductor.context import Context
from migrator.conductor.ports import Lead
from migrator.errors import Fenced, MigratorError, Refused, Transient
from migrator.messages import Command
from migrator.model import ActionRecord, AddTodo, Effect, Migration, Tell, Wishes
from migrator.ports import Inbox
from migrator.states import MigrationState

C = TypeVar("C", bound=Command)
R = TypeVar("R", bound=msgspec.Struct)

COMMAND_TRIES = 4
RETRY_S = 1.0
LONGEST_RETRY_S = 10.0
"""Grows by itself with each try: 1, 2, 4 s; what lasts longer fails the step."""


def head_of(
    context: Context, migration: Migration, host: str, step: str, deadline_s: float
) -> dict[str, Any]:
    """The fields every command carries; see :class:`migrator.messages.Command`."""
    return {
        "incarnation": context.incarnations.of(host, context.stores.hosts),
        "migration_id": migration.id,
        "attempt": migration.attempt,
        "epoch": migration.epoch,
        "step": step,
        "deadline_s": deadline_s,
        "instance_id": migration.instance_id,
    }


def send(host: str, ask: Callable[[str, C], R], request: C) -> R:
    """Send one command; an agent that restarted since is asked again under its new incarnation.

    That is safe because every op looks before it acts and converges.
    :raises Fenced: when a newer leader has spoken to the agent.
    :raises Transient: ``host.agent_down`` when it restarted once more meanwhile.
    """
    for _ in range(2):
        try:
            return ask(host, request)
        except Fenced as stale:
            incarnation = stale.facts.get("incarnation")
            if incarnation is None or incarnation == request.incarnation:
                raise
            request = msgspec.structs.replace(request, incarnation=incarnation)
    raise Transient(
        "host.agent_down", f"the agent of {host} keeps restarting; see its log", host=host
    )


class Run:
    """The led migration, its lead, and the few verbs steps need. Nothing here outlives the leader."""

    def __init__(self, context: Context, lead: Lead, migration: Migration) -> None:
        self.context = context
        self.lead = lead
        self.migration = migration
        self.inbox: Inbox[object] = context.mail.open(migration.id, migration.instance_id)
        self.error: MigratorError | None = None
        self.resumed = False
        """An earlier leader had begun."""
        self._wishes: Wishes | None = None
        self._untold: list[Tell] = []

    @property
    def source(self) -> str:
        assert self.migration.source is not None
        return self.migration.source

    @property
    def destination(self) -> str:
        assert self.migration.destination is not None
        return self.migration.destination

    def move(
        self, new: MigrationState, why: str, effects: Sequence[Effect] = (), **changes: Any
    ) -> None:
        """Move the migration on, with effects; the row read back is what later steps see."""
        told = (*self._untold, *effects)
        self.migration = self.context.stores.journal.move(
            self.lead, self.migration.state, new, why, told, **changes
        )
        self._untold = []
        if any(isinstance(effect, AddTodo) for effect in effects):
            self.context.todo.put(new)

    def update(self, effects: Sequence[Effect] = (), **changes: Any) -> None:
        """Change fields other than the state."""
        self.migration = self.context.stores.journal.update(self.lead, effects, **changes)

    def wishes(self) -> Wishes:
        """What the instance's operator wants of its place; the same all through one lead."""
        if self._wishes is None:
            instance = self.context.stores.instances.get(self.migration.instance_id)
            self._wishes = Wishes() if instance is None else instance.wishes
        return self._wishes

    def tell(self, kind: str, text: str, **facts: Any) -> None:
        """Into the history with the next move, and lost if there is none: for what only explains."""
        self._untold.append(Tell(kind, text, facts))

    def note(self, kind: str, text: str, **facts: Any) -> None:
        """Append to the history."""
        self.context.stores.journal.note(self.migration.id, kind, text, facts)

    def record(self, action: str, rule: str, by: str, result: str) -> None:
        """Append to the migration's actions."""
        self.context.stores.journal.record_action(
            self.migration.id,
            ActionRecord(self.context.clock.now(), action, rule, by, result),
        )

    def head(self, host: str, step: str, deadline_s: float) -> dict[str, Any]:
        """See :func:`head_of`."""
        return head_of(self.context, self.migration, host, step, deadline_s)

    def refuse_if_aborted(self) -> None:
        """:raises Refused: ``migration.aborted`` once an operator has asked for it."""
        by = self.migration.abort_by
        if by is not None:
            raise Refused("migration.aborted", f"aborted by {by}", by=by)

    def reread(self) -> None:
        """See what others wrote: an abort asked for through another conductor.

        :raises Fenced: ``command.stale`` when one of them has taken the lead.
        """
        current = self.context.stores.migrations.get(self.migration.id)
        if current.epoch != self.lead.epoch:
            raise Fenced(
                "command.stale",
                f"migration {current.id} is led by {current.leader or 'nobody'} in epoch "
                f"{current.epoch}; epoch {self.lead.epoch} is over",
                epoch=current.epoch,
            )
        self.migration = current

    def persist(self, work: Callable[[], R]) -> R:
        """Do ``work`` again after a transient failure, a few times with growing pauses.

        :raises Transient: the last one.
        """
        pause = RETRY_S
        for _ in range(COMMAND_TRIES - 1):
            try:
                return work()
            except Transient as error:
                self.note("step", f"{error}; trying again in {pause:.0f} s", code=error.code)
                self.context.clock.sleep(pause)
                pause *= 2
                self.refuse_if_aborted()
        return work()

    def until_answered(self, who: str, work: Callable[[], R]) -> R:
        """Do ``work`` until it is answered, however long the host is away; says that it waits.

        For what cannot be given up: only the host knows the truth.
        :raises Fenced: ``command.stale`` when somebody else leads meanwhile.
        """
        pause = RETRY_S
        waiting = False
        while True:
            try:
                answer = work()
            except Transient as error:
                if not waiting:
                    since = self.context.clock.now()
                    text = (
                        f"waiting since {since:%Y-%m-%d %H:%M:%S} UTC for {who}: {error.message}; asked "
                        f"again at most every {LONGEST_RETRY_S:.0f} s until it answers"
                    )
                    self.note("step", text, code=error.code)
                    self.update(attention=text)
                    waiting = True
                self.context.clock.sleep(pause)
                pause = min(pause * 2, LONGEST_RETRY_S)
                self.reread()
            else:
                if waiting:
                    self.update(attention=None)
                return answer
