"""Server-sent events: a migration's history, and then what happens to it, until it has ended.

    id: 12                          one line of its history
    event: event
    data: {"seq": 12, ...}

    event: progress                 the whole migration, whenever it has changed
    data: {"id": ..., "memory_remaining": ...}

    event: end                      the whole migration, once; nothing follows
    data: {"id": ..., "state": "completed", ...}

    event: error                    the error document; nothing follows
    data: {"error": {...}}

A reader that lost its connection sends the last id it saw as ``Last-Event-ID``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec

from migrator.api.failures import document
from migrator.errors import MigratorError, Transient
from migrator.messages import EventList, MigrationView
from migrator.states import TERMINAL

PATIENCE_S = 30.0
"""How long a stream outlives a conductor that does not answer: longer than a restart of it."""

Look = Callable[[int], EventList]
"""Events after a sequence number, and the migration as it is now."""


class Viewers:
    """Who holds a thread to watch; the other threads must stay free for everybody else."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._lock = threading.Lock()
        self._count = 0

    @property
    def count(self) -> int:
        return self._count

    def enter(self) -> None:
        """:raises Transient: ``viewers.too_many``; whoever is told so polls instead."""
        with self._lock:
            if self._count >= self.limit:
                raise Transient(
                    "viewers.too_many",
                    f"{self.limit} viewers are watching already; ask for the migration again and again "
                    "instead, once a second",
                    limit=self.limit,
                )
            self._count += 1

    def leave(self) -> None:
        with self._lock:
            self._count -= 1


@dataclass(frozen=True)
class Pace:
    """Seconds between two looks, and of silence before a comment is sent."""

    watch_s: float
    keep_alive_s: float


class EventStream:
    """The body of an event-stream answer; gives its place back when it ends or is closed.

    An object and not a generator: a generator that was never started runs no ``finally``, and its
    place would be lost when a viewer leaves before the first byte.
    """

    def __init__(
        self, look: Look, first: EventList, viewers: Viewers, stop: threading.Event
    ) -> None:
        self._look = look
        self._first = first
        self._viewers = viewers
        self._stop = stop
        self._open = True
        self._chunks: Iterator[bytes] = iter(())

    def at(self, pace: Pace) -> EventStream:
        self._chunks = self._run(pace)
        return self

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._chunks)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Called by the server when the viewer has gone; any number of times."""
        if self._open:
            self._open = False
            self._viewers.leave()

    def _run(self, pace: Pace) -> Iterator[bytes]:
        found: EventList | None = self._first
        shown: MigrationView | None = None
        after = 0
        answered = spoke = time.monotonic()
        while True:
            if found is not None:
                chunk = _chunk(found, shown)
                answered = time.monotonic()
                after = found.events[-1].seq if found.events else after
                shown = found.migration
                if chunk:
                    spoke = answered
                    yield chunk
                if not found.events and shown.state in TERMINAL:
                    yield _message("end", msgspec.json.encode(shown))
                    return
            if time.monotonic() - spoke >= pace.keep_alive_s:
                spoke = time.monotonic()
                yield b": keep-alive\n\n"
            more = found is not None and bool(found.events)
            if self._stop.wait(0.0 if more else pace.watch_s):
                return
            try:
                found = self._look(after)
            except MigratorError as error:
                found = None
                if not isinstance(error, Transient) or time.monotonic() - answered > PATIENCE_S:
                    yield _message("error", document(error))
                    return


def _chunk(found: EventList, shown: MigrationView | None) -> bytes:
    parts = [
        _message("event", msgspec.json.encode(event), identity=event.seq) for event in found.events
    ]
    if found.migration != shown:
        parts.append(_message("progress", msgspec.json.encode(found.migration)))
    return b"".join(parts)


def _message(kind: str, data: bytes, identity: int | None = None) -> bytes:
    head = b"" if identity is None else b"id: %d\n" % identity
    return head + b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"
