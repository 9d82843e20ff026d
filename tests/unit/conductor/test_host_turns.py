"""Who claims on a host next, and how long whoever was too late waits."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from migrator.conductor.host_turns import MOST_PAUSE_S, HostTurns, pause_s
from migrator.threads import Threads


def test_one_claims_at_a_time_on_a_host_and_others_elsewhere_meanwhile() -> None:
    turns = HostTurns(Threads())
    inside: list[str] = []

    def work(name: str) -> None:
        with turns.at("h1"):
            inside.append(name)
            assert inside == [name]
            inside.remove(name)

    with turns.at("h2"), ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(work, str(number)) for number in range(64)]:
            done.result()


def test_what_was_selected_before_the_last_claim_is_over() -> None:
    turns = HostTurns(Threads())
    assert not turns.is_over("h1", 0)
    turns.took("h1", 4)
    assert [turns.is_over("h1", generation) for generation in (3, 4, 5)] == [True, True, False]
    assert not turns.is_over("h2", 4)


def test_pauses_grow_to_a_bound_and_differ_between_migrations() -> None:
    ids = [f"migration-{number}" for number in range(64)]
    for conflicts in (1, 3, 40):
        pauses = [pause_s(each, conflicts) for each in ids]
        assert len(set(pauses)) == len(ids)
        assert all(0.0 <= pause <= MOST_PAUSE_S for pause in pauses)
    mean = [sum(pause_s(each, conflicts) for each in ids) for conflicts in (1, 2, 3, 4)]
    assert mean == sorted(mean)
    assert pause_s("m", 3) == pause_s("m", 3)
