"""What is true of a guest while it moves, from what both hosts' libvirts say: the outcome table.

Every row was seen on real hosts or is what libvirt's source does by itself. Two rules stand above it:
a host that did not answer is ``UNKNOWN``, never ``ABSENT``; and no verdict that destroys anything
follows from an unknown. The guest is never destroyed where it was seen running as the outcome of the
migration: that is the destination.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from migrator.model import DomainState, DomainView, Reason


class Side(enum.StrEnum):
    """How one host's domain looks to a migration."""

    UNKNOWN = "unknown"
    ABSENT = "absent"
    OFF = "off"
    """Defined and not running. On the destination that is the trace of a migration that ended there:
    libvirt defines a guest there only once it has it."""
    RUNNING = "running"
    RESUMED = "resumed"
    """Source only: running again because libvirt gave the transfer up in its last moment."""
    ARRIVED = "arrived"
    """Destination only: running because a migration ended there."""
    BOOTED = "booted"
    """Destination only: started there by somebody; no migration leaves it running so."""
    IN_TRANSIT = "in_transit"
    """Paused by libvirt for the migration: being switched (source) or filled (destination)."""
    HELD = "held"
    """Paused by somebody: a user, an I/O error."""
    POSTCOPY = "postcopy"
    POSTCOPY_FAILED = "postcopy_failed"


class Verdict(enum.StrEnum):
    """What follows."""

    WAIT = "wait"
    FORWARD = "forward"
    """The destination has the guest: commit, fence and release the source."""
    ROLL_BACK = "roll_back"
    """The source has the guest and nothing is under way: undo."""
    STOP_AND_ROLL_BACK = "stop_and_roll_back"
    """The source has the guest, the destination holds a half that nobody fills: abort, then undo."""
    GUEST_DIED = "guest_died"
    """It ended on the source before the switch; nothing to save, nothing was lost to the migration."""
    SPLIT_BRAIN = "split_brain"
    """Two run. The destination's is the outcome: pause and destroy the source's, raise the alarm."""
    POSTCOPY = "postcopy"
    POSTCOPY_PAUSED = "postcopy_paused"
    LOST = "lost"
    """Its memory was split between two QEMUs, and one of them is dead. Believe it at the second look."""
    UNDECIDABLE = "undecidable"
    """Wait, and say that a person should look."""


@dataclass(frozen=True)
class Row:
    """``under_way``: a job runs or the call has not returned; ``ended``: neither."""

    under_way: Verdict
    ended: Verdict
    why: str


def side_of_source(view: DomainView | None) -> Side:
    """Classify the source's domain; None is a host that did not answer."""
    if view is None:
        return Side.UNKNOWN
    if view.state is DomainState.PAUSED:
        return {
            Reason.MIGRATION: Side.IN_TRANSIT,
            Reason.POSTCOPY: Side.POSTCOPY,
            Reason.POSTCOPY_FAILED: Side.POSTCOPY_FAILED,
        }.get(view.reason, Side.HELD)
    if view.active:
        canceled = view.reason is Reason.MIGRATION_CANCELED
        return Side.RESUMED if canceled else Side.RUNNING
    return Side.ABSENT if view.state is DomainState.ABSENT else Side.OFF


def side_of_destination(view: DomainView | None) -> Side:
    """Classify the destination's domain; None is a host that did not answer."""
    if view is None:
        return Side.UNKNOWN
    if view.state is DomainState.PAUSED:
        return {
            Reason.MIGRATION: Side.IN_TRANSIT,
            Reason.STARTING_UP: Side.IN_TRANSIT,
            Reason.UNKNOWN: Side.IN_TRANSIT,
            Reason.POSTCOPY: Side.POSTCOPY,
            Reason.POSTCOPY_FAILED: Side.POSTCOPY_FAILED,
        }.get(view.reason, Side.HELD)
    if view.active:
        return {
            Reason.POSTCOPY: Side.POSTCOPY,
            Reason.POSTCOPY_FAILED: Side.POSTCOPY_FAILED,
            Reason.MIGRATED: Side.ARRIVED,
            Reason.BOOTED: Side.BOOTED,
        }.get(view.reason, Side.RUNNING)
    return Side.ABSENT if view.state is DomainState.ABSENT else Side.OFF


_S, _V = Side, Verdict


def _row(under_way: Verdict, ended: Verdict, why: str) -> Row:
    return Row(under_way, ended, why)


_NOT_MOVED = _row(_V.WAIT, _V.ROLL_BACK, "the guest runs on the source and nothing is over there")
_HALF_FILLED = _row(_V.WAIT, _V.STOP_AND_ROLL_BACK, "the guest runs on the source")
_MOVED = _row(_V.FORWARD, _V.FORWARD, "the guest is on the destination")
_TWO_RUN = _row(_V.SPLIT_BRAIN, _V.SPLIT_BRAIN, "libvirt resumed the source after the switch")
_DIED = _row(_V.WAIT, _V.GUEST_DIED, "the guest ended on the source before the switch")
_STRANGE = _row(_V.UNDECIDABLE, _V.UNDECIDABLE, "not a state a migration passes through")
_UNSEEN = _row(_V.WAIT, _V.UNDECIDABLE, "the host that may have the guest does not answer")
# With the source away nobody would say that its call has returned.
_SOURCE_AWAY = _row(_V.UNDECIDABLE, _V.UNDECIDABLE, "the source does not answer")
_SWITCHING = _row(
    _V.WAIT, _V.UNDECIDABLE, "paused for the switch, which libvirt has neither done nor given up"
)
# A copy that is filled may be all there is of the guest: libvirt starts or removes it, not we.
_ORPHANED = _row(
    _V.WAIT, _V.UNDECIDABLE, "the guest is gone from the source and has not begun to run over there"
)
_ENDED_THERE = _row(
    _V.WAIT, _V.UNDECIDABLE, "the destination has it defined, as after a switch, and shut off"
)
_PC = _row(_V.POSTCOPY, _V.POSTCOPY, "memory is split between both hosts and pages flow")
_PC_BROKEN = _row(_V.POSTCOPY_PAUSED, _V.POSTCOPY_PAUSED, "memory is split and pages do not flow")
# Somebody paused or resumed it over there: that says nothing about its pages.
_PC_HANDLED = _row(_V.POSTCOPY, _V.POSTCOPY, "memory is split; the guest was handled over there")
_PC_BEGUN = _row(_V.POSTCOPY, _V.UNDECIDABLE, "the guest has just begun to run over there")
_LOST_HALF = _row(
    _V.LOST, _V.LOST, "the destination's QEMU ended while memory was still on the source"
)
_LOST_REST = _row(
    _V.LOST, _V.LOST, "the source's QEMU ended while the destination still needed its memory"
)

_POSTCOPY_ANY: Mapping[Side, Row] = {
    _S.POSTCOPY: _PC,
    _S.POSTCOPY_FAILED: _PC_BROKEN,
}

_TABLE: Mapping[Side, Mapping[Side, Row]] = {
    _S.RUNNING: {
        _S.ABSENT: _NOT_MOVED,
        _S.OFF: _NOT_MOVED,
        _S.IN_TRANSIT: _HALF_FILLED,
        # While it is under way the source may merely have been read before the switch; fencing it
        # looks again, and raises the alarm itself.
        _S.ARRIVED: _row(_V.FORWARD, _V.SPLIT_BRAIN, "the guest runs on the destination"),
        _S.POSTCOPY: _PC_BEGUN,
        _S.UNKNOWN: _row(_V.WAIT, _V.ROLL_BACK, "the source was never paused for a switch"),
    },
    _S.RESUMED: {
        _S.ABSENT: _NOT_MOVED,
        _S.OFF: _ENDED_THERE,
        _S.IN_TRANSIT: _HALF_FILLED,
        _S.ARRIVED: _TWO_RUN,
        _S.UNKNOWN: _UNSEEN,
    },
    _S.IN_TRANSIT: {
        _S.ABSENT: _SWITCHING,
        _S.OFF: _ENDED_THERE,
        _S.IN_TRANSIT: _SWITCHING,
        _S.RUNNING: _MOVED,
        _S.ARRIVED: _MOVED,
        _S.HELD: _MOVED,
        _S.UNKNOWN: _UNSEEN,
        **_POSTCOPY_ANY,
    },
    _S.HELD: {
        _S.ABSENT: _NOT_MOVED,
        _S.OFF: _ENDED_THERE,
        _S.IN_TRANSIT: _HALF_FILLED,
        _S.RUNNING: _MOVED,
        _S.ARRIVED: _MOVED,
        _S.HELD: _MOVED,
        _S.POSTCOPY: _PC_BEGUN,
        _S.UNKNOWN: _UNSEEN,
    },
    _S.POSTCOPY: {
        _S.ABSENT: _LOST_HALF,
        _S.OFF: _LOST_HALF,
        _S.RUNNING: _PC_HANDLED,
        _S.ARRIVED: _MOVED,
        _S.HELD: _PC_HANDLED,
        _S.UNKNOWN: _row(_V.POSTCOPY, _V.POSTCOPY, "the destination does not answer"),
        **_POSTCOPY_ANY,
    },
    _S.POSTCOPY_FAILED: {
        _S.ABSENT: _LOST_HALF,
        _S.OFF: _LOST_HALF,
        _S.RUNNING: _PC_HANDLED,
        _S.ARRIVED: _MOVED,
        _S.HELD: _PC_HANDLED,
        _S.POSTCOPY: _PC,
        _S.POSTCOPY_FAILED: _PC_BROKEN,
        _S.UNKNOWN: _PC_BROKEN,
    },
    _S.ABSENT: {
        _S.ABSENT: _DIED,
        # Its only definition: undoing would lose it.
        _S.OFF: _row(_V.FORWARD, _V.FORWARD, "the guest moved and was shut off over there"),
        _S.IN_TRANSIT: _ORPHANED,
        _S.RUNNING: _MOVED,
        _S.ARRIVED: _MOVED,
        _S.BOOTED: _MOVED,
        _S.HELD: _MOVED,
        _S.UNKNOWN: _UNSEEN,
        _S.POSTCOPY: _PC_BROKEN,
        _S.POSTCOPY_FAILED: _LOST_REST,
    },
    _S.OFF: {
        _S.ABSENT: _DIED,
        _S.OFF: _ENDED_THERE,
        _S.IN_TRANSIT: _ORPHANED,
        _S.RUNNING: _MOVED,
        _S.ARRIVED: _MOVED,
        _S.HELD: _MOVED,
        _S.UNKNOWN: _UNSEEN,
        _S.POSTCOPY: _PC_BROKEN,
        _S.POSTCOPY_FAILED: _LOST_REST,
    },
    _S.UNKNOWN: {
        _S.ARRIVED: _row(
            _V.FORWARD, _V.FORWARD, "only the end of a migration leaves it running so"
        ),
        _S.ABSENT: _SOURCE_AWAY,
        _S.OFF: _SOURCE_AWAY,
        _S.IN_TRANSIT: _SOURCE_AWAY,
        _S.RUNNING: _SOURCE_AWAY,
        _S.BOOTED: _SOURCE_AWAY,
        _S.HELD: _SOURCE_AWAY,
        _S.UNKNOWN: _SOURCE_AWAY,
        **_POSTCOPY_ANY,
    },
}


@dataclass(frozen=True)
class Judgement:
    """The verdict and everything it rests on, for the record."""

    verdict: Verdict
    source: Side
    destination: Side
    why: str


def judge(
    source: DomainView | None, destination: DomainView | None, call_returned: bool
) -> Judgement:
    """Read the table.

    :param call_returned: libvirt's migrate call is known to have returned, or nobody runs it.
        A job that libvirt still shows on the source counts as under way all the same.
    """
    side = side_of_source(source), side_of_destination(destination)
    row = _TABLE[side[0]].get(side[1], _STRANGE)
    job = source is not None and source.job is not None
    verdict = row.ended if call_returned and not job else row.under_way
    return Judgement(verdict, *side, row.why)
