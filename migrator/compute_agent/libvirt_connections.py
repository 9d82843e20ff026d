"""Connections to one libvirt: opened under a deadline, watched, replaced.

A libvirt call may block for as long as a QEMU, a disk or a daemon hangs. Therefore every call runs in a
thread of its own under a deadline; a call past its deadline takes its connection with it: the
connection is abandoned, the next call opens another. The blocked thread ends when libvirt lets go of
it, at the latest when keepalive finds the daemon dead.

A connection carries one call at a time, and whoever uses it last closes it. Up to libvirt 10.2 a
client whose connection is used by two threads at once, closing included, may be woken with a pointer
into the other one's stack: with a daemon that hangs for some seconds it dies within a minute
(CVE-2024-4418; Debian 12's libvirt 9.0 has it).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

import libvirt

from migrator.compute_agent.libvirt_errors import timed_out, translated, unreachable, words
from migrator.compute_agent.libvirt_events import ensure_event_loop
from migrator.errors import MigratorError

LOG = logging.getLogger(__name__)
T = TypeVar("T")

IN_FLIGHT = 4
"""Calls, and so connections, of one channel at a time; more wait."""
OPEN_S = 10.0
"""A local libvirtd answers in milliseconds, one that has just started probes its QEMUs for seconds."""
ANSWER_S = 10.0
"""Reads take milliseconds; below the 20 s an agent's caller waits."""
RETRY_S = 0.5
"""A refused open is not repeated sooner: a host that is down costs callers no storm of attempts. One
that a caller in a hurry did not wait for says nothing about the host."""
KEEPALIVE_INTERVAL_S = 5
KEEPALIVE_COUNT = 3
"""A daemon silent for 5 s * (3 + 1) = 20 s is dead. Longer than any pause of a busy but healthy host
seen in tests, shorter than the 30 s in which libvirt's own peer-to-peer keepalive gives up, and only a
backstop: callers are held by their own deadline, not by this."""


class Link:
    """One open connection, for one user at a time."""

    def __init__(self, conn: libvirt.virConnect) -> None:
        self.conn = conn
        self.gone = threading.Event()
        """Set once it is of no more use: closed by the other side or abandoned."""
        self.why_gone = ""
        self.before_close: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._in_use = False
        self._retired = False

    @property
    def alive(self) -> bool:
        """Usable, as far as this side knows; asks nobody."""
        if self.gone.is_set():
            return False
        try:
            return bool(self.conn.isAlive() == 1)
        except libvirt.libvirtError:
            return False

    def take(self) -> bool:
        """Whether the caller may use it now, until it gives it back."""
        with self._lock:
            if self._in_use or self._retired:
                return False
            self._in_use = True
            return True

    def give_back(self) -> None:
        """The user is done; the last one closes it."""
        with self._lock:
            self._in_use = False
            retired = self._retired
        if retired:
            self.close()

    def retire(self, why: str) -> None:
        """Let nobody use it any more, and close it once nobody does; any number of times."""
        self.lose(why)
        with self._lock:
            close_now = not (self._retired or self._in_use)
            self._retired = True
        if close_now:
            # Closing asks the daemon, which may hang.
            threading.Thread(target=self.close, name="libvirt-close", daemon=True).start()

    def lose(self, why: str) -> None:
        """It is of no more use; the first reason counts."""
        if not self.gone.is_set():
            self.why_gone = why
            self.gone.set()

    def close(self) -> None:
        """Let go of it, by its only user. May block as long as the daemon hangs."""
        self.lose("closed")
        for step in (*self.before_close, self.conn.close):
            try:
                step()
            except libvirt.libvirtError as error:
                LOG.debug("closing a connection: %s", words(error))


class _Call(Generic[T]):
    """One piece of work in a thread of its own."""

    def __init__(self, name: str, work: Callable[[], T]) -> None:
        self._work = work
        self._done = threading.Event()
        self._ending = threading.Lock()
        self._late: Callable[[T], None] | None = None
        self._outcome: list[T] = []
        self._error: BaseException | None = None
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def _run(self) -> None:
        try:
            self._outcome.append(self._work())
        except BaseException as error:
            self._error = error
        with self._ending:
            self._done.set()
        if self._late is not None and self._error is None:
            self._late(self._outcome[0])

    def give_up(self, late: Callable[[T], None]) -> bool:
        """Wait no longer; ``late`` disposes of a result that comes yet. False: it has ended just now."""
        with self._ending:
            if self._done.is_set():
                return False
            self._late = late
            return True

    def wait(self, seconds: float) -> bool:
        return self._done.wait(max(seconds, 0.0))

    def result(self) -> T:
        if self._error is not None:
            raise self._error
        return self._outcome[0]


class Channel:
    """A few connections' worth of calls: whoever uses it does not see them being replaced."""

    def __init__(self, uri: str, role: str, prepare: Callable[[Link], None] | None = None) -> None:
        """:param role: what it is for, in thread names and logs.
        :param prepare: run on each newly opened connection, under the same deadline."""
        self.uri = uri
        self._role = role
        self._prepare = prepare
        self._opening = threading.Lock()
        self._turns = threading.BoundedSemaphore(IN_FLIGHT)
        self._links: tuple[Link, ...] = ()
        self._links_lock = threading.Lock()
        self._closed = False
        self._refused: tuple[float, MigratorError] | None = None

    def call(
        self, what: str, work: Callable[[libvirt.virConnect], T], deadline_s: float = ANSWER_S
    ) -> T:
        """Run ``work`` on a connection. ``what`` says what it does, for errors.

        :raises Transient: ``libvirt.unreachable``, ``libvirt.timeout``, ``libvirt.error``; what
            ``work`` itself raises of :mod:`migrator.errors` passes through.
        """
        end = time.monotonic() + deadline_s
        if not self._turns.acquire(timeout=deadline_s):
            raise timed_out(what, deadline_s)
        try:
            # A turn may come in the last moment; nothing could be asked in no time.
            if time.monotonic() >= end:
                raise timed_out(what, deadline_s)
            return self._call(what, work, (deadline_s, end))
        finally:
            self._turns.release()

    def _call(
        self, what: str, work: Callable[[libvirt.virConnect], T], limit: tuple[float, float]
    ) -> T:
        deadline_s, end = limit
        link = self._take(max(end - time.monotonic(), 0.0))

        def run() -> T:
            try:
                return work(link.conn)
            finally:
                link.give_back()

        call = _Call(f"libvirt-{self._role}", run)
        if not call.wait(end - time.monotonic()):
            self.abandon(link, f"a call hangs ({what})")
            raise timed_out(what, deadline_s)
        try:
            return call.result()
        except libvirt.libvirtError as error:
            raise translated(error, what, link.alive) from error

    def connect(self, deadline_s: float = OPEN_S) -> Link:
        """A connection, opened if there is none. :raises Transient: ``libvirt.unreachable``"""
        return self._find_or_open(lambda link: True, deadline_s)

    def _take(self, deadline_s: float) -> Link:
        """A connection that is the caller's alone."""
        return self._find_or_open(Link.take, deadline_s)

    def _find_or_open(self, suits: Callable[[Link], bool], deadline_s: float) -> Link:
        found = self._find(suits)
        if found is not None:
            return found
        if not self._opening.acquire(timeout=deadline_s):
            raise unreachable(self.uri, f"no connection within {deadline_s:g} s")
        try:
            found = self._find(suits)
            if found is None:
                found = self._open(min(OPEN_S, deadline_s))
                suits(found)
                with self._links_lock:
                    self._links += (found,)
            return found
        finally:
            self._opening.release()

    def _find(self, suits: Callable[[Link], bool]) -> Link | None:
        for link in self._links:
            if not link.alive:
                self.abandon(link, link.why_gone or "the other side closed it")
            elif suits(link):
                return link
        return None

    def abandon(self, link: Link, why: str) -> None:
        """Use it no more; it is closed by whoever uses it last."""
        with self._links_lock:
            known = link in self._links
            self._links = tuple(each for each in self._links if each is not link)
        if known and not self._closed:
            LOG.info("%s connection to %s given up: %s", self._role, self.uri, why)
        link.retire(why)

    def close(self) -> None:
        """For good."""
        self._closed = True
        for link in self._links:
            self.abandon(link, "closed")

    def _open(self, deadline_s: float) -> Link:
        if self._closed:
            raise unreachable(self.uri, "this connection has been closed")
        if self._refused is not None and time.monotonic() - self._refused[0] < RETRY_S:
            raise self._refused[1]
        begun = time.monotonic()
        try:
            link = open_link(self.uri, self._role, self._prepare, deadline_s)
        except MigratorError as error:
            now = time.monotonic()
            if now - begun < deadline_s or deadline_s >= RETRY_S:
                self._refused = (now, error)
            raise
        self._refused = None
        return link


def open_link(
    uri: str,
    role: str,
    prepare: Callable[[Link], None] | None = None,
    deadline_s: float = OPEN_S,
) -> Link:
    """A new connection with keepalive. :raises Transient: ``libvirt.unreachable``"""
    ensure_event_loop()

    def run() -> Link:
        link = Link(libvirt.open(uri))
        try:
            link.conn.setKeepAlive(KEEPALIVE_INTERVAL_S, KEEPALIVE_COUNT)
            if prepare is not None:
                prepare(link)
        except BaseException:
            link.close()
            raise
        return link

    call = _Call(f"libvirt-open-{role}", run)
    if not call.wait(deadline_s) and call.give_up(Link.close):
        raise unreachable(uri, f"it did not answer within {deadline_s:g} s")
    try:
        return call.result()
    except libvirt.libvirtError as error:
        raise unreachable(uri, words(error)) from error
