"""What becomes of wishes about a migration that is under way: judged on its record alone."""

from __future__ import annotations

from migrator.conductor.admission import Accept, AlreadySo
from migrator.errors import Refused
from migrator.messages import ForceComplete, Tune
from migrator.model import ForceMethod, Kind, Migration, StandingAsks, Tuning
from migrator.states import PAST_NO_RETURN, POSTCOPY_STATES, TERMINAL, MigrationState

MOST_MIB_S = 1 << 20
MOST_DOWNTIME_MS = 2_000_000
"""QEMU's own limit."""


def parse_force(asked: ForceComplete) -> ForceMethod:
    """:raises Refused: ``request.invalid``."""
    if asked.method not in set(ForceMethod):
        known = ", ".join(ForceMethod)
        raise _invalid("method", f"cannot be {asked.method!r}; known: {known}")
    return ForceMethod(asked.method)


def judge_force(migration: Migration, method: ForceMethod) -> Accept | AlreadySo:
    """Whether it may still be brought to its end so.

    :raises Refused: ``migration.finished``, ``force.too_late``, ``migration.aborted``.
    """
    _judge_under_way(migration)
    if migration.state in PAST_NO_RETURN:
        raise Refused(
            "force.too_late",
            f"{migration.instance_name} runs on {migration.destination} already; what is left of its"
            " memory follows by itself",
            state=str(migration.state),
        )
    if migration.abort_by is not None or migration.state is MigrationState.ROLLING_BACK:
        raise Refused(
            "migration.aborted",
            f"migration {migration.id} is being undone; it cannot be brought to its end any more",
            state=str(migration.state),
        )
    return AlreadySo() if migration.force_method is method else Accept()


def parse_tuning(asked: Tune) -> Tuning:
    """:raises Refused: ``request.invalid``."""
    for field in ("bandwidth_mib_s", "postcopy_bandwidth_mib_s"):
        value = getattr(asked, field)
        if value is not None and not 0 <= value <= MOST_MIB_S:
            raise _invalid(field, f"must be between 0 (no limit) and {MOST_MIB_S} MiB/s")
    limit = asked.max_downtime_ms
    if limit is not None and not 1 <= limit <= MOST_DOWNTIME_MS:
        raise _invalid("max_downtime_ms", f"must be between 1 and {MOST_DOWNTIME_MS} ms")
    tuning = Tuning(asked.bandwidth_mib_s, asked.postcopy_bandwidth_mib_s, limit)
    if tuning == Tuning():
        raise _invalid("tune", "names nothing to change: give a bandwidth or a downtime")
    return tuning


def judge_tune(migration: Migration, tuning: Tuning) -> Accept:
    """Whether there is still something that the limits can act on.

    :raises Refused: ``migration.finished``, ``force.too_late``, ``request.invalid`` for limits that a
        cold move has not.
    """
    _judge_under_way(migration)
    if migration.kind is Kind.COLD and tuning.bandwidth_mib_s is None:
        raise _invalid("tune", "gives a cold move nothing but its bandwidth: it has no other limit")
    over = migration.state in PAST_NO_RETURN - POSTCOPY_STATES
    too_late = migration.state in POSTCOPY_STATES and tuning.postcopy_bandwidth_mib_s is None
    if over or too_late or migration.state is MigrationState.ROLLING_BACK:
        raise Refused(
            "force.too_late",
            f"migration {migration.id} is {migration.state}: these limits would change nothing any more"
            + ("; in post-copy only its own bandwidth counts" if too_late else ""),
            state=str(migration.state),
        )
    return Accept()


def judge_rescue(migration: Migration) -> Accept:
    """Whether there is a post-copy to be rescued.

    :raises Refused: ``migration.finished``, ``rescue.not_needed``.
    """
    _judge_under_way(migration)
    if migration.state not in POSTCOPY_STATES:
        raise Refused(
            "rescue.not_needed",
            f"migration {migration.id} is {migration.state}, not in post-copy: there is nothing to"
            " rescue",
            state=str(migration.state),
        )
    return Accept()


def standing(migration: Migration) -> StandingAsks:
    """All that an agent has to know of what was asked, and of what was done to the guest."""
    profile = migration.profile
    # libvirt takes the other limits with the start.
    later = Tuning(postcopy_bandwidth_mib_s=profile.postcopy_bandwidth_mib_s if profile else None)
    tuning = later.plus(migration.tuning or Tuning())
    return StandingAsks(
        force=None if migration.force_result == "refused" else migration.force_method,
        bandwidth_mib_s=tuning.bandwidth_mib_s,
        postcopy_bandwidth_mib_s=tuning.postcopy_bandwidth_mib_s,
        max_downtime_ms=tuning.max_downtime_ms,
        suspended=suspended(migration),
    )


def suspended(migration: Migration) -> bool:
    """migrator has paused the guest in this attempt; told before it is done, so that it is never not
    known."""
    told = ((each.action, each.attempt) for each in migration.actions)
    return ("suspend", migration.attempt) in told


def _judge_under_way(migration: Migration) -> None:
    if migration.state in TERMINAL:
        raise Refused(
            "migration.finished",
            f"migration {migration.id} has ended: {migration.state}",
            state=str(migration.state),
        )


def _invalid(field: str, why: str) -> Refused:
    return Refused("request.invalid", f"{field} {why}", field=field)
