"""One process of ours from start to end: logging, signals, an orderly stop.

A process never forks. libvirt connections, the connection to the broker and SQLite must not cross a
fork, and one pid for each service is what ``kill``, systemd and operators expect; systemd, which
supervises anyway, starts again what died. So there is no parent process here that would only repeat
its work.

Signals: TERM and INT stop in order, within :data:`GRACE_S`, a second one ends the process at once; HUP
reads the configuration files again (``debug`` takes effect); USR2 writes to the log what
every part has in hand (led migrations, to-dos, transfers) and the stack of every thread.
"""

from __future__ import annotations

import ctypes
import logging
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, NoReturn, Protocol, runtime_checkable

from oslo_config import cfg
from oslo_log import log
from oslo_service import systemd

from migrator import about
from migrator.errors import MigratorError, Refused, Transient
from migrator.version import version

LOG = logging.getLogger(__name__)

GRACE_S = 20.0
"""For everything to stop. systemd kills after 90 s; what is cut off here is what a crash cuts off,
and every part recovers from that."""

_M_ARENA_MAX = -8
"""As in malloc.h."""
_ARENAS = 2

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2)


@runtime_checkable
class Describing(Protocol):
    """A part that can say what it has in hand."""

    def describe(self) -> Sequence[str]:
        """A line each; may wait for a database, and fail."""
        ...


class Stoppable(Protocol):
    """A part that has been started."""

    def stop(self) -> None:
        """Finish what is being done and return; called once."""
        ...


def entry(work: Callable[[Sequence[str]], int]) -> int:
    """Run ``work(arguments)`` and turn what migrator says no with into a sentence and an exit code.

    :returns: what ``work`` returns; 2 for a refusal, 3 for something unreachable, 1 for damage.
    """
    try:
        return work(sys.argv[1:])
    except MigratorError as error:
        print(error, file=sys.stderr)
        return exit_code(error)


def exit_code(error: MigratorError) -> int:
    """The exit code that goes with a failure."""
    if isinstance(error, Refused):
        return 2
    return 3 if isinstance(error, Transient) else 1


def run(name: str, conf: cfg.ConfigOpts, start: Callable[[], Sequence[Stoppable]]) -> NoReturn:
    """Start, wait for a signal to stop, stop in the opposite order, end the process.

    :param name: the program's name, for the log.
    :param start: starts every part and returns them in the order they were started; may block while
        something is away, and is abandoned then when a signal to stop comes.

    The process ends with 0 when it was asked to, with :func:`exit_code` when it could not start.
    """
    _have_few_arenas()
    log.setup(conf, "migrator", version())
    _name_migrations()
    inbox: queue.SimpleQueue[object] = queue.SimpleQueue()

    def deliver(number: int, frame: FrameType | None) -> None:
        inbox.put(signal.Signals(number))

    for number in _SIGNALS:
        signal.signal(number, deliver)
    LOG.info("%s %s starts as pid %d", name, version(), os.getpid())
    _end_now(_Life(name, conf, inbox).live(start))


class _Started:
    """``start`` has returned."""

    def __init__(self, parts: Sequence[Stoppable]) -> None:
        self.parts = parts


class _Described:
    """The state has been written to the log."""


class _Life:
    """From the start to the end of one process; everything that happens comes through ``inbox``."""

    def __init__(self, name: str, conf: cfg.ConfigOpts, inbox: queue.SimpleQueue[object]) -> None:
        self._name = name
        self._conf = conf
        self._inbox = inbox
        self._parts: Sequence[Stoppable] | None = None

    def live(self, start: Callable[[], Sequence[Stoppable]]) -> int:
        self._in_thread("start", lambda: _Started(start()))
        while True:
            happened = self._inbox.get()
            if isinstance(happened, _Described):
                continue
            if isinstance(happened, _Started):
                self._parts = happened.parts
                systemd.notify_once()
                LOG.info("%s is ready", self._name)
            elif isinstance(happened, BaseException):
                return self._fail(happened)
            elif happened is signal.SIGHUP:
                self._reload()
            elif happened is signal.SIGUSR2:
                self._in_thread("state", self._log_state)
            else:
                return self._stop(happened)

    def _log_state(self) -> _Described:
        """In a thread of its own: what describes itself may wait for what is away."""
        _log_stacks()
        for part in self._parts or ():
            if isinstance(part, Describing):
                try:
                    LOG.info("state:\n%s", "\n".join(part.describe()))
                except Exception as error:
                    LOG.info("state: %s cannot tell: %s", type(part).__name__, error)
        return _Described()

    def _in_thread(self, name: str, work: Callable[[], Any]) -> None:
        def body() -> None:
            try:
                self._inbox.put(work())
            except BaseException as error:
                self._inbox.put(error)

        threading.Thread(target=body, name=name, daemon=True).start()

    def _fail(self, error: BaseException) -> int:
        if not isinstance(error, MigratorError):
            LOG.critical("%s cannot start", self._name, exc_info=error)
            return 1
        LOG.error("%s cannot start: %s", self._name, error)
        print(error, file=sys.stderr)
        return exit_code(error)

    def _reload(self) -> None:
        try:
            self._conf.mutate_config_files()
        except (cfg.Error, ValueError, OSError, SystemExit) as error:
            # oslo.config ends the process over a value of an option the command line also takes.
            LOG.error("config.invalid: the configuration stays as it was: %s", error)
        else:
            LOG.info("the configuration has been read again")

    def _stop(self, why: object) -> int:
        if self._parts is None:
            LOG.info("%s stops on %s before it was ready", self._name, _name(why))
            return 0
        LOG.info("%s stops on %s", self._name, _name(why))
        self._in_thread("stop", self._stop_parts)
        timer = threading.Timer(GRACE_S, lambda: self._inbox.put(TimeoutError()))
        timer.daemon = True
        timer.start()
        return self._await_stopped()

    def _stop_parts(self) -> None:
        for part in reversed(self._parts or ()):
            try:
                part.stop()
            except Exception:
                LOG.exception("%s did not stop cleanly", type(part).__name__)

    def _await_stopped(self) -> int:
        while True:
            happened = self._inbox.get()
            if happened is None:
                LOG.info("%s has stopped", self._name)
                return 0
            if isinstance(happened, TimeoutError):
                LOG.warning("%s has not stopped within %g s and ends now", self._name, GRACE_S)
                return 0
            if happened in (signal.SIGTERM, signal.SIGINT):
                LOG.warning("%s ends at once on a second signal", self._name)
                return 1


def _have_few_arenas() -> None:
    """glibc gives threads up to eight heaps per CPU, and what falls free in one serves no other: with a
    thread for each migration that is a third of the memory. Another C library is left as it is."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, _ARENAS)


def _name_migrations() -> None:
    """Every line of a worker that is about a migration begins with its id, and carries it as a field."""
    plain = logging.getLogRecordFactory()

    def make(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = plain(*args, **kwargs)
        migration_id = about.current()
        record.migration = migration_id
        if migration_id is not None and migration_id not in f"{record.msg}{record.args}":
            record.msg = f"[migration {migration_id}] {record.msg}"
        return record

    logging.setLogRecordFactory(make)


def _name(happened: object) -> str:
    return happened.name if isinstance(happened, signal.Signals) else str(happened)


def _end_now(code: int) -> NoReturn:
    """Without waiting for threads: one may hang in a library for as long as a peer is away."""
    logging.shutdown()
    sys.stdout.flush()
    os._exit(code)


def _log_stacks() -> None:
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    for ident, frame in sys._current_frames().items():
        stack = "".join(traceback.format_stack(frame))
        LOG.info("stack of thread %s\n%s", names.get(ident, ident), stack)
