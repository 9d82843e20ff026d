"""What becomes of a request before anything is touched."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.conductor.admission import (
    LONGEST_NAME,
    MAX_PRIORITY,
    Accept,
    AlreadySo,
    judge_abort,
    judge_last_word,
    judge_migrate,
    not_waiting,
    parse_request,
)
from migrator.errors import CODES, Refused
from migrator.messages import Migrate
from migrator.model import Instance, InstanceStatus, Kind, MigrationRequest, Mode
from migrator.states import ABORTABLE, PAST_NO_RETURN, REVERTABLE, TERMINAL, MigrationState
from tests.unit.examples import UUID, a_host, a_migration, an_instance

HOSTS = {name: a_host(name) for name in ("h1", "h2")}
FORCED = {"host": "h2", "force": True, "reason": "rack 7 burns"}

# ------------------------------------------------------------------------------- its words


@pytest.mark.parametrize(
    ("asked", "request_"),
    [
        (Migrate(instance="web"), MigrationRequest("web")),
        (Migrate(instance=UUID), MigrationRequest(UUID)),
        (
            Migrate(instance="web", host="h2"),
            MigrationRequest("web", mode=Mode.TARGET, host="h2"),
        ),
        (
            Migrate(instance="web", **FORCED),
            MigrationRequest("web", mode=Mode.FORCE, host="h2", force_reason="rack 7 burns"),
        ),
        (
            Migrate(instance="web", bandwidth_mib_s=100, priority=-7, request_id="r1"),
            MigrationRequest("web", bandwidth_mib_s=100, priority=-7, request_id="r1"),
        ),
        # names that mean something to a shell or in a URL are just names
        (Migrate(instance="$(reboot)"), MigrationRequest("$(reboot)")),
        (Migrate(instance="../h1?x=1#y"), MigrationRequest("../h1?x=1#y")),
        (Migrate(instance="böse Grüße"), MigrationRequest("böse Grüße")),
        (Migrate(instance="x" * LONGEST_NAME), MigrationRequest("x" * LONGEST_NAME)),
    ],
)
def test_a_request_is_taken_as_it_was_meant(asked: Migrate, request_: MigrationRequest) -> None:
    assert parse_request(asked) == request_


@pytest.mark.parametrize(
    ("words", "field"),
    [
        ({"instance": ""}, "instance"),
        ({"instance": "x" * (LONGEST_NAME + 1)}, "instance"),
        ({"instance": "web\0"}, "instance"),
        ({"instance": "web\n"}, "instance"),
        ({"instance": "\x1b[31mweb"}, "instance"),
        ({"host": ""}, "host"),
        ({"host": "h2\r"}, "host"),
        ({"host": "h" * 300}, "host"),
        ({"force": True, "reason": "because"}, "force"),
        ({"host": "h2", "force": True}, "reason"),
        ({"host": "h2", "force": True, "reason": " \t"}, "reason"),
        ({"host": "h2", "reason": "just so"}, "reason"),
        ({**FORCED, "reason": "no\0no"}, "reason"),
        ({**FORCED, "reason": "x" * 10_000_000}, "reason"),
        ({"bandwidth_mib_s": 0}, "bandwidth_mib_s"),
        ({"bandwidth_mib_s": -1}, "bandwidth_mib_s"),
        ({"bandwidth_mib_s": 2**20 + 1}, "bandwidth_mib_s"),
        ({"priority": MAX_PRIORITY + 1}, "priority"),
        ({"priority": -MAX_PRIORITY - 1}, "priority"),
        ({"request_id": ""}, "request_id"),
        ({"request_id": "\u2028"}, "request_id"),
    ],
)
def test_a_bad_word_is_refused_by_its_name(words: dict[str, Any], field: str) -> None:
    with pytest.raises(Refused) as caught:
        parse_request(Migrate(**{"instance": "web", **words}))
    assert caught.value.code == "request.invalid"
    assert caught.value.facts["field"] == field
    assert caught.value.message.startswith(field)
    assert len(caught.value.message) < 200


@pytest.mark.parametrize(
    ("kind", "says"),
    [("evacuate", "not built yet"), ("warm", "known: live, cold"), ("", "known: live")],
)
def test_a_kind_that_does_not_exist_is_refused(kind: str, says: str) -> None:
    with pytest.raises(Refused, match=says) as caught:
        parse_request(Migrate(instance="web", kind=kind))
    assert caught.value.code == "kind.unsupported"


words = st.none() | st.text(max_size=300)


@given(
    st.builds(
        Migrate,
        instance=st.text(max_size=300),
        kind=st.sampled_from(["live", "live", "cold", "evacuate", "?"]),
        host=words,
        force=st.booleans(),
        reason=words,
        bandwidth_mib_s=st.none() | st.integers(),
        priority=st.integers(),
        request_id=words,
    )
)
def test_whatever_is_asked_is_understood_or_refused_and_never_in_between(asked: Migrate) -> None:
    try:
        request = parse_request(asked)
    except Refused:
        return
    assert request.kind in set(Kind)
    for text in (request.instance, request.host, request.force_reason, request.request_id):
        assert text is None or (text.isprintable() and 0 < len(text) <= LONGEST_NAME)
    assert (request.host is None) is (request.mode is Mode.AUTO)
    assert (request.force_reason is not None) is (request.mode is Mode.FORCE)


# ------------------------------------------------------------------------ may it move now?


@pytest.mark.parametrize("status", [InstanceStatus.RUNNING, InstanceStatus.PAUSED])
@pytest.mark.parametrize("host", [None, "h2"])
def test_an_active_instance_may_move(status: InstanceStatus, host: str | None) -> None:
    request = MigrationRequest("web", host=host)
    assert judge_migrate(request, an_instance(status=status), HOSTS) == Accept()


@pytest.mark.parametrize(
    ("instance", "host", "code", "says"),
    [
        (an_instance(migration_id="m1"), None, "migration.exists", "migration show m1"),
        (
            an_instance(migration_id="m1", status=InstanceStatus.GONE),
            None,
            "migration.exists",
            "m1",
        ),
        (an_instance(status=InstanceStatus.SHUTOFF), None, "guest.not_active", "shut off on h1"),
        (
            an_instance(host=None, status=InstanceStatus.AMBIGUOUS, candidates=("h1", "h2")),
            None,
            "instance.ambiguous",
            "h1, h2 and active on none.* --host HOST",
        ),
        (
            an_instance(status=InstanceStatus.SPLIT_BRAIN, candidates=("h1", "h2")),
            None,
            "transfer.split_brain",
            "h1, h2 at once",
        ),
        (an_instance(host=None, status=InstanceStatus.GONE), None, "instance.gone", "no host"),
        (an_instance(status=InstanceStatus.UNKNOWN), None, "guest.state_unknown", "host show h1"),
        (an_instance(), "h9", "host.unknown", "known hosts: h1, h2"),
        (an_instance(), "h1", "host.is_source", "is on h1 already"),
    ],
)
def test_a_refusal_says_why_and_what_to_do(
    instance: Instance, host: str | None, code: str, says: str
) -> None:
    with pytest.raises(Refused, match=says) as caught:
        judge_migrate(MigrationRequest("web", host=host), instance, HOSTS)
    assert caught.value.code == code


def test_a_second_request_for_a_moving_guest_is_told_the_first_ones_id() -> None:
    with pytest.raises(Refused) as caught:
        judge_migrate(MigrationRequest("web"), an_instance(migration_id="m1"), HOSTS)
    assert caught.value.facts == {"id": "m1"}


@pytest.mark.parametrize("status", list(InstanceStatus))
def test_no_status_is_let_through_by_accident(status: InstanceStatus) -> None:
    instance = an_instance(status=status, candidates=("h1", "h2"))
    if status in {InstanceStatus.RUNNING, InstanceStatus.PAUSED}:
        assert judge_migrate(MigrationRequest("web"), instance, HOSTS) == Accept()
        return
    with pytest.raises(Refused) as caught:
        judge_migrate(MigrationRequest("web"), instance, HOSTS)
    assert CODES[caught.value.code] in {404, 409, 500, 503}


def test_a_fleet_without_hosts_says_so() -> None:
    with pytest.raises(Refused, match="known hosts: none"):
        judge_migrate(MigrationRequest("web", host="h2"), an_instance(), {})


# -------------------------------------------------------------------------- may it be aborted?

S = MigrationState
ACCEPTED, ALREADY = Accept(), AlreadySo()

ABORTS: dict[MigrationState, Accept | AlreadySo | str] = {
    S.QUEUED: ACCEPTED,
    S.SCHEDULING: ACCEPTED,
    S.CLAIMED: ACCEPTED,
    S.PREPARING: ACCEPTED,
    S.RUNNING: ACCEPTED,
    S.STOPPING: ACCEPTED,
    S.COPYING: ACCEPTED,
    # it rolls back for a reason of its own, which stays the reason
    S.ROLLING_BACK: ALREADY,
    S.POSTCOPY: "abort.too_late",
    S.POSTCOPY_PAUSED: "abort.too_late",
    S.SWITCHED: "abort.too_late",
    S.AWAITING_CONFIRM: "abort.too_late",
    S.REVERTING: "abort.too_late",
    S.REVERTED: "migration.finished",
    S.COMPLETED: "migration.finished",
    S.REJECTED: "migration.finished",
    S.CANCELLED: "migration.finished",
    S.FAILED: "migration.finished",
    S.LOST: "migration.finished",
}


@pytest.mark.parametrize("state", list(MigrationState))
def test_each_state_answers_an_abort_as_written(state: MigrationState) -> None:
    migration = a_migration(state=state, destination="h2")
    answer = ABORTS[state]
    if isinstance(answer, str):
        with pytest.raises(Refused) as caught:
            judge_abort(migration)
        assert caught.value.code == answer
    else:
        assert judge_abort(migration) == answer


@pytest.mark.parametrize("state", sorted(ABORTABLE))
def test_a_second_abort_is_so_already(state: MigrationState) -> None:
    assert judge_abort(a_migration(state=state, abort_by="ann")) == ALREADY


WAYS_BACK = {
    S.AWAITING_CONFIRM: "`migrator migration revert .*` brings it back",
    S.REVERTING: "it is being brought back",
}


@pytest.mark.parametrize("state", sorted(PAST_NO_RETURN - TERMINAL))
def test_an_abort_after_the_switch_names_the_way_back(state: MigrationState) -> None:
    way_back = WAYS_BACK.get(state, "migrate it back to h1")
    with pytest.raises(Refused, match=f"is on h2 already; {way_back}"):
        judge_abort(a_migration(state=state, destination="h2", abort_by="ann"))


# ------------------------------------------------------------- may it be confirmed or reverted?


@pytest.mark.parametrize("state", list(MigrationState))
def test_only_what_waits_for_a_last_word_takes_one(state: MigrationState) -> None:
    migration = a_migration(state=state, destination="h2")
    if state in REVERTABLE:
        assert judge_last_word(migration) == ACCEPTED
        return
    with pytest.raises(Refused) as caught:
        judge_last_word(migration)
    ended = "migration.finished" if state in TERMINAL else "confirm.not_waiting"
    assert caught.value.code == ended


def test_a_last_word_that_comes_too_late_says_which_was_first() -> None:
    released = not_waiting(a_migration(state=S.AWAITING_CONFIRM))
    assert "confirmed already" in released.message
    assert "being reverted already" in not_waiting(a_migration(state=S.REVERTING)).message


@pytest.mark.parametrize("kind", list(Kind))
def test_a_guest_that_is_off_moves_cold_only(kind: Kind) -> None:
    request = MigrationRequest("web", kind=kind)
    off = an_instance(status=InstanceStatus.SHUTOFF)
    if kind is Kind.COLD:
        assert judge_migrate(request, off, HOSTS) == Accept()
        return
    with pytest.raises(Refused, match="--kind cold") as caught:
        judge_migrate(request, off, HOSTS)
    assert caught.value.code == "guest.not_active"
