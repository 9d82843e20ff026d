"""Where an instance lives, from what every host says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from migrator.conductor.adoption import Settled, settle
from migrator.model import (
    ACTIVE_STATES,
    DomainState,
    DomainSummary,
    Instance,
    InstanceStatus,
    Reason,
)
from tests.unit.examples import UUID, a_sighting, an_instance

Sightings = Mapping[str, DomainSummary]
I = InstanceStatus  # noqa: E741

UP = a_sighting()
HELD = a_sighting(DomainState.PAUSED, Reason.USER)
DOWN = a_sighting(DomainState.SHUTOFF, Reason.UNKNOWN)
COMING = a_sighting(DomainState.PAUSED, Reason.MIGRATION, incoming=True)
GOING = a_sighting(DomainState.PAUSED, Reason.MIGRATION)
GOING_POSTCOPY = a_sighting(DomainState.PAUSED, Reason.POSTCOPY)
CAME = a_sighting(DomainState.RUNNING, Reason.MIGRATED)
CAME_POSTCOPY = a_sighting(DomainState.RUNNING, Reason.POSTCOPY)

ON_H1 = an_instance()
OFF_ON_H1 = an_instance(status=I.SHUTOFF)
LOST = an_instance(host=None, status=I.GONE)
OPEN = an_instance(host=None, status=I.AMBIGUOUS, candidates=("h1", "h2"))
CHOSEN = an_instance(host="h2", status=I.SHUTOFF, candidates=("h1", "h2"))
TWICE = an_instance(status=I.SPLIT_BRAIN, candidates=("h1", "h2"))


@pytest.mark.parametrize(
    ("known", "seen", "host", "status", "candidates", "happened"),
    [
        (None, {"h1": UP}, "h1", I.RUNNING, (), "adopted"),
        (None, {"h1": HELD}, "h1", I.PAUSED, (), "adopted"),
        (None, {"h1": DOWN}, "h1", I.SHUTOFF, (), "adopted"),
        (None, {"h1": DOWN, "h2": DOWN}, None, I.AMBIGUOUS, ("h1", "h2"), "adopted"),
        (None, {"h1": UP, "h2": UP}, None, I.SPLIT_BRAIN, ("h1", "h2"), "adopted"),
        # by hand: started, stopped, paused, resumed
        (OFF_ON_H1, {"h1": UP}, "h1", I.RUNNING, (), None),
        (ON_H1, {"h1": DOWN}, "h1", I.SHUTOFF, (), None),
        (ON_H1, {"h1": HELD}, "h1", I.PAUSED, (), None),
        # by hand: moved while off, moved live, destroyed for good, back again
        (OFF_ON_H1, {"h2": DOWN}, "h2", I.SHUTOFF, (), "moved_externally"),
        (ON_H1, {"h2": CAME}, "h2", I.RUNNING, (), "moved_externally"),
        (ON_H1, {"h1": DOWN, "h2": CAME}, "h2", I.RUNNING, (), "moved_externally"),
        (ON_H1, {}, None, I.GONE, (), "gone"),
        (LOST, {"h3": UP}, "h3", I.RUNNING, (), "returned"),
        # somebody else's live migration: two halves are not two guests
        (ON_H1, {"h1": GOING, "h2": COMING}, "h1", I.PAUSED, (), None),
        (ON_H1, {"h1": GOING, "h2": CAME}, "h2", I.RUNNING, (), "moved_externally"),
        (
            ON_H1,
            {"h1": GOING_POSTCOPY, "h2": CAME_POSTCOPY},
            "h2",
            I.RUNNING,
            (),
            "moved_externally",
        ),
        # two run
        (ON_H1, {"h1": UP, "h2": UP}, "h1", I.SPLIT_BRAIN, ("h1", "h2"), "split_brain"),
        (ON_H1, {"h1": UP, "h2": HELD}, "h1", I.SPLIT_BRAIN, ("h1", "h2"), "split_brain"),
        (ON_H1, {"h2": UP, "h3": UP}, None, I.SPLIT_BRAIN, ("h2", "h3"), "split_brain"),
        (TWICE, {"h1": UP, "h2": DOWN}, "h1", I.RUNNING, (), None),
        (TWICE, {"h2": UP}, "h2", I.RUNNING, (), "moved_externally"),
        # defined on several, active on none
        (OFF_ON_H1, {"h1": DOWN, "h2": DOWN}, None, I.AMBIGUOUS, ("h1", "h2"), "ambiguous"),
        (OPEN, {"h1": DOWN}, "h1", I.SHUTOFF, (), None),
        (OPEN, {"h1": DOWN, "h2": UP}, "h2", I.RUNNING, (), None),
        (CHOSEN, {"h2": DOWN}, "h2", I.SHUTOFF, (), None),
        (CHOSEN, {"h1": DOWN, "h2": UP}, "h2", I.RUNNING, (), None),
        (CHOSEN, {"h1": UP, "h2": DOWN}, "h1", I.RUNNING, (), "moved_externally"),
        (
            CHOSEN,
            {"h1": DOWN, "h2": DOWN, "h3": DOWN},
            None,
            I.AMBIGUOUS,
            ("h1", "h2", "h3"),
            "ambiguous",
        ),
    ],
)
def test_what_hosts_say_settles_where_it_lives(
    known: Instance | None,
    seen: Sightings,
    host: str | None,
    status: InstanceStatus,
    candidates: tuple[str, ...],
    happened: str | None,
) -> None:
    settled = settle(known, UUID, seen)
    assert settled is not None
    assert settled.instance.host == host
    assert settled.instance.status is status
    assert settled.instance.candidates == candidates
    assert settled.happened == happened


@pytest.mark.parametrize(
    ("known", "seen"),
    [
        (None, {}),
        (None, {"h2": COMING}),
        (ON_H1, {"h1": UP}),
        (ON_H1, {"h1": UP, "h2": COMING}),
        (ON_H1, {"h1": UP, "h2": DOWN}),
        (LOST, {}),
        (LOST, {"h2": COMING}),
        (OPEN, {"h1": DOWN, "h2": DOWN}),
        (CHOSEN, {"h1": DOWN, "h2": DOWN}),
        (TWICE, {"h1": UP, "h2": UP}),
    ],
)
def test_what_is_known_already_is_no_news(known: Instance | None, seen: Sightings) -> None:
    assert settle(known, UUID, seen) is None


def test_size_and_name_follow_the_host_it_lives_on() -> None:
    grown = replace(UP, name="web2", vcpus=4, memory_mib=1024, persistent=False)
    settled = settle(ON_H1, UUID, {"h1": grown, "h2": DOWN})
    assert settled == Settled(
        replace(ON_H1, name="web2", vcpus=4, memory_mib=1024, persistent=False), None
    )


# ------------------------------------------------------------------------ whatever the hosts say

HOSTS = ("h1", "h2", "h3")

domains = st.builds(
    a_sighting,
    st.sampled_from([state for state in DomainState if state is not DomainState.ABSENT]),
    st.sampled_from(Reason),
    name=st.sampled_from(["web", "web2"]),
    incoming=st.booleans(),
    persistent=st.booleans(),
    vcpus=st.integers(1, 4),
    memory_mib=st.sampled_from([256, 512]),
)
sightings = st.dictionaries(st.sampled_from(HOSTS), domains)
histories = st.lists(sightings, max_size=4)


def after(history: list[Sightings]) -> Instance | None:
    """The instance as it is known after all of this was said, one after the other."""
    known: Instance | None = None
    for seen in history:
        settled = settle(known, UUID, seen)
        known = settled.instance if settled else known
    return known


def own(seen: Sightings) -> Sightings:
    return {host: domain for host, domain in seen.items() if not domain.incoming}


@given(histories, sightings)
def test_settling_twice_changes_nothing_more(history: list[Sightings], seen: Sightings) -> None:
    settled = settle(after(history), UUID, seen)
    if settled is not None:
        assert settle(settled.instance, UUID, seen) is None


@given(histories)
def test_silence_changes_nothing(history: list[Sightings]) -> None:
    """A host that is away keeps its last word, so its silence is the same sightings again."""
    assume(history)
    assert settle(after(history), UUID, history[-1]) is None


@given(histories, sightings)
def test_what_a_migration_is_bringing_in_is_ignored(
    history: list[Sightings], seen: Sightings
) -> None:
    known = after(history)
    assert settle(known, UUID, seen) == settle(known, UUID, own(seen))


@given(histories, sightings)
def test_the_order_in_which_hosts_are_asked_does_not_matter(
    history: list[Sightings], seen: Sightings
) -> None:
    known = after(history)
    backwards = dict(reversed(list(seen.items())))
    assert settle(known, UUID, seen) == settle(known, UUID, backwards)


@given(histories, sightings)
def test_an_owner_is_a_host_that_has_it(history: list[Sightings], seen: Sightings) -> None:
    settled = settle(after(history), UUID, seen)
    if settled is not None and settled.instance.host is not None:
        assert settled.instance.host in own(seen)


@given(histories, sightings)
def test_running_on_one_host_means_living_there(history: list[Sightings], seen: Sightings) -> None:
    running = [host for host, domain in own(seen).items() if domain.state is DomainState.RUNNING]
    active = [host for host, domain in own(seen).items() if domain.state in ACTIVE_STATES]
    assume(active == running)
    now = after([*history, seen])
    if len(running) == 1:
        assert now is not None
        assert (now.host, now.status) == (running[0], I.RUNNING)
    if len(running) > 1:
        assert now is not None
        assert (now.status, now.candidates) == (I.SPLIT_BRAIN, tuple(sorted(running)))


@given(histories, sightings)
def test_gone_keeps_no_owner_so_that_its_claim_is_freed(
    history: list[Sightings], seen: Sightings
) -> None:
    now = after([*history, seen])
    if now is None:
        return
    assert (now.status is I.GONE) is (not own(seen))
    if now.status is I.GONE:
        assert now.host is None
        assert now.candidates == ()


@given(st.sampled_from(HOSTS), st.lists(st.sampled_from(["same", "coming"]), max_size=4))
def test_an_operators_choice_sticks_while_the_same_hosts_define_it(
    host: str, later: list[str]
) -> None:
    seen = dict.fromkeys(HOSTS, DOWN)
    known = after([seen])
    assert known is not None
    chosen = replace(known, host=host, status=I.SHUTOFF)
    for what in later:
        more = {**seen, "h4": COMING} if what == "coming" else seen
        assert settle(chosen, UUID, more) is None


@given(histories, sightings)
def test_its_migration_is_never_forgotten(history: list[Sightings], seen: Sightings) -> None:
    known = after(history)
    assume(known is not None)
    assert known is not None
    settled = settle(replace(known, migration_id="m1"), UUID, seen)
    assert settled is None or settled.instance.migration_id == "m1"
