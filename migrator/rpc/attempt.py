"""One message on its way out, and the gate that keeps it from leaving after it was given up."""

from __future__ import annotations

import threading

import oslo_messaging


class CalledOff(Exception):
    """The caller has given up; nothing may be sent for it any more."""


class Attempt(oslo_messaging.TransportOptions):  # type: ignore[misc]
    """One message on its way: whether it may still leave, and whether it may have left.

    The driver reads ``at_least_once`` at the moment it publishes, every time it tries. That makes
    it the gate that keeps a command from being executed long after its caller gave up, when a
    thread that waited for a broken broker gets its connection back.
    """

    def __init__(self) -> None:
        super().__init__(at_least_once=True)
        self._lock = threading.Lock()
        self._called_off = False
        self.published = False

    @property
    def at_least_once(self) -> bool:
        """Always: an address nobody listens to is an error at once, not a timeout later."""
        with self._lock:
            if self._called_off:
                raise CalledOff
            self.published = True
            return True

    def call_off(self) -> bool:
        """Let nothing leave from now on; True when it may have left already."""
        with self._lock:
            self._called_off = True
            return self.published
