"""The message broker of a run: delays, duplicates, losses and partitions between real clients and
real endpoints.

It stands in for :class:`migrator.rpc.Bus`, so :class:`AgentClient` and :class:`ConductorClient` are
the real ones, and requests and answers travel in the real envelopes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec

from migrator.errors import Transient
from migrator.messages import Method
from migrator.rpc.envelope import answer, open_envelope
from tests.simulation.scheduler import Process, Scheduler, SimInbox

LATENCY_S = (0.0005, 0.005)
NO_BROKER_S = 2.0
"""Until a caller gives up on a broker it cannot reach."""


@dataclass
class Weather:
    """How messages fare; shares of all messages, 0 is a broker that never fails."""

    duplicated: float = 0.0
    delayed: float = 0.0
    """By up to ``delay_s``, so that later ones overtake them."""
    delay_s: float = 60.0
    reply_lost: float = 0.0
    request_lost: float = 0.0
    """Taken by a consumer that then died or lost its connection: nobody will answer."""
    queues_outlive: bool = False
    """What is sent to a process that is gone waits for its successor, as with a queue that has not
    expired yet."""


@dataclass(eq=False)
class _Server:
    process: Process
    answers: Mapping[str, Callable[[Any], dict[str, Any]]]


@dataclass(eq=False)
class _Message:
    method: str
    body: Any
    replies: SimInbox | None
    caller: Process
    server: _Server | None = None
    handled: bool = False


@dataclass
class Network:
    """Who listens, who is cut off, and what waits to be delivered."""

    scheduler: Scheduler
    weather: Weather = field(default_factory=Weather)
    cut_off: set[Process] = field(default_factory=set)
    servers: dict[str, dict[str, _Server]] = field(default_factory=dict)
    held: dict[tuple[str, str], list[_Message]] = field(default_factory=dict)

    def serve(
        self,
        process: Process,
        address: tuple[str, str],
        methods: Sequence[Method],
        endpoint: object,
    ) -> None:
        """Let ``endpoint`` answer for (topic, server)."""
        topic, name = address
        answers = {
            method.name: partial(answer, method, getattr(endpoint, method.name), {})
            for method in methods
        }
        self.servers.setdefault(topic, {})[name] = _Server(process, answers)
        for message in self.held.pop(address, []):
            self._send(address, message)

    def listening(self, topic: str) -> list[str]:
        """Names of the servers whose process lives, frozen ones included."""
        servers = self.servers.get(topic, {})
        return sorted(name for name, server in servers.items() if server.process.alive)

    def heal(self, process: Process) -> None:
        """It reaches the broker again, and what was sent to it reaches it."""
        self.cut_off.discard(process)
        for topic, servers in self.servers.items():
            for name, server in servers.items():
                if server.process is process:
                    for message in self.held.pop((topic, name), []):
                        self._send((topic, name), message)

    # -- sending

    def post(self, topic: str, server: str | None, message: _Message) -> None:
        """Hand one message to the broker. :raises Transient: ``rpc.unreachable``."""
        if message.caller in self.cut_off:
            self.scheduler.wait(NO_BROKER_S)
        if message.caller in self.cut_off:
            raise _unreachable(message.method, f"{topic}: no broker")
        name = server if server is not None else self._any(topic)
        gone = name is None or name not in self.listening(topic)
        if gone and not (self.weather.queues_outlive and name in self.servers.get(topic, {})):
            raise _unreachable(message.method, f"nobody listens to {topic} {server or ''}")
        assert name is not None
        self._send((topic, name), message)
        if self._happens(self.weather.duplicated):
            self._send((topic, name), message, self.scheduler.dice.uniform(0, 30))

    def post_all(self, topic: str, message: _Message) -> None:
        if message.caller in self.cut_off:
            raise _unreachable(message.method, f"{topic}: no broker")
        for name in self.listening(topic):
            self._send((topic, name), message)

    def _any(self, topic: str) -> str | None:
        names = self.listening(topic)
        return self.scheduler.dice.choice(names) if names else None

    def _send(self, address: tuple[str, str], message: _Message, later: float = 0.0) -> None:
        delay = self.scheduler.dice.uniform(*LATENCY_S) + later
        if self._happens(self.weather.delayed):
            delay += self.scheduler.dice.uniform(0, self.weather.delay_s)
        if self._happens(self.weather.request_lost):
            return
        self.scheduler.at(delay, lambda: self._deliver(address, message))

    def _deliver(self, address: tuple[str, str], message: _Message) -> None:
        topic, name = address
        server = self.servers[topic][name]
        if not server.process.alive:
            if self.weather.queues_outlive:
                self.held.setdefault(address, []).append(message)
            return
        if server.process in self.cut_off:
            self.held.setdefault(address, []).append(message)
            return
        message.server, message.handled = server, True
        self.scheduler.spawn(
            server.process, f"rpc-{message.method}", lambda: self._handle(server, message)
        )

    def _handle(self, server: _Server, message: _Message) -> None:
        self.scheduler.point(f"serve {message.method}")
        envelope = msgspec.json.decode(
            msgspec.json.encode(server.answers[message.method](message.body))
        )
        self.scheduler.point(f"served {message.method}")
        replies = message.replies
        if replies is None or self._happens(self.weather.reply_lost):
            return
        if server.process in self.cut_off or message.caller in self.cut_off:
            return
        delay = self.scheduler.dice.uniform(*LATENCY_S)
        self.scheduler.at(delay, lambda: replies.put(envelope))

    def shows_life(self, message: _Message) -> bool:
        """A heartbeat of the call monitor arrives."""
        server = message.server
        if server is None or not message.handled or message.caller in self.cut_off:
            return False
        process = server.process
        return process.alive and not process.frozen and process not in self.cut_off

    def _happens(self, share: float) -> bool:
        return share > 0 and self.scheduler.dice.random() < share


class SimBus:
    """:class:`migrator.rpc.Bus` of one process, as far as clients go."""

    def __init__(self, network: Network, process: Process) -> None:
        self._network = network
        self._process = process

    def client(self, topic: str, methods: Sequence[Method], version: str = "1.0") -> SimClient:
        return SimClient(self._network, self._process, topic, methods)


class SimClient:
    """:class:`migrator.rpc.Client`."""

    def __init__(
        self, network: Network, process: Process, topic: str, methods: Sequence[Method]
    ) -> None:
        self._network = network
        self._process = process
        self._topic = topic
        self._methods = {method.name: method for method in methods}

    def call(
        self,
        method_name: str,
        request: msgspec.Struct,
        *,
        server: str | None = None,
        timeout: float,
        monitor_timeout: float | None = None,
    ) -> Any:
        scheduler = self._network.scheduler
        where = f"{self._topic} {server}" if server else self._topic
        scheduler.point(f"call {method_name}")
        replies = SimInbox(scheduler)
        message = self._message(method_name, request, replies)
        deadline = scheduler.time + timeout
        self._network.post(self._topic, server, message)
        envelope = None
        while envelope is None:
            left = deadline - scheduler.time
            envelope = replies.get(min(left, monitor_timeout or left))
            if envelope is not None:
                break
            dead = monitor_timeout is not None and not self._network.shows_life(message)
            late = deadline - scheduler.time <= 0
            if dead or late:
                raise Transient(
                    "rpc.timeout",
                    f"{where} did not answer in time on {method_name}",
                    method=method_name,
                    sent=True,
                    silent=not late,
                )
        scheduler.point(f"answered {method_name}")
        return open_envelope(self._methods[method_name], envelope)

    def notify(
        self,
        method_name: str,
        request: msgspec.Struct,
        *,
        server: str | None = None,
        timeout: float = 5.0,
    ) -> None:
        self._network.scheduler.point(f"notify {method_name}")
        self._network.post(self._topic, server, self._message(method_name, request, None))

    def notify_all(
        self, method_name: str, request: msgspec.Struct, *, timeout: float = 5.0
    ) -> None:
        self._network.scheduler.point(f"notify {method_name}")
        self._network.post_all(self._topic, self._message(method_name, request, None))

    def _message(
        self, method_name: str, request: msgspec.Struct, replies: SimInbox | None
    ) -> _Message:
        body = msgspec.to_builtins(request, str_keys=True)
        return _Message(method_name, body, replies, self._process)


def _unreachable(method: str, why: str) -> Transient:
    return Transient(
        "rpc.unreachable", f"{method} could not be sent: {why}", method=method, sent=False
    )
