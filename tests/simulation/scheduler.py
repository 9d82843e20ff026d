"""One thing at a time, chosen by the seed, on a clock that only moves when nothing can run.

Every worker of every process is a greenlet: it runs until it waits, or until it passes a *point* (a
call of a port) where the seed lets somebody else go first. So a run is a function of its seed, and a
process can be killed, frozen and thawed between any two of its calls.
"""

from __future__ import annotations

import heapq
import itertools
import random
import traceback
import uuid
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import TracebackType

from greenlet import getcurrent, greenlet

START = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
MOST_SWITCHES = 400_000
"""A run that needs more does not come to an end by itself."""


class SimulationOver(BaseException):
    """Unwinds what is left of a run; nothing may act any more."""


class Stuck(Exception):
    """The run cannot go on: nobody has anything to wait for, or nobody ever stops."""


@dataclass(eq=False)
class Process:
    """One process of the fleet; ``skew`` is how far its wall clock is off, in seconds."""

    name: str
    skew: float = 0.0
    alive: bool = True
    frozen: bool = False
    tasks: set[Task] = field(default_factory=set)
    parked: list[Task] = field(default_factory=list)

    def __str__(self) -> str:
        return self.name


@dataclass(eq=False)
class Task:
    """One worker. ``ticket`` tells a wake-up that is still meant from one that came too late."""

    name: str
    process: Process
    greenlet: greenlet
    ticket: int = 0
    waits: bool = False
    done: bool = False

    def __str__(self) -> str:
        return f"{self.process}/{self.name}"


class Scheduler:
    """The clock, the dice and everything that can run.

    :param yields: the share of points at which somebody else may go first.
    """

    def __init__(self, seed: int, yields: float) -> None:
        self.dice = random.Random(seed)
        self.yields = yields
        self.time = 0.0
        self.switches = 0
        self.over = False
        self.at_point: Callable[[Process, str], None] | None = None
        """Called at every point of every process, before anything else happens there."""
        self.failures: list[str] = []
        """What workers ended with though nothing may end them."""
        self._main = getcurrent()
        self._ready: list[Task] = []
        self._urgent: deque[Task] = deque()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._current: Task | None = None
        self._everyone: list[Task] = []

    # -- running

    def run_until(self, condition: Callable[[], bool], within_s: float) -> bool:
        """Run everybody until it holds; False when ``within_s`` seconds of its time were not enough."""
        deadline = self.time + within_s
        checked_at = -1
        while True:
            if self.switches != checked_at:
                checked_at = self.switches
                if condition():
                    return True
            if self.time > deadline:
                return False
            if self.switches > MOST_SWITCHES:
                raise Stuck(f"nobody stops: {self.switches} switches in {self.time:.0f} s")
            self._step()

    def _step(self) -> None:
        task = self._next()
        if task is None:
            if not self._timers:
                raise Stuck("nobody has anything to wait for")
            at, _, act = heapq.heappop(self._timers)
            self.time = max(self.time, at)
            act()
            return
        self.switches += 1
        self._current = task
        task.greenlet.switch()
        self._current = None

    def _next(self) -> Task | None:
        while self._urgent:
            task = self._urgent.popleft()
            if task.process.alive and not task.done:
                return task
        while self._ready:
            place = self.dice.randrange(len(self._ready))
            task = self._ready[place]
            self._ready[place] = self._ready[-1]
            self._ready.pop()
            if not task.process.alive or task.done:
                continue
            if task.process.frozen:
                task.process.parked.append(task)
                continue
            return task
        return None

    def end(self) -> None:
        """Unwind whatever is left, so that nothing of this run outlives it."""
        self.over = True
        for task in self._everyone:
            if not task.greenlet.dead and task.greenlet:
                try:
                    task.greenlet.throw(SimulationOver)
                except SimulationOver:
                    continue
        self._everyone.clear()

    # -- what workers do

    @property
    def current(self) -> Task | None:
        """The running worker; None outside of any."""
        if self.over:
            raise SimulationOver
        return self._current

    def spawn(
        self, process: Process, name: str, work: Callable[[], None], urgent: bool = False
    ) -> Task:
        """A new worker of ``process``."""
        if self.over:
            raise SimulationOver

        def body() -> None:
            try:
                work()
            except Exception:
                self.failures.append(f"{task} ended with an error:\n{traceback.format_exc()}")
            finally:
                task.done = True
                process.tasks.discard(task)

        task = Task(name, process, greenlet(body, self._main))
        self._everyone.append(task)
        process.tasks.add(task)
        (self._urgent if urgent else self._ready).append(task)
        return task

    def at(self, seconds: float, act: Callable[[], None]) -> None:
        """Do ``act``, which must not wait, ``seconds`` from now."""
        heapq.heappush(self._timers, (self.time + seconds, next(self._numbers), act))

    def point(self, label: str) -> None:
        """The running worker is about to do something, or has just done it."""
        task = self.current
        if task is None:
            return
        if self.at_point is not None:
            self.at_point(task.process, label)
        stopped = not task.process.alive or task.process.frozen
        if self._urgent or stopped or (self.yields and self.dice.random() < self.yields):
            self._go_on_later(task)

    def _go_on_later(self, task: Task) -> None:
        self._ready.append(task)
        self._leave()

    def _leave(self) -> None:
        """Hand over to the scheduler; returns when it is this worker's turn again, perhaps never."""
        self._main.switch()
        if self.over:
            raise SimulationOver

    def wait(self, timeout: float | None) -> None:
        """Until :meth:`wake`, at most ``timeout`` seconds."""
        task = self.current
        assert task is not None, "only workers wait"
        task.ticket += 1
        task.waits = True
        if timeout is not None:
            ticket = task.ticket
            self.at(max(timeout, 0.0), lambda: self._time_out(task, ticket))
        self._leave()
        task.waits = False

    def wake(self, task: Task) -> None:
        """Its waiting is over."""
        if task.waits:
            task.waits = False
            task.ticket += 1
            self._ready.append(task)

    def _time_out(self, task: Task, ticket: int) -> None:
        if task.waits and task.ticket == ticket:
            self.wake(task)

    # -- processes

    def kill(self, process: Process) -> None:
        """None of its workers runs again."""
        process.alive = False
        process.parked.clear()

    def freeze(self, process: Process) -> None:
        """SIGSTOP."""
        process.frozen = True

    def thaw(self, process: Process) -> None:
        """SIGCONT: what was due meanwhile is due now."""
        process.frozen = False
        self._ready += process.parked
        process.parked.clear()


class SimClock:
    """:class:`migrator.ports.Clock` of one process."""

    def __init__(self, scheduler: Scheduler, process: Process) -> None:
        self._scheduler = scheduler
        self._process = process

    def now(self) -> datetime:
        return START + timedelta(seconds=self._scheduler.time + self._process.skew)

    def monotonic(self) -> float:
        return self._scheduler.time + 1000.0

    def sleep(self, seconds: float) -> None:
        deadline = self._scheduler.time + seconds
        while (left := deadline - self._scheduler.time) > 0:
            self._scheduler.wait(left)


class SimInbox:
    """:class:`migrator.ports.Inbox`."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._items: deque[object] = deque()
        self._reader: Task | None = None

    def put(self, item: object) -> None:
        self._items.append(item)
        if self._reader is not None:
            self._scheduler.wake(self._reader)

    def get(self, timeout: float) -> object | None:
        scheduler = self._scheduler
        if not self._items and timeout > 0:
            self._reader = scheduler.current
            scheduler.wait(timeout)
            self._reader = None
        return self._items.popleft() if self._items else None


class SimLock:
    """A re-entrant lock; a worker that dies with it takes it along."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._owner: Task | None = None
        self._depth = 0
        self._waiting: list[Task] = []

    def __enter__(self) -> SimLock:
        me = self._scheduler.current
        if me is None:
            return self
        if self._owner is not me:
            self._scheduler.point("lock")
            while self._owner is not None:
                self._waiting.append(me)
                self._scheduler.wait(None)
            self._owner = me
        self._depth += 1
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._owner is None or self._scheduler.over:
            return
        self._depth -= 1
        if self._depth == 0:
            self._owner = None
            waiting, self._waiting = self._waiting, []
            for task in waiting:
                self._scheduler.wake(task)


class SimWorker:
    """:class:`migrator.ports.Worker`."""

    def __init__(self, scheduler: Scheduler, task: Task) -> None:
        self._scheduler = scheduler
        self._task = task

    @property
    def alive(self) -> bool:
        return not self._task.done

    def join(self, timeout: float) -> bool:
        deadline = self._scheduler.time + timeout
        while not self._task.done and self._scheduler.time < deadline:
            self._scheduler.wait(0.05)
        return self._task.done


class SimConcurrency:
    """:class:`migrator.ports.Concurrency` of one process."""

    def __init__(self, scheduler: Scheduler, process: Process) -> None:
        self._scheduler = scheduler
        self._process = process

    def spawn(self, name: str, work: Callable[[], None]) -> SimWorker:
        return SimWorker(self._scheduler, self._scheduler.spawn(self._process, name, work))

    def inbox(self) -> SimInbox:
        return SimInbox(self._scheduler)

    def lock(self) -> AbstractContextManager[object]:
        return SimLock(self._scheduler)

    def fresh_id(self) -> str:
        return str(uuid.UUID(int=self._scheduler.dice.getrandbits(128), version=4))
