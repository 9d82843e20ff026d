"""What becomes of an operator's request: judged on values, before anything is touched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from migrator.conductor.profiles import FASTEST_MIB_S, LONGEST_DEADLINE_S
from migrator.errors import Refused
from migrator.messages import Migrate
from migrator.model import (
    Host,
    Instance,
    InstanceStatus,
    Kind,
    Migration,
    MigrationRequest,
    Mode,
    OnDeadline,
)
from migrator.states import ABORTABLE, PAST_NO_RETURN, REVERTABLE, TERMINAL, MigrationState

LONGEST_NAME = 255
MAX_PRIORITY = 1000
MOST_DISKS = 256


@dataclass(frozen=True)
class Accept:
    """Do it."""


@dataclass(frozen=True)
class AlreadySo:
    """It is so already; say so again."""


Verdict = Accept | AlreadySo


def parse_request(asked: Migrate) -> MigrationRequest:
    """The operator's words as a request, or a refusal that names the word.

    :raises Refused: ``request.invalid``, ``kind.unsupported``.
    """
    _plain("instance", asked.instance)
    if asked.host is not None:
        _plain("host", asked.host)
    if asked.kind not in set(Kind):
        raise Refused("kind.unsupported", _why_not_kind(asked.kind), kind=asked.kind)
    if asked.force and asked.host is None:
        raise _invalid("force", "names no host; forcing means one host: add --host")
    if asked.force and not (asked.reason or "").strip():
        raise _invalid("reason", "is missing; a forced migration is recorded with its reason")
    if asked.reason is not None and not asked.force:
        raise _invalid("reason", "belongs to a forced migration; add --force or leave it out")
    _check_tolerances(asked)
    if abs(asked.priority) > MAX_PRIORITY:
        raise _invalid("priority", f"must be between -{MAX_PRIORITY} and {MAX_PRIORITY}")
    if asked.reason is not None:
        _plain("reason", asked.reason)
    if asked.request_id is not None:
        _plain("request_id", asked.request_id)
    mode = Mode.AUTO if asked.host is None else Mode.FORCE if asked.force else Mode.TARGET
    return MigrationRequest(
        instance=asked.instance,
        kind=Kind(asked.kind),
        mode=mode,
        host=asked.host,
        force_reason=asked.reason,
        bandwidth_mib_s=asked.bandwidth_mib_s,
        profile=asked.profile,
        deadline_s=asked.deadline_s,
        on_deadline=None if asked.on_deadline is None else OnDeadline(asked.on_deadline),
        postcopy_bandwidth_mib_s=asked.postcopy_bandwidth_mib_s,
        priority=asked.priority,
        request_id=asked.request_id,
        disk_pools=_disk_pools(asked),
        flatten=asked.flatten,
    )


def _disk_pools(asked: Migrate) -> Mapping[str, str]:
    for target, pool in asked.disk_pools.items():
        _plain("disk_pools", target)
        _plain("disk_pools", pool)
    if len(asked.disk_pools) > MOST_DISKS:
        raise _invalid("disk_pools", f"has more than {MOST_DISKS} entries")
    return dict(asked.disk_pools)


def _check_tolerances(asked: Migrate) -> None:
    """What the operation itself says of them; the profile it names is looked up later."""
    if asked.profile is not None:
        _plain("profile", asked.profile)
    for field in ("bandwidth_mib_s", "postcopy_bandwidth_mib_s"):
        speed = getattr(asked, field)
        if speed is not None and not 1 <= speed <= FASTEST_MIB_S:
            raise _invalid(field, f"must be between 1 and {FASTEST_MIB_S} MiB/s")
    if asked.deadline_s is not None and not 1 <= asked.deadline_s <= LONGEST_DEADLINE_S:
        raise _invalid("deadline_s", f"must be between 1 and {LONGEST_DEADLINE_S} s")
    if asked.on_deadline is not None and asked.on_deadline not in set(OnDeadline):
        raise _invalid("on_deadline", f"must be one of {', '.join(OnDeadline)}")


def judge_migrate(
    request: MigrationRequest, instance: Instance, hosts: Mapping[str, Host]
) -> Accept:
    """Whether this instance may be asked to move now.

    :raises Refused: with the reason and what to do about it.
    """
    _judge_instance(instance, request.kind)
    if request.host is not None and request.host not in hosts:
        known = ", ".join(sorted(hosts)) or "none"
        raise Refused(
            "host.unknown",
            f"there is no host {request.host!r}; known hosts: {known}",
            host=request.host,
            known=sorted(hosts),
        )
    if request.host is not None and request.host == instance.host:
        raise Refused(
            "host.is_source",
            f"{instance.name} is on {request.host} already; choose another host or none",
            host=request.host,
        )
    return Accept()


def judge_abort(migration: Migration) -> Verdict:
    """Whether a migration may still be aborted.

    :raises Refused: ``abort.too_late``, ``migration.finished``.
    """
    if migration.state in TERMINAL:
        raise Refused(
            "migration.finished",
            f"migration {migration.id} has ended: {migration.state}",
            state=str(migration.state),
        )
    if migration.state in PAST_NO_RETURN:
        raise Refused(
            "abort.too_late",
            f"{migration.instance_name} is on {migration.destination} already; {_way_back(migration)}",
            state=str(migration.state),
        )
    # What rolls back for another reason keeps that reason.
    if migration.abort_by is not None or migration.state is MigrationState.ROLLING_BACK:
        return AlreadySo()
    assert migration.state in ABORTABLE
    return Accept()


def judge_last_word(migration: Migration) -> Accept:
    """Whether a cold move still waits to be confirmed or reverted.

    :raises Refused: ``migration.finished``, ``confirm.not_waiting``.
    """
    if migration.state in TERMINAL:
        raise Refused(
            "migration.finished",
            f"migration {migration.id} has ended: {migration.state}",
            state=str(migration.state),
        )
    if migration.state not in REVERTABLE:
        raise not_waiting(migration)
    return Accept()


def not_waiting(migration: Migration) -> Refused:
    """Nobody has to say anything about it: not yet, not any more, or never."""
    why = (
        "only a cold move whose source keeps the guest for a while ([conductor] cold_confirm_s) is "
        "confirmed or reverted"
    )
    if migration.state in REVERTABLE:
        why = "it has been confirmed already, and its source is being released"
    elif migration.state is MigrationState.REVERTING:
        why = "it is being reverted already"
    return Refused(
        "confirm.not_waiting",
        f"migration {migration.id} ({migration.kind}, {migration.state}) does not wait for that: {why}",
        state=str(migration.state),
    )


def _way_back(migration: Migration) -> str:
    if migration.state in REVERTABLE:
        return f"`migrator migration revert {migration.id}` brings it back as it was"
    if migration.state is MigrationState.REVERTING:
        return "it is being brought back"
    return f"migrate it back to {migration.source} if that is what you want"


def _judge_instance(instance: Instance, kind: Kind) -> None:
    who = f"{instance.name} ({instance.id})"
    if instance.migration_id is not None:
        raise Refused(
            "migration.exists",
            f"{who} is migrating already: `migrator migration show {instance.migration_id}`",
            id=instance.migration_id,
        )
    match instance.status:
        case InstanceStatus.RUNNING | InstanceStatus.PAUSED:
            return
        case InstanceStatus.SHUTOFF if kind is Kind.COLD:
            return
        case InstanceStatus.SHUTOFF:
            raise Refused(
                "guest.not_active",
                f"{who} is shut off on {instance.host}; add --kind cold to move it as it is, or start "
                "it first",
                host=instance.host,
            )
        case InstanceStatus.AMBIGUOUS:
            raise Refused(
                "instance.ambiguous",
                f"{who} is defined on {', '.join(instance.candidates)} and active on none; "
                f"say where it lives: `migrator instance set {instance.id} --host HOST`",
                candidates=list(instance.candidates),
            )
        case InstanceStatus.SPLIT_BRAIN:
            raise Refused(
                "transfer.split_brain",
                f"{who} is active on {', '.join(instance.candidates)} at once; "
                "stop the wrong one by hand before anything else",
                candidates=list(instance.candidates),
            )
        case InstanceStatus.GONE:
            raise Refused("instance.gone", f"no host knows {who} any more")
        case InstanceStatus.UNKNOWN:
            raise Refused(
                "guest.state_unknown",
                f"the state of {who} is not known: its host {instance.host} has not reported; "
                f"see `migrator host show {instance.host}`",
                host=instance.host,
            )


def _why_not_kind(kind: str) -> str:
    if kind == "evacuate":
        return "evacuation of a dead host is not built yet; start the guest elsewhere by hand"
    return f"there is no kind {kind!r} of migration; known: {', '.join(Kind)}"


def _plain(field: str, text: str) -> None:
    if not text or len(text) > LONGEST_NAME:
        raise _invalid(field, f"must have 1 to {LONGEST_NAME} characters")
    if not text.isprintable():
        raise _invalid(field, "has characters that cannot be printed")


def _invalid(field: str, why: str) -> Refused:
    return Refused("request.invalid", f"{field} {why}", field=field)
