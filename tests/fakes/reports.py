"""A conductor's receiving end, recording: what agents tell it, and what it may do to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from migrator.errors import Transient
from migrator.messages import (
    DomainEvent,
    Empty,
    HostReport,
    HostReported,
    TransferAction,
    TransferEnded,
    TransferProgress,
)

M = TypeVar("M", HostReport, DomainEvent, TransferEnded, TransferAction, TransferProgress)


class RecordingReports:
    """:class:`migrator.conductor.rpcapi.ReportsApi`; what was refused while away is not recorded."""

    def __init__(self) -> None:
        self.away = False
        """Nobody answers."""
        self.resend = False
        """Ask for the whole inventory with the next answer."""
        self.refused = 0
        self.hosts: list[HostReport] = []
        self.events: list[DomainEvent] = []
        self.ended: list[TransferEnded] = []
        self.progress: list[TransferProgress] = []
        self.actions: list[TransferAction] = []
        self._known: dict[str, dict[str, str]] = {}
        self.before_event: Callable[[DomainEvent], object] = lambda event: None

    def report_host(self, request: HostReport) -> HostReported:
        self._record(self.hosts, request)
        if request.domains is not None:
            self._known[request.host] = {one.id: str(one.state) for one in request.domains}
        resend, self.resend = self.resend, False
        return HostReported(resend=resend)

    def domain_event(self, request: DomainEvent) -> Empty:
        self.before_event(request)
        self._record(self.events, request)
        on_host = self._known.setdefault(request.host, {})
        on_host.pop(request.instance_id, None)
        if request.summary is not None:
            on_host[request.instance_id] = str(request.summary.state)
        return Empty()

    def transfer_ended(self, request: TransferEnded) -> Empty:
        self._record(self.ended, request)
        return Empty()

    def transfer_action(self, request: TransferAction) -> Empty:
        self._record(self.actions, request)
        return Empty()

    def transfer_progress(self, request: TransferProgress) -> None:
        self._record(self.progress, request)

    def names(self) -> list[tuple[str, str]]:
        """(event, detail) of the domain events so far."""
        return [(event.event, event.detail) for event in self.events]

    def known(self, host: str) -> dict[str, str]:
        """Domain id -> state on ``host``, as a conductor that follows what it is told has it."""
        return dict(self._known.get(host, {}))

    def _record(self, kind: list[M], message: M) -> None:
        if self.away:
            self.refused += 1
            raise Transient("rpc.unreachable", "nobody listens to migrator.conductor")
        kind.append(message)
