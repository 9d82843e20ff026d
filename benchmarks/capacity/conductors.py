"""The measured side: a real conductor, in a process of its own where the transport reaches one."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Protocol

from benchmarks.capacity.fleets import Reading
from benchmarks.capacity.wires import Wires
from benchmarks.idle import cpu_seconds, resident_mib
from migrator import config
from migrator.conductor import daemon
from migrator.conductor.fleet import Fleet
from migrator.db.engine import Database
from migrator.messages import Empty, TransferProgress
from migrator.rpc import Bus

Heard = dict[Reading, float]
"""Progress event -> the machine's monotonic time once the conductor has it."""

NAME = "bench"


def _listen(heard: Heard) -> None:
    """Have what every conductor of this process hears written down; the one thing not its own."""
    take: Callable[[Fleet, TransferProgress], Empty] = Fleet.transfer_progress

    def taken(fleet: Fleet, request: TransferProgress) -> Empty:
        answer = take(fleet, request)
        at = time.monotonic()
        heard[(request.migration_id, request.attempt, request.sequence)] = at
        for each in request.others:
            heard[(each.migration_id, each.attempt, each.sequence)] = at
        return answer

    Fleet.transfer_progress = taken  # type: ignore[method-assign, assignment]


class ConductorPart(Protocol):
    """A conductor that runs."""

    pid: int

    def end(self) -> Heard:
        """Stop it; what it heard."""
        ...

    def kill(self) -> None: ...


class ConductorHere:
    """In this process."""

    def __init__(self, wires: Wires, bus: Bus) -> None:
        self.pid = os.getpid()
        self._heard: Heard = {}
        _listen(self._heard)
        conf = config.load(["--config-file", str(wires.file(NAME))], NAME)
        daemon.build(config.conductor_settings(conf), bus, Database(wires.database)).start()

    def end(self) -> Heard:
        return self._heard

    def kill(self) -> None:
        """It ends with this process."""


def _child(file: str, pipe: Connection) -> None:
    """As the console script, but that what it heard is handed over before it ends."""
    heard: Heard = {}
    _listen(heard)
    sys.argv = ["migrator-conductor", "--config-file", file]
    leave = os._exit

    def ends(code: int) -> None:
        pipe.send(heard)
        leave(code)

    os._exit = ends  # type: ignore[assignment]
    daemon.main()


class ConductorProcess:
    """In a process of its own, started and stopped as a service manager does."""

    def __init__(self, wires: Wires) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        file = str(wires.file(NAME))
        self._process = context.Process(target=_child, args=(file, theirs), daemon=True)
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def end(self) -> Heard:
        os.kill(self.pid, signal.SIGTERM)
        heard: Heard = self._pipe.recv()
        self._process.join()
        return heard

    def kill(self) -> None:
        self._process.kill()


class Meter:
    """CPU and memory of a process over a while."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._began, self._cpu = time.monotonic(), cpu_seconds(pid)

    def cores(self) -> float:
        """CPU seconds per second so far."""
        return (cpu_seconds(self._pid) - self._cpu) / (time.monotonic() - self._began)

    def resident_mib(self) -> float:
        return resident_mib(self._pid)
