"""What to do about a running transfer. Pure.

The loop does, for every look::

    known = observe(known, reading)
    action = decide(policy, reading, known, asks)
    known = learn(known, action, reading.at, taken)     # after doing it; not for Wait

Rules are read from the top; the first that applies decides, and its name goes into the record. They
never wait for a timer that grows with the memory: a guest that pre-copy cannot catch shows that within
two iterations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from migrator.compute_agent.monitor.actions import (
    Abort,
    Action,
    SetDowntime,
    SetSpeed,
    Wait,
)
from migrator.compute_agent.monitor.asks import Asks
from migrator.compute_agent.monitor.judging import Case
from migrator.compute_agent.monitor.known import Known, Reading, key_of, learn, observe
from migrator.compute_agent.monitor.patience import (
    MOSTLY_AGAIN,
    expected_next,
    patient,
    too_long,
)
from migrator.compute_agent.monitor.phases import Stage, phase_of
from migrator.compute_agent.monitor.restarting import (
    PACKED_FLAG,
    POSTCOPY_FLAG,
    SYNCHRONOUS_FLAG,
    THROTTLE_FLAG,
    again,
)
from migrator.compute_agent.monitor.ways import (
    allowed,
    asked_for,
    end,
    permitted,
    postcopy,
    untried,
)
from migrator.model import ForceMethod, OnDeadline, TransferPolicy

__all__ = ["Known", "Reading", "decide", "learn", "observe", "phase_of"]

ABORT_AGAIN_S = 5.0
"""After libvirt took an abort the call returns within 0.2 s; with a frozen QEMU it does not, and
asking again is free."""
NO_PROGRESS_S = 40.0
"""Not a byte for so long: the link or the destination is dead. A guest that waits for nothing is no
better off than one that is left alone."""
SWITCH_S = 60.0
"""A way to the end that libvirt agreed to has shown by then, or the next one is tried."""
CHEAP = 0.005
"""An iteration that takes a smaller share of the time so far is worth a shorter freeze."""
WORTH = 0.5
"""It must at least halve what is left."""
MOST_THROTTLE = 99
"""Per cent; QEMU goes no further."""


def decide(policy: TransferPolicy | None, reading: Reading, known: Known, asks: Asks) -> Action:
    """Look a reading up in the rules.

    :param policy: None while nobody has said what the guest tolerates: only asks are obeyed then.
    """
    if reading.job is None:
        return Wait("nothing_runs")
    case = Case(policy, reading, known, asks, reading.job)
    for rule in RULES:
        action = rule(case)
        if action is not None:
            return action
    return Wait("nothing_asked")


# -- rules, in their order; None where one does not apply


def _abort_asked(case: Case) -> Action | None:
    if not case.asks.abort or case.reading.postcopy:
        return None
    taken = case.known.abort_taken_at
    if taken is not None and case.at - taken < ABORT_AGAIN_S:
        return Wait("abort_under_way")
    return Abort("abort_asked")


def _tuned(case: Case) -> Action | None:
    tune, known = case.asks.tune, case.known
    wanted: list[Action] = []
    if tune.bandwidth_mib_s not in (None, known.speed_mib_s):
        wanted.append(SetSpeed(tune.bandwidth_mib_s or 0, False, "tuned"))
    if tune.postcopy_bandwidth_mib_s not in (None, known.postcopy_speed_mib_s):
        wanted.append(SetSpeed(tune.postcopy_bandwidth_mib_s or 0, True, "tuned"))
    own = case.policy.profile.postcopy_bandwidth_mib_s if case.policy else None
    if own is not None and known.postcopy_speed_mib_s is None:
        wanted.append(SetSpeed(own, True, "profile"))
    forced = known.step_at("set_downtime") is not None
    if tune.max_downtime_ms not in (None, known.downtime_ms) and not forced:
        wanted.append(SetDowntime(tune.max_downtime_ms or 1, "tuned"))
    return next((each for each in wanted if key_of(each) not in known.refused), None)


def _in_postcopy(case: Case) -> Action | None:
    return Wait("postcopy_runs") if case.stage is Stage.POSTCOPY else None


def _abort_under_way(case: Case) -> Action | None:
    """One that a rule below has chosen; it is asked for again like any other."""
    taken = case.known.abort_taken_at
    if taken is None:
        return None
    return Wait("abort_under_way") if case.at - taken < ABORT_AGAIN_S else Abort("abort_again")


def _no_progress(case: Case) -> Action | None:
    begun = any(case.known.moved)
    still_s = case.at - case.known.moved_at
    if not begun or still_s < NO_PROGRESS_S:
        return None
    return Abort("no_progress", {"still_s": round(still_s, 1), **case.facts})


def _under_way(case: Case) -> Action | None:
    """A way to the end was taken: see whether it leads there."""
    if not case.known.steps:
        return None
    name, at = case.known.steps[-1]
    if name == "suspend" and case.reading.paused:
        return Wait("frozen_until_the_switch")
    if case.at - at < SWITCH_S:
        return Wait("switch_under_way")
    return end(case, untried(case), "no_effect") or Wait("nothing_left_to_try")


def _mirror_lags(case: Case) -> Action | None:
    """A guest that writes to its disks as fast as they are copied: only a mirror that makes its writes
    wait for the other end comes to one."""
    policy = case.policy
    if policy is None or case.stage is not Stage.DISK or not case.known.mirror.lags:
        return None
    over = case.left_s is not None and case.left_s <= 0
    if over and policy.profile.on_deadline is OnDeadline.ABORT:
        return None
    return again(case, SYNCHRONOUS_FLAG, "mirror_lags")


def _forced(case: Case) -> Action | None:
    method = case.asks.force
    if method is None:
        return None
    if case.stage in (Stage.DISK, Stage.FIRST_PASS):
        return Wait("force_deferred")
    if case.stage is Stage.SWITCHOVER:
        return Wait("switching")
    if not case.flows:
        return Wait("link_too_slow_to_force", case.facts)
    ways: Sequence[Action] = asked_for(case, method)
    action = end(case, ways, "force_asked")
    if action is None and method is ForceMethod.POSTCOPY:
        return again(case, POSTCOPY_FLAG, "force_asked")
    return action


def _deadline(case: Case) -> Action | None:
    left_s = case.left_s
    if case.policy is None or left_s is None or left_s > 0:
        return None
    match case.policy.profile.on_deadline:
        case OnDeadline.CONTINUE:
            return None
        case OnDeadline.ABORT:
            return Abort("deadline", case.facts)
    if case.stage is Stage.SWITCHOVER:
        return Wait("switching")
    ways = permitted(case)
    if not ways:
        return Abort("deadline", case.facts)
    if case.stage in (Stage.DISK, Stage.FIRST_PASS):
        return Wait("deadline_deferred")
    if not case.flows:
        return Wait("link_too_slow_to_force", case.facts)
    return end(case, ways, "deadline") or Abort("deadline", case.facts)


def _early(case: Case) -> Action | None:
    if case.policy is None:
        return Wait("nothing_asked")
    if case.stage is Stage.SWITCHOVER:
        return Wait("switching")
    if case.stage in (Stage.DISK, Stage.FIRST_PASS):
        if case.stage is Stage.FIRST_PASS and case.known.downtime_ms is None:
            low = SetDowntime(case.low_ms, "start_low")
            if key_of(low) not in case.known.refused:
                return low
        return Wait(str(case.stage))
    return None


def _low_enough(case: Case) -> Action | None:
    """What is left fits into the budget: switch now, unless waiting is cheap and makes it shorter."""
    known = case.known
    if known.left > case.target or known.bandwidth <= 0:
        return None
    if known.downtime_iteration == known.iteration or (known.downtime_ms or 0) >= case.most_ms:
        return Wait("switch_expected")
    if not case.at_boundary:
        return Wait("in_iteration")
    took = known.left / known.bandwidth
    since = case.at - (known.memory_at or case.at)
    if took < CHEAP * since and expected_next(case, took) < WORTH * known.left:
        return Wait("shrinking", case.facts)
    again = known.downtime_ms is not None and known.left_before <= case.target
    ms = case.most_ms if again else min(case.most_ms, int(case.freeze_ms(known.left) * 1.5) + 20)
    return allowed(case, SetDowntime(max(ms, known.downtime_ms or 0), "low_enough", case.facts))


def _converging(case: Case) -> Action | None:
    """Go on while pre-copy leads to the goal in time, or might."""
    if not case.at_boundary:
        return Wait("in_iteration")
    ahead = case.outlook
    look = _look(case)
    if look is not None:
        return look
    rewritten = _rewritten(case)
    if rewritten is not None:
        return rewritten
    if ahead is None:
        return Wait("too_early_to_tell", case.facts)
    late = case.left_s is not None and ahead.seconds > case.left_s
    believed = ahead.reaches and not case.disappointed and not too_long(case, ahead.seconds)
    if believed and not late:
        return Wait("converging", case.facts)
    if believed and not permitted(case):
        return Wait("late_but_converging", case.facts)
    if case.was_hopeful and case.shrinks and (patient(case) or case.reaches_on_average):
        # Bursts look like the end of all hope while they last.
        return Wait("still_shrinking", case.facts)
    return Wait("may_be_calm_soon", case.facts) if patient(case) else None


def _rewritten(case: Case) -> Action | None:
    """Another pass over nearly as much is worth less than post-copy, where that may be."""
    policy, known = case.policy, case.known
    assert policy is not None
    if not (policy.profile.allow_postcopy and case.flows):
        return None
    if len(known.passes) != 1 or known.left <= MOSTLY_AGAIN * case.job.memory_total:
        return None
    return end(case, postcopy(case), "not_converging")


def _look(case: Case) -> Action | None:
    """Whatever downtime QEMU is allowed, it leaves as much unsent when it looks for dirtied memory:
    little, until the next look is expected to find little enough."""
    known = case.known
    if known.downtime_iteration == known.iteration or known.iteration_at != case.at:
        return None
    unsent = case.early_look
    ms = max(case.low_ms, int(1000 * unsent / known.bandwidth) if known.bandwidth > 0 else 0)
    if abs(ms - (known.downtime_ms or 0)) < case.low_ms:
        return None
    rule = "look_early" if ms > case.low_ms else "missed"
    return allowed(case, SetDowntime(ms, rule, case.facts))


def _throttled(case: Case) -> Action | None:
    """The guest is being slowed down, there being no quicker way: that takes its iterations to show."""
    policy = case.policy
    assert policy is not None
    if permitted(case) or not (policy.throttle and policy.profile.allow_throttle):
        return None
    return Wait("throttling", case.facts) if case.job.throttle < MOST_THROTTLE else None


def _not_converging(case: Case) -> Action | None:
    """The least disturbing way to the end that is permitted; no way is an end as well."""
    policy = case.policy
    assert policy is not None
    if not case.flows:
        return Wait("link_too_slow_to_force", case.facts)
    action = (
        again(case, POSTCOPY_FLAG, "not_converging")
        or end(case, permitted(case), "not_converging")
        or again(case, THROTTLE_FLAG, "not_converging")
        or again(case, PACKED_FLAG, "not_converging")
    )
    if action is not None:
        return action
    if policy.profile.on_deadline is OnDeadline.CONTINUE:
        return Wait("not_converging", case.facts)
    return Abort("not_converging", case.facts)


RULES: tuple[Callable[[Case], Action | None], ...] = (
    _abort_asked,
    _tuned,
    _in_postcopy,
    _abort_under_way,
    _no_progress,
    _under_way,
    _mirror_lags,
    _forced,
    _deadline,
    _early,
    _low_enough,
    _converging,
    _throttled,
    _not_converging,
)
