"""What the monitor does about a reading."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from migrator.compute_agent.monitor.actions import Abort, SetDowntime, SetSpeed, Wait
from migrator.compute_agent.monitor.asks import AbortAsked, Asks, ForceAsked, ForceMethod, Tune
from migrator.compute_agent.monitor.decide import (
    ABORT_AGAIN_S,
    NO_PROGRESS_S,
    SWITCH_S,
    Known,
    Reading,
    decide,
    learn,
    observe,
)
from migrator.compute_agent.monitor.phases import Stage, phase_of, stage_of
from migrator.model import (
    BALANCED,
    GUARANTEED,
    OFFLINE_OK,
    STRICT,
    JobSample,
    OnDeadline,
    Phase,
    Profile,
)
from tests.unit.compute_agent.transfers import MEMORY, MIB, Watched, job, policy, profile

JOB = JobSample("migration_out", memory_total=100, memory_remaining=50)
ASKED = Asks().plus(AbortAsked())
BUSY = (500.0, 490.0, 495.0, 490.0, 495.0)
"""What each iteration leaves of a guest that pre-copy cannot catch, MiB."""


# -- aborts


@pytest.mark.parametrize(
    ("reading", "known", "asks", "action"),
    [
        (Reading(10.0, JOB), Known(), Asks(), Wait("nothing_asked")),
        (Reading(10.0, None), Known(), ASKED, Wait("nothing_runs")),
        (Reading(10.0, JOB), Known(), ASKED, Abort("abort_asked")),
        (Reading(10.0, JOB), Known(abort_taken_at=9.5), ASKED, Wait("abort_under_way")),
        (Reading(20.0, JOB), Known(abort_taken_at=9.5), ASKED, Abort("abort_asked")),
        (Reading(20.0, JOB, postcopy=True), Known(), ASKED, Wait("postcopy_runs")),
    ],
)
def test_without_a_policy_only_asks_are_obeyed(
    reading: Reading, known: Known, asks: Asks, action: object
) -> None:
    assert decide(None, reading, known, asks) == action


def test_an_abort_that_libvirt_refused_is_not_remembered_as_under_way() -> None:
    assert learn(Known(), Abort("abort_asked"), 5.0, taken=False) == Known()
    assert learn(Known(), Abort("abort_asked"), 5.0, taken=True) == Known(abort_taken_at=5.0)
    assert learn(Known(), Wait("nothing_asked"), 5.0, taken=True) == Known()


@given(st.lists(st.tuples(st.floats(0.1, 3.0), st.booleans(), st.booleans()), max_size=60))
def test_an_abort_is_asked_for_again_and_again_but_never_in_a_hurry(
    looks: list[tuple[float, bool, bool]],
) -> None:
    at, known, taken_at = 0.0, Known(), None
    for step, runs, taken in looks:
        at += step
        action = decide(None, Reading(at, JOB if runs else None), known, ASKED)
        if isinstance(action, Abort):
            assert runs
            assert taken_at is None or at - taken_at >= ABORT_AGAIN_S
            taken_at = at if taken else taken_at
        elif runs:
            assert taken_at is not None
            assert at - taken_at < ABORT_AGAIN_S
        known = learn(known, action, at, taken)


# -- phases


@pytest.mark.parametrize(
    ("sample", "phase", "stage"),
    [
        (JobSample("migration_out", disk_total=9, disk_remaining=4), Phase.DISK, Stage.DISK),
        (job(1, 900, 100), Phase.MEMORY, Stage.FIRST_PASS),
        (job(1, 900, 100, disk_total=9, disk_remaining=1), Phase.MEMORY, Stage.FIRST_PASS),
        (job(2, 100, 1000), Phase.MEMORY, Stage.ITERATIONS),
        (JobSample("migration_out"), Phase.MEMORY, Stage.FIRST_PASS),
    ],
)
def test_disks_are_copied_before_memory(sample: JobSample, phase: Phase, stage: Stage) -> None:
    assert phase_of(sample) is phase
    assert stage_of(sample, switching=False, postcopy=False) is stage
    assert stage_of(sample, switching=False, postcopy=True) is Stage.POSTCOPY
    assert phase_of(sample, postcopy=True) is Phase.POSTCOPY


def test_a_guest_that_stops_by_itself_is_being_switched_and_left_alone() -> None:
    watched = Watched(policy())
    watched.copy(30)
    action = watched.look(10.3, job(3, 0, 1030), paused=True)
    assert action == Wait("switching")


# -- profiles


@pytest.mark.parametrize(
    ("tolerated", "ends"),
    [
        (STRICT, [("abort", "not_converging")]),
        (BALANCED, [("abort", "not_converging")]),
        (GUARANTEED, [("start_postcopy", "not_converging")]),
        (OFFLINE_OK, [("suspend", "not_converging")]),
        (profile(on_deadline=OnDeadline.CONTINUE), []),
    ],
)
def test_a_guest_that_cannot_be_caught_ends_as_its_profile_says(
    tolerated: Profile, ends: list[tuple[str, str]]
) -> None:
    watched = Watched(policy(tolerated))
    watched.copy(*BUSY)
    assert watched.ends == ends


def test_it_is_known_two_iterations_after_the_first_pass_at_the_latest() -> None:
    watched = Watched(policy(GUARANTEED))
    watched.copy(400, 392)
    assert watched.ends == [("start_postcopy", "not_converging")]
    facts = watched.done[-1].facts
    assert facts["iteration"] == 3
    assert facts["remaining_mib"] == 392
    assert facts["ratio"] == 0.98
    assert facts["expected_downtime_ms"] == pytest.approx(3920, rel=0.05)


def test_a_guest_that_rewrites_nearly_half_of_its_memory_is_not_copied_twice_before_post_copy() -> (
    None
):
    watched = Watched(policy(GUARANTEED))
    watched.copy(450)
    assert watched.ends == [("start_postcopy", "not_converging")]
    assert watched.done[-1].facts["iteration"] == 2
    watched = Watched(policy(STRICT))
    watched.copy(450)
    assert watched.ends == [], "without post-copy another pass is the only way to find out"


def test_a_guest_that_shrinks_is_waited_for_and_switched_within_its_budget() -> None:
    watched = Watched(policy(STRICT))
    watched.copy(300, 120, 42)
    assert watched.ends == []
    raised = watched.done[-1]
    assert isinstance(raised, SetDowntime)
    assert raised.rule == "low_enough"
    assert 420 <= raised.ms <= 450


def test_a_shorter_freeze_is_waited_for_where_that_costs_next_to_nothing() -> None:
    watched = Watched(policy(STRICT))
    assert watched.copy(4, link=10.0).rule == "shrinking"
    assert Watched(policy(STRICT)).copy(4, 3.9, link=10.0).rule == "switch_expected"


def test_no_downtime_above_the_budget_is_ever_allowed_without_leave() -> None:
    for tolerated in (STRICT, BALANCED, GUARANTEED):
        watched = Watched(policy(tolerated))
        watched.copy(100, 90, 80, 45, 60, 40)
        for each in watched.done:
            assert not isinstance(each, SetDowntime) or each.ms <= tolerated.max_downtime_ms


def test_throttling_gets_its_time_and_no_more() -> None:
    watched = Watched(policy(BALANCED, throttle=True))
    assert watched.copy(*BUSY).rule == "throttling"
    watched.look(watched.ended + 5, job(7, 490, watched.sent + 500, throttle=99), boundary=True)
    watched.look(watched.ended + 10, job(8, 490, watched.sent + 990, throttle=99), boundary=True)
    watched.look(watched.ended + 15, job(9, 490, watched.sent + 1480, throttle=99), boundary=True)
    assert watched.ends == [("abort", "not_converging")]


def test_it_is_started_again_with_other_flags_once_when_nothing_else_is_left() -> None:
    watched = Watched(policy(BALANCED, restart_with=("auto_converge",)))
    watched.copy(*BUSY[:3])
    assert watched.ends == [("restart", "not_converging")]
    watched.copy(*BUSY, since=60.0)
    assert watched.ends == [("restart", "not_converging"), ("abort", "not_converging")]


# -- the link


def test_a_link_that_loses_nine_tenths_on_the_way_is_noticed_within_the_iteration() -> None:
    watched = Watched(policy(GUARANTEED))
    watched.copy(200, 80)
    assert watched.ends == []
    at, sent = watched.ended, watched.sent
    for half in range(1, 8):
        gone = 10 * half * 0.5
        watched.look(at + half * 0.5, job(3, 80 - gone, sent + gone))
    assert watched.ends == [("start_postcopy", "not_converging")]


def test_nothing_is_forced_over_a_dead_link_and_in_the_end_it_is_given_up() -> None:
    watched = Watched(
        policy(profile(allow_pause=True, deadline_s=12, on_deadline=OnDeadline.FORCE))
    )
    watched.copy(500)
    at, sent = watched.ended, watched.sent
    rules = {
        watched.look(at + half * 0.5, job(2, 500 - half / 100, sent + half / 100)).rule
        for half in range(10, 100)
    }
    assert "link_too_slow_to_force" in rules
    assert ("suspend", "deadline") not in watched.ends
    stuck = job(2, 499, sent + 1)
    watched.look(at + 50, stuck)
    watched.look(at + 50 + NO_PROGRESS_S, stuck)
    assert watched.ends[-1] == ("abort", "no_progress")


def test_a_first_pass_that_takes_long_is_not_a_reason_for_anything() -> None:
    watched = Watched(policy(GUARANTEED))
    for second in range(600):
        action = watched.look(second, job(1, 1000 - second, second))
    assert action == Wait("first_pass")
    assert watched.ends == []


def test_a_mirror_that_lags_keeps_memory_waiting_and_nothing_is_forced() -> None:
    watched = Watched(policy(GUARANTEED, spent_s=0.0))
    for second in range(1, 300):
        sample = JobSample(
            "migration_out",
            disk_total=10**12,
            disk_processed=second,
            disk_remaining=10**12 - second,
        )
        assert watched.look(second, sample) == Wait("disk")
    assert watched.done == []


# -- deadlines


@pytest.mark.parametrize(
    ("on_deadline", "ends"),
    [
        (OnDeadline.ABORT, [("abort", "deadline")]),
        (OnDeadline.FORCE, [("start_postcopy", "deadline")]),
        (OnDeadline.CONTINUE, []),
    ],
)
def test_the_deadline_is_kept_as_the_profile_says(
    on_deadline: OnDeadline, ends: list[tuple[str, str]]
) -> None:
    tolerated = profile(allow_postcopy=True, deadline_s=11, on_deadline=on_deadline)
    watched = Watched(policy(tolerated))
    watched.copy(300)
    watched.look(11.5, job(2, 150, 1150))
    assert watched.ends == ends


def test_what_will_be_late_is_ended_early_where_that_is_permitted() -> None:
    watched = Watched(policy(profile(allow_postcopy=True, deadline_s=25)))
    watched.copy(700, 600, 500)
    assert watched.ends == [("start_postcopy", "not_converging")]


def test_a_deadline_in_the_first_pass_waits_for_its_end_before_anything_is_forced() -> None:
    tolerated = profile(allow_pause=True, deadline_s=5, on_deadline=OnDeadline.FORCE)
    watched = Watched(policy(tolerated))
    assert watched.look(0.0, job(1, 1000, 0)).rule == "first_pass"
    assert watched.look(6.0, job(1, 400, 600)).rule == "deadline_deferred"
    watched.look(10.0, job(2, 300, 1000), boundary=True)
    assert watched.ends == [("suspend", "deadline")]


def test_time_that_earlier_attempts_took_counts() -> None:
    watched = Watched(policy(profile(deadline_s=60), spent_s=59.0))
    watched.copy(300)
    assert watched.ends[-1] == ("abort", "deadline")


# -- force-complete


@pytest.mark.parametrize(
    ("method", "end"),
    [
        (ForceMethod.AUTO, "start_postcopy"),
        (ForceMethod.POSTCOPY, "start_postcopy"),
        (ForceMethod.DOWNTIME, "set_downtime"),
        (ForceMethod.PAUSE, "suspend"),
    ],
)
def test_what_is_forced_is_deferred_to_the_end_of_the_first_pass_and_done_once(
    method: ForceMethod, end: str
) -> None:
    watched = Watched(policy(GUARANTEED))
    watched.asks = Asks().plus(ForceAsked(method))
    disks = JobSample("migration_out", disk_total=9, disk_processed=5, disk_remaining=4)
    assert watched.look(0.0, disks).rule == "force_deferred"
    assert watched.look(1.0, job(1, 1000, 0)).rule == "force_deferred"
    watched.look(2.0, job(1, 900, 100))
    watched.look(11.0, job(2, 400, 1000), boundary=True)
    watched.look(11.5, job(2, 350, 1050))
    assert watched.ends == [(end, "force_asked")]


def test_forcing_a_transfer_that_cannot_go_on_as_postcopy_pauses_the_guest() -> None:
    watched = Watched(policy(STRICT))
    watched.copy(300)
    watched.asks = Asks().plus(ForceAsked())
    watched.look(10.5, job(2, 250, 1050))
    assert watched.ends == [("suspend", "force_asked")]


def test_a_way_that_libvirt_refuses_is_followed_by_the_next_at_once() -> None:
    watched = Watched(policy(GUARANTEED), refuses=("start_postcopy",))
    watched.copy(500, 490)
    assert [name for name, _ in watched.ends] == ["start_postcopy", "suspend"]


def test_a_way_that_leads_nowhere_is_followed_by_the_next_after_a_while() -> None:
    watched = Watched(policy(GUARANTEED))
    watched.copy(500, 490)
    at, sent = watched.ended, watched.sent
    for second in range(1, int(SWITCH_S) + 2):
        watched.look(at + second, job(4 + second, 490, sent + 490 * second))
    assert [name for name, _ in watched.ends] == ["start_postcopy", "suspend"]
    frozen = watched.look(at + SWITCH_S + 3, job(99, 100, sent + 10**5), paused=True)
    assert frozen == Wait("frozen_until_the_switch")


# -- tuning


def test_what_is_tuned_is_passed_on_once() -> None:
    watched = Watched(policy(STRICT))
    watched.copy(300)
    watched.asks = Asks().plus(Tune(50, 20, 1500))
    watched.look(10.5, job(2, 250, 1050))
    watched.look(11.0, job(2, 200, 1100))
    assert watched.done[-3:] == [
        SetSpeed(50, False, "tuned"),
        SetSpeed(20, True, "tuned"),
        SetDowntime(1500, "tuned"),
    ]


def test_a_speed_that_is_tuned_before_anything_is_sent_is_set_again_once_it_is() -> None:
    watched = Watched(policy(STRICT))
    watched.asks = Asks().plus(Tune(bandwidth_mib_s=0, postcopy_bandwidth_mib_s=0))
    watched.look(0.5, job(0, 0, 0, memory_total=0))
    watched.look(1.0, job(0, 0, 0, memory_total=0))
    before = [SetSpeed(0, False, "tuned"), SetSpeed(0, True, "tuned")]
    assert [each for each in watched.done if isinstance(each, SetSpeed)] == before
    watched.look(1.5, job(1, 1000, 0))
    watched.look(2.0, job(1, 950, 50))
    again = [*before, SetSpeed(0, False, "tuned")]
    assert [each for each in watched.done if isinstance(each, SetSpeed)] == again


def test_a_wider_budget_lets_a_guest_through_that_would_have_been_given_up() -> None:
    watched = Watched(policy(STRICT))
    watched.asks = Asks().plus(Tune(max_downtime_ms=10_000))
    watched.copy(*BUSY)
    assert watched.ends == []


def test_a_tuning_that_libvirt_refuses_is_not_repeated() -> None:
    watched = Watched(policy(STRICT), refuses=("set_speed",))
    watched.copy(300)
    watched.asks = Asks().plus(Tune(bandwidth_mib_s=50))
    watched.look(10.5, job(2, 250, 1050))
    watched.look(11.0, job(2, 200, 1100))
    assert watched.names.count(("set_speed", "tuned")) == 1


# -- properties


@st.composite
def _lives(draw: st.DrawFn) -> list[tuple[float, float, bool, int]]:
    """Looks: (seconds on, share of memory left, a new iteration, bytes/s)."""
    look = st.tuples(
        st.floats(0.01, 30.0), st.floats(0.0, 1.0), st.booleans(), st.sampled_from([0, 1, 10, 100])
    )
    return draw(st.lists(look, min_size=1, max_size=60))


RESTARTED_AMID_REFUSALS = [
    *[
        (1.0, 1.0, False, 100),
        (10.0, 0.45, True, 100),
        (4.5, 0.44, True, 100),
        (4.4, 0.44, True, 100),
    ],
    *[
        (1.0, 0.9, False, 100),
        (10.0, 0.45, True, 100),
        (4.5, 0.44, True, 100),
        (4.4, 0.44, True, 100),
    ],
]
"""libvirt refuses every way to the end, the attempt is started anew, and the same is tried of that."""


@settings(max_examples=40)
@example(
    RESTARTED_AMID_REFUSALS,
    OFFLINE_OK,
    None,
    OnDeadline.FORCE,
    None,
    {"suspend", "set_downtime"},
)
@given(
    _lives(),
    st.sampled_from([STRICT, BALANCED, GUARANTEED, OFFLINE_OK]),
    st.sampled_from([None, 5, 50]),
    st.sampled_from(list(OnDeadline)),
    st.sampled_from([None, *ForceMethod]),
    st.sets(st.sampled_from(["start_postcopy", "suspend", "set_downtime", "abort", "restart"])),
)
def test_whatever_happens_nothing_beyond_the_profile_is_done_and_no_way_twice(
    life: list[tuple[float, float, bool, int]],
    tolerated: Profile,
    deadline_s: int | None,
    on_deadline: OnDeadline,
    force: ForceMethod | None,
    refuses: set[str],
) -> None:
    own = dataclasses.replace(tolerated, deadline_s=deadline_s, on_deadline=on_deadline)
    watched = Watched(policy(own, restart_with=("auto_converge",)), tuple(refuses))
    at, iteration, sent = 0.0, 1, 0.0
    for step, left, begins, rate in life:
        if force is not None and at > 60:
            watched.asks = watched.asks.plus(ForceAsked(force))
        at, sent, iteration = at + step, sent + step * rate, iteration + begins
        watched.look(at, job(iteration, left * MEMORY / MIB, sent), boundary=begins)
    forced = any(each.rule in ("force_asked", "no_effect") for each in watched.done)
    names = [each.name for each in watched.done]
    assert names.count("restart") <= 1
    again = names.index("restart") if "restart" in names else len(names)
    for attempt in (names[:again], names[again:]):
        # What libvirt refused of one transfer it may grant another, with other flags.
        assert attempt.count("start_postcopy") <= 1
        assert attempt.count("suspend") <= 1
    for each in watched.done:
        assert each.rule
        if each.name == "start_postcopy":
            assert own.allow_postcopy
        if each.name == "suspend":
            assert own.allow_pause or forced
        if isinstance(each, SetDowntime) and not each.beyond:
            assert each.ms <= own.max_downtime_ms
        if isinstance(each, SetDowntime) and each.beyond:
            assert own.allow_pause or forced


def test_another_job_of_the_same_attempt_is_judged_anew() -> None:
    known = Known()
    for at, sample in [(1.0, job(1, 900, 100)), (9.0, job(2, 500, 900)), (14.0, job(3, 400, 1400))]:
        known = observe(known, Reading(at, sample))
    assert len(known.passes) == 2
    again = observe(known, Reading(20.0, job(1, 1000, 0)))
    assert again.passes == ()
    assert again.began_at == 1.0
