"""Events of one libvirt, for as long as anybody listens: reconnects and says so.

One thread per host waits, without polling, for its connection to break, and opens it again with
growing pauses. While there is no connection events are lost; ConnectionChanged(True) after it tells
listeners to look at everything again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import libvirt

from migrator.compute_agent.libvirt_connections import Channel, Link
from migrator.compute_agent.libvirt_errors import has_code
from migrator.compute_agent.libvirt_names import (
    CLOSE_REASONS,
    PROBE_PREFIX,
    event_names,
    statistics,
)
from migrator.compute_agent.ports import (
    ConnectionChanged,
    HypervisorEvent,
    JobCompleted,
    JobIteration,
    LifecycleEvent,
    OfferChanged,
)
from migrator.errors import MigratorError
from migrator.storage.libvirt_directories import PREFIX as STATE_POOL_PREFIX

BACK_OFF_S = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
"""A restarted libvirtd is back within a second or two; a host that is down is asked every 15 s."""
POOLS = libvirt.VIR_STORAGE_POOL_EVENT_ID_LIFECYCLE
NETWORKS = libvirt.VIR_NETWORK_EVENT_ID_LIFECYCLE
LOOK_S = 30.0
"""The close callback wakes at once; this is for a connection that died without one."""


class EventFeed:
    """The events of one host and the connection they come by."""

    def __init__(self, uri: str) -> None:
        self.channel = Channel(uri, "events", self._register)
        self._listeners: list[Callable[[HypervisorEvent], None]] = []
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._last: ConnectionChanged | None = None
        self._thread: threading.Thread | None = None

    def subscribe(self, listener: Callable[[HypervisorEvent], None]) -> None:
        """Hears every event from now on, first of all whether there is a connection."""
        with self._lock:
            self._listeners.append(listener)
            if self._last is not None:
                listener(self._last)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="libvirt-watch", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """No event after this."""
        with self._lock:
            self._listeners.clear()
        self._closed.set()
        self.channel.close()

    def _run(self) -> None:
        failures = 0
        while not self._closed.is_set():
            try:
                link = self.channel.connect()
            except MigratorError as error:
                self._tell_connection(ConnectionChanged(False, error.message))
                self._closed.wait(BACK_OFF_S[min(failures, len(BACK_OFF_S) - 1)])
                failures += 1
                continue
            failures = 0
            self._tell_connection(ConnectionChanged(True))
            while link.alive:
                link.gone.wait(LOOK_S)
            self._tell_connection(ConnectionChanged(False, link.why_gone or "it died"))

    def _tell_connection(self, change: ConnectionChanged) -> None:
        """Each change once, however often connecting fails."""
        with self._lock:
            if self._last is not None and self._last.connected == change.connected:
                return
            self._last = change
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener(change)

    def _tell(self, link: Link, event: HypervisorEvent) -> None:
        """From libvirt's event thread. An abandoned connection's events are its successor's too."""
        if link.gone.is_set():
            return
        for listener in tuple(self._listeners):
            listener(event)

    def _register(self, link: Link) -> None:
        conn = link.conn

        def on_close(_conn: Any, reason: int, _opaque: Any) -> None:
            link.lose(CLOSE_REASONS.get(reason, f"closed, reason {reason}"))

        def on_lifecycle(_conn: Any, domain: Any, event: int, detail: int, _opaque: Any) -> None:
            if domain.name().startswith(PROBE_PREFIX):
                return
            name, detail_name = event_names(event, detail)
            self._tell(link, LifecycleEvent(domain.UUIDString(), domain.name(), name, detail_name))

        def on_job(_conn: Any, domain: Any, parameters: dict[str, Any], _opaque: Any) -> None:
            self._tell(link, JobCompleted(domain.UUIDString(), statistics(parameters)))

        def on_iteration(_conn: Any, domain: Any, iteration: int, _opaque: Any) -> None:
            self._tell(link, JobIteration(domain.UUIDString(), iteration))

        conn.registerCloseCallback(on_close, None)
        link.before_close.append(conn.unregisterCloseCallback)
        for number, callback in (
            (libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, on_lifecycle),
            (libvirt.VIR_DOMAIN_EVENT_ID_JOB_COMPLETED, on_job),
            (libvirt.VIR_DOMAIN_EVENT_ID_MIGRATION_ITERATION, on_iteration),
        ):
            registered = conn.domainEventRegisterAny(None, number, callback, None)
            link.before_close.insert(0, partial(conn.domainEventDeregisterAny, registered))
        self._register_offers(link)

    def _register_offers(self, link: Link) -> None:
        """Pools and networks; a libvirt without that driver has nothing to tell."""
        conn = link.conn

        def on_offer(_conn: Any, offer: Any, event: int, _detail: int, _opaque: Any) -> None:
            if not offer.name().startswith(STATE_POOL_PREFIX):
                self._tell(link, OfferChanged(offer.name()))

        for register, deregister, number in (
            (conn.storagePoolEventRegisterAny, conn.storagePoolEventDeregisterAny, POOLS),
            (conn.networkEventRegisterAny, conn.networkEventDeregisterAny, NETWORKS),
        ):
            try:
                registered = register(None, number, on_offer, None)
            except libvirt.libvirtError as error:
                if not has_code(error, "NO_SUPPORT"):
                    raise
            else:
                link.before_close.insert(0, partial(deregister, registered))
