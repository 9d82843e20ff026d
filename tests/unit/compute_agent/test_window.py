"""So many at a time, in their order."""

from __future__ import annotations

import queue
import threading

import pytest

from migrator.compute_agent.window import Window
from migrator.threads import Threads

WAIT_S = 20


def test_whoever_finds_it_full_gets_in_when_somebody_leaves_in_the_order_of_coming() -> None:
    window, concurrency = Window(Threads(), width=2), Threads()
    entered: queue.Queue[int] = queue.Queue()
    leave = [threading.Event() for _ in range(4)]

    def visit(number: int) -> None:
        with window.inside():
            entered.put(number)
            assert leave[number].wait(WAIT_S)

    workers = []
    for number in range(2):
        workers.append(concurrency.spawn(f"visitor-{number}", lambda n=number: visit(n)))
        assert entered.get(timeout=WAIT_S) == number
    for number in range(2, 4):
        workers.append(concurrency.spawn(f"visitor-{number}", lambda n=number: visit(n)))
        while len(window._waiting) < number - 1:
            pass
    with pytest.raises(queue.Empty):
        entered.get_nowait()
    leave[1].set()
    assert entered.get(timeout=WAIT_S) == 2
    leave[0].set()
    assert entered.get(timeout=WAIT_S) == 3
    for event in leave:
        event.set()
    assert all(worker.join(WAIT_S) for worker in workers)


def test_a_place_is_free_again_after_an_error() -> None:
    window = Window(Threads(), width=1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), window.inside():
            1 / 0  # noqa: B018
