"""libvirt's event loop: one daemon thread for the whole process, started before any connection.

Without it keepalive and events do not exist, and a call to a daemon that hangs blocks for as long as
the daemon hangs. It must be started in the process that opens the connections: it does not survive
a fork. Callbacks run in its thread and must only put work into a queue: whatever one of them waits
for, keepalive of every connection waits for too.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

import libvirt

LOG = logging.getLogger(__name__)

_starting = threading.Lock()
_thread: threading.Thread | None = None


def ensure_event_loop() -> None:
    """Start the loop unless it runs."""
    global _thread
    with _starting:
        if _thread is not None and _thread.is_alive():
            return
        libvirt.registerErrorHandler(_stay_silent, None)
        libvirt.virEventRegisterDefaultImpl()
        _thread = threading.Thread(target=_run, name="libvirt-events", daemon=True)
        _thread.start()


def _run() -> None:
    while True:
        try:
            libvirt.virEventRunDefaultImpl()
        except libvirt.libvirtError:
            LOG.exception("libvirt's event loop failed; going on")


def _stay_silent(_context: Any, _error: Any) -> None:
    """libvirt prints every error to stderr unless told otherwise; each is raised to its caller too."""
