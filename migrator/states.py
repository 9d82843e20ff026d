"""The states of a migration, which may follow which, and why.

This table is the only place that knows. One writer (:class:`migrator.db.journal.Journal`) moves a
migration, by compare-and-set on (state, epoch). "When may we still go back?" is answered here by
:data:`PAST_NO_RETURN` and nowhere else: until the destination's guest has been seen running the
source owns the guest and every step can be undone; from there the only way is forward. A cold move
has a later one, deleting the source's volumes: until then an operator may revert it.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from migrator.errors import Refused


class MigrationState(enum.StrEnum):
    """Where a migration is. A facet (a named set below) says what that allows."""

    QUEUED = "queued"
    SCHEDULING = "scheduling"
    CLAIMED = "claimed"
    PREPARING = "preparing"
    RUNNING = "running"
    POSTCOPY = "postcopy"
    POSTCOPY_PAUSED = "postcopy_paused"
    STOPPING = "stopping"
    COPYING = "copying"
    SWITCHED = "switched"
    AWAITING_CONFIRM = "awaiting_confirm"
    REVERTING = "reverting"
    ROLLING_BACK = "rolling_back"
    COMPLETED = "completed"
    REVERTED = "reverted"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    FAILED = "failed"
    LOST = "lost"


_S = MigrationState

TRANSITIONS: Mapping[tuple[MigrationState, MigrationState], str] = {
    (_S.QUEUED, _S.SCHEDULING): "source, fleet and priority allow it; a conductor leads it now",
    (_S.QUEUED, _S.CANCELLED): "aborted while it waited; nothing had been touched",
    (_S.SCHEDULING, _S.CLAIMED): "a destination passed every check and its resources are claimed",
    (_S.SCHEDULING, _S.REJECTED): "no destination passed; nothing had been touched",
    (_S.SCHEDULING, _S.CANCELLED): "aborted before anything was claimed",
    (_S.SCHEDULING, _S.FAILED): "the source could not be read; nothing had been touched",
    (_S.CLAIMED, _S.SCHEDULING): "a check failed after the claim, which is released; the next one",
    (_S.CLAIMED, _S.PREPARING): "the destination is being made ready",
    (_S.CLAIMED, _S.ROLLING_BACK): "failed or aborted; the claim must be released",
    (_S.PREPARING, _S.RUNNING): "the source's libvirt has taken the transfer",
    (_S.PREPARING, _S.ROLLING_BACK): "failed or aborted before the transfer began",
    (
        _S.RUNNING,
        _S.POSTCOPY,
    ): "the guest runs on the destination and fetches pages from the source",
    (_S.RUNNING, _S.SWITCHED): "the guest was seen running on the destination",
    (_S.RUNNING, _S.ROLLING_BACK): "failed or aborted before the switch; the source owns the guest",
    (_S.POSTCOPY, _S.POSTCOPY_PAUSED): "pages stopped flowing; the guest waits on the destination",
    (_S.POSTCOPY, _S.SWITCHED): "every page has arrived",
    (_S.POSTCOPY, _S.LOST): "a side died while the guest's memory was split between both",
    (_S.POSTCOPY_PAUSED, _S.POSTCOPY): "the connection is back and pages flow again",
    (_S.POSTCOPY_PAUSED, _S.SWITCHED): "every page had arrived after all",
    (_S.POSTCOPY_PAUSED, _S.LOST): "a side died while the guest's memory was split between both",
    (_S.PREPARING, _S.STOPPING): "a cold move: the guest is taken off, unless it is off already",
    (_S.STOPPING, _S.COPYING): "the guest is off; its volumes are copied and the copies proven",
    (_S.STOPPING, _S.ROLLING_BACK): "failed or aborted; the guest is brought back as it was",
    (_S.COPYING, _S.SWITCHED): "the copies are proven; the guest is on the destination as it was",
    (_S.COPYING, _S.ROLLING_BACK): "failed or aborted; the guest is brought back as it was",
    (_S.SWITCHED, _S.COMPLETED): "destination finished, source released, statistics stored",
    (
        _S.SWITCHED,
        _S.AWAITING_CONFIRM,
    ): "destination finished; the source keeps its copy for a while",
    (_S.AWAITING_CONFIRM, _S.COMPLETED): "confirmed, by an operator or by time; source released",
    (_S.AWAITING_CONFIRM, _S.REVERTING): "an operator wants the guest back on the source",
    (_S.REVERTING, _S.REVERTED): "the guest is on the source again, the destination is clean",
    (
        _S.ROLLING_BACK,
        _S.SCHEDULING,
    ): "undone before anything moved: what was claimed was taken meanwhile; the next candidate",
    (_S.ROLLING_BACK, _S.FAILED): "undone; the guest is where it was",
    (_S.ROLLING_BACK, _S.CANCELLED): "undone at an operator's request; the guest is where it was",
    (_S.ROLLING_BACK, _S.SWITCHED): "the guest was found running on the destination after all",
}

TERMINAL = frozenset({_S.COMPLETED, _S.REVERTED, _S.REJECTED, _S.CANCELLED, _S.FAILED, _S.LOST})
"""Never changes again; the instance may be migrated anew."""

NOT_LED = frozenset({_S.QUEUED}) | TERMINAL
"""No conductor drives it."""

ABORTABLE = frozenset(
    {
        _S.QUEUED,
        _S.SCHEDULING,
        _S.CLAIMED,
        _S.PREPARING,
        _S.RUNNING,
        _S.STOPPING,
        _S.COPYING,
        _S.ROLLING_BACK,
    }
)
"""An abort is accepted; in ``rolling_back`` it is already under way."""

REVERTABLE = frozenset({_S.AWAITING_CONFIRM})
"""An operator may have the guest brought back to the source, which still has all of it: what the guest
wrote since is lost. The last moment of a cold move: once confirmed, the source's volumes are deleted."""

PAST_NO_RETURN = frozenset(
    {
        _S.POSTCOPY,
        _S.POSTCOPY_PAUSED,
        _S.SWITCHED,
        _S.AWAITING_CONFIRM,
        _S.REVERTING,
        _S.REVERTED,
        _S.COMPLETED,
        _S.LOST,
    }
)
"""Too late for an abort: the destination owns the guest, or did. Nothing here leads back to the source
but an operator's revert of a cold move, which is a deed of its own (:data:`REVERTABLE`)."""

POSTCOPY_STATES = frozenset({_S.POSTCOPY, _S.POSTCOPY_PAUSED})
"""The guest's memory is split between both hosts."""

FLOW_STATES = frozenset(
    {
        _S.SCHEDULING,
        _S.CLAIMED,
        _S.PREPARING,
        _S.RUNNING,
        _S.POSTCOPY,
        _S.POSTCOPY_PAUSED,
        _S.STOPPING,
        _S.COPYING,
        _S.ROLLING_BACK,
    }
)
"""A flow is active and must be resumed when its leader dies; later states need to-dos only."""

AFTER_TODOS = {
    _S.SWITCHED: _S.COMPLETED,
    _S.AWAITING_CONFIRM: _S.COMPLETED,
    _S.REVERTING: _S.REVERTED,
}
"""What a migration becomes when the last of its to-dos is done."""

ENDED_BADLY = frozenset({_S.FAILED, _S.CANCELLED, _S.REVERTED, _S.LOST})
"""`--wait` exits 1."""


def check_transition(old: MigrationState, new: MigrationState) -> str:
    """The reason written in the table for old -> new.

    :raises Refused: ``state.illegal`` when the table has no such row.
    """
    try:
        return TRANSITIONS[(old, new)]
    except KeyError:
        raise Refused(
            "state.illegal",
            f"a migration that is {old} cannot become {new}",
            state=str(old),
            wanted=str(new),
        ) from None


def diagram() -> str:
    """The table as a Graphviz digraph; ``doc/`` and README show it, a test holds it current."""
    lines = ["digraph migration {", "  rankdir=LR;"]
    lines += [f'  {state} [shape="doublecircle"];' for state in MigrationState if state in TERMINAL]
    lines += [f'  {old} -> {new} [tooltip="{why}"];' for (old, new), why in TRANSITIONS.items()]
    return "\n".join([*lines, "}"]) + "\n"
