"""Whether a mirror is seen to gain on its guest, and what is done about one that does not."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.compute_agent.monitor.actions import Restart, Wait
from migrator.compute_agent.monitor.asks import ForceAsked, ForceMethod
from migrator.compute_agent.monitor.decide import SYNCHRONOUS_FLAG
from migrator.compute_agent.monitor.mirror import Mirror
from migrator.model import JobSample, OnDeadline
from tests.unit.compute_agent.transfers import MIB, Watched, policy, profile

LINK = 100
"""MiB/s."""
DISK = 1000
CAN = (SYNCHRONOUS_FLAG,)


def disks(sent: float, left: float) -> JobSample:
    """As libvirt counts: what is written meanwhile is added to the whole."""
    return JobSample(
        "migration_out",
        disk_total=int((sent + left) * MIB),
        disk_processed=int(sent * MIB),
        disk_remaining=int(left * MIB),
    )


def mirrored(rates: Sequence[float], link: float = LINK) -> Mirror:
    """After so many seconds, in each of which the guest writes so many MiB over what was copied."""
    mirror, sent, left = Mirror().seen(disks(0, DISK)), 0.0, float(DISK)
    for rate in rates:
        sent += min(link, left)
        left = max(0.0, min(left - link + rate, float(DISK)))
        mirror = mirror.seen(disks(sent, left))
    return mirror


@pytest.mark.parametrize(
    ("rates", "lags"),
    [
        ([0.0] * 10, False),
        ([50.0] * 60, False),
        ([100.0] * 60, True),
        ([300.0] * 60, True),
        ([95.0] * 60, True),
        # One burst in a long copy.
        ([200.0, 200.0, *[0.0] * 5], False),
    ],
)
def test_a_mirror_lags_behind_a_guest_that_writes_as_fast_as_it_copies(
    rates: list[float], lags: bool
) -> None:
    assert mirrored(rates).lags is lags


@given(st.floats(0.0, 80.0), st.floats(1.0, 1000.0), st.integers(1, 200))
def test_a_mirror_that_gains_a_fifth_of_what_it_sends_never_lags(
    share: float, link: float, seconds: int
) -> None:
    assert not mirrored([link * share / 100] * seconds, link).lags


@given(st.lists(st.floats(-6.0, 6.0), min_size=60, max_size=60))
def test_a_mirror_that_lags_is_seen_though_the_figures_jump(jumps: list[float]) -> None:
    """As measured: what is left goes up and down by some MiB between two looks."""
    mirror, sent = Mirror().seen(disks(0, 20)), 0.0
    for jump in jumps:
        sent += 1.0
        mirror = mirror.seen(disks(sent, 20 + jump))
        if mirror.lags:
            return
    raise AssertionError(mirror)


@given(st.lists(st.floats(0.0, 1000.0), min_size=1, max_size=50))
def test_what_stands_still_is_not_judged(rates: list[float]) -> None:
    """A link that carries nothing says nothing of the guest."""
    mirror = Mirror().seen(disks(10, DISK))
    for _ in rates:
        mirror = mirror.seen(disks(10, DISK))
    assert not mirror.lags


def looked(watched: Watched, seconds: int = 40) -> Restart | Wait:
    sent, action = 0.0, Wait("")
    for at in range(seconds):
        action = watched.look(float(at), disks(sent, DISK))
        if any(isinstance(each, Restart) for each in watched.done):
            break
        sent += LINK
    restarts = [each for each in watched.done if isinstance(each, Restart)]
    return restarts[0] if restarts else action


def test_it_is_started_again_with_writes_that_wait() -> None:
    watched = Watched(policy(restart_with=CAN))
    again = looked(watched)
    assert isinstance(again, Restart)
    assert (again.flags, again.rule) == (CAN, "mirror_lags")
    assert again.facts["disk_sent_since_mib"] >= DISK / 2


def test_it_is_started_again_once() -> None:
    watched = Watched(policy(restart_with=CAN))
    looked(watched)
    again = [looked(watched) for _ in range(2)]
    assert len([each for each in watched.done if isinstance(each, Restart)]) == 1, again


@pytest.mark.parametrize("flags", [(), ("auto_converge",)])
def test_it_goes_on_where_writes_cannot_wait(flags: tuple[str, ...]) -> None:
    assert looked(Watched(policy(restart_with=flags))) == Wait("disk")


def test_it_goes_on_where_libvirt_does_not_let_go() -> None:
    watched = Watched(policy(restart_with=CAN), refuses=("restart",))
    looked(watched)
    assert [each.name for each in watched.done] == ["restart"]


def test_a_force_asked_for_meanwhile_does_not_keep_a_mirror_that_never_ends() -> None:
    watched = Watched(policy(restart_with=CAN))
    watched.asks = watched.asks.plus(ForceAsked(ForceMethod.AUTO))
    assert isinstance(looked(watched), Restart)


def test_a_deadline_that_is_over_aborts_it() -> None:
    tight = profile(deadline_s=5.0, on_deadline=OnDeadline.ABORT)
    watched = Watched(policy(tight, restart_with=CAN))
    watched.look(0.0, disks(0, DISK))
    watched.look(30.0, disks(500, DISK))
    watched.look(40.0, disks(1000, DISK))
    assert watched.ends == [("abort", "deadline")]
