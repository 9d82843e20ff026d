"""Another attempt with other start flags, where this one leads nowhere: at most one. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from migrator.compute_agent.monitor.actions import Restart
from migrator.compute_agent.monitor.judging import Case
from migrator.compute_agent.monitor.predict import Copying, outlook
from migrator.compute_agent.monitor.ways import allowed, permitted
from migrator.model import PACKED

POSTCOPY_FLAG = "postcopy"
THROTTLE_FLAG = "auto_converge"
SYNCHRONOUS_FLAG = "non_shared_synchronous_writes"
PACKED_FLAG = "compressed"


def again(case: Case, flag: str, rule: str) -> Restart | None:
    """With ``flag``, where another attempt could have it and leads to an end that this one does not."""
    policy = case.policy
    if policy is None or flag not in policy.restart_with or case.known.restarted:
        return None
    leads = HELPS.get(flag)
    if leads is not None and not leads(case):
        return None
    facts = case.known.mirror.facts if flag == SYNCHRONOUS_FLAG else case.facts
    action = allowed(case, Restart((flag,), rule, facts))
    return action if isinstance(action, Restart) else None


def _postcopy_helps(case: Case) -> bool:
    """One pass more, and what is dirty then: no pre-copy of this guest is quicker, for none ends."""
    known = case.known
    return case.flows and _in_time(case, (case.job.memory_total + known.left) / known.bandwidth)


def _throttle_helps(case: Case) -> bool:
    assert case.policy is not None
    return case.policy.profile.allow_throttle


def _packing_helps(case: Case) -> bool:
    """Nothing else is permitted, and the guest as it has shown itself would be caught by a stream that
    is packed as well as most are. What the first pass gains by it is not counted on."""
    known, guest = case.known, case.guest
    if permitted(case) or guest is None or not case.flows:
        return False
    copying = Copying(known.bandwidth * PACKED, known.unsent(known.bandwidth) * PACKED)
    ahead = outlook(guest, known.left, copying, case.target * PACKED)
    first_s = case.job.memory_total / known.bandwidth
    return ahead.reaches and _in_time(case, first_s + ahead.seconds)


def _in_time(case: Case, seconds: float) -> bool:
    return case.left_s is None or seconds <= case.left_s


HELPS: Mapping[str, Callable[[Case], bool]] = {
    POSTCOPY_FLAG: _postcopy_helps,
    THROTTLE_FLAG: _throttle_helps,
    PACKED_FLAG: _packing_helps,
}
