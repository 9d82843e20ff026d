"""What every transport must do, on the in-process one and on a real RabbitMQ."""

from __future__ import annotations

import json
import logging
import pickle
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from migrator import rpc
from migrator.errors import Broken, Fenced, Refused, Transient
from migrator.messages import Method

if TYPE_CHECKING:
    from tests.contract.transport_fixtures import RabbitNode, World

pytest_plugins = ["tests.contract.transport_fixtures"]

SLACK = 2.0
"""Seconds a busy machine may take over a promised limit."""


class Ask(msgspec.Struct):
    text: str
    seconds: float = 0.0
    sizes: dict[int, int] = msgspec.field(default_factory=dict)
    blob: bytes = b""


class NewerAsk(msgspec.Struct):
    text: str
    flavour: str = "added in a later release"


class OlderAsk(msgspec.Struct):
    seconds: float = 0.0


class MistypedAsk(msgspec.Struct):
    text: int


class Answer(msgspec.Struct):
    text: str
    sizes: dict[int, int] = msgspec.field(default_factory=dict)
    blob: bytes = b""


NAMES = ("echo", "refuse", "fence", "defer", "break_down", "crash", "lie", "work")
METHODS = [Method(name, Ask, Answer) for name in NAMES]


class Endpoint:
    """A server that does as its methods are called, and remembers what it did."""

    def __init__(self, name: str = "h1") -> None:
        self.name = name
        self.seen: list[str] = []
        self.started = threading.Event()
        self.finished = threading.Event()
        self.release = threading.Event()

    def echo(self, ask: Ask) -> Answer:
        self.seen.append(ask.text)
        return Answer(ask.text or self.name, ask.sizes, ask.blob)

    def refuse(self, ask: Ask) -> Answer:
        raise Refused("vcpus.insufficient", "h1 has 3 free, 4 are wanted", host="h1", free=3)

    def fence(self, ask: Ask) -> Answer:
        raise Fenced("command.stale", "epoch 3 has been superseded by 4", epoch=4)

    def defer(self, ask: Ask) -> Answer:
        raise Transient("libvirt.timeout", "libvirt did not answer", seconds=1.5)

    def break_down(self, ask: Ask) -> Answer:
        raise Broken("internal", "a claim of nobody's")

    def crash(self, ask: Ask) -> Answer:
        raise LookupError("the secret is 4711")

    def lie(self, ask: Ask) -> Answer:
        return Ask("not an answer")  # type: ignore[return-value]

    def work(self, ask: Ask) -> Answer:
        self.started.set()
        if ask.seconds:
            time.sleep(ask.seconds)
        else:
            self.release.wait(20)
        self.finished.set()
        return Answer("worked")


def test_a_reply_is_the_methods_reply_type_with_everything_in_it(world: World) -> None:
    world.serve(METHODS, Endpoint())
    ask = Ask("grüße", sizes={4: 1024}, blob=b"\x00\xff")
    answer = world.client(METHODS).call("echo", ask, server="h1", timeout=10)
    assert answer == Answer("grüße", {4: 1024}, b"\x00\xff")


@pytest.mark.parametrize(
    ("method", "cls", "code", "facts"),
    [
        ("refuse", Refused, "vcpus.insufficient", {"host": "h1", "free": 3}),
        ("fence", Fenced, "command.stale", {"epoch": 4}),
        ("defer", Transient, "libvirt.timeout", {"seconds": 1.5}),
        ("break_down", Broken, "internal", {}),
    ],
)
def test_an_error_arrives_with_its_class_code_and_facts(
    world: World, method: str, cls: type[Exception], code: str, facts: dict[str, Any]
) -> None:
    world.serve(METHODS, Endpoint())
    with pytest.raises(cls) as caught:
        world.client(METHODS).call(method, Ask(""), server="h1", timeout=10)
    assert type(caught.value) is cls
    assert caught.value.code == code  # type: ignore[attr-defined]
    assert caught.value.facts == facts  # type: ignore[attr-defined]


@pytest.mark.parametrize("method", ["crash", "lie"])
def test_a_bug_in_a_handler_is_logged_there_and_does_not_leak(
    world: World, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    world.serve(METHODS, Endpoint())
    with caplog.at_level(logging.ERROR), pytest.raises(Broken) as caught:
        world.client(METHODS).call(method, Ask(""), server="h1", timeout=10)
    assert caught.value.code == "internal"
    assert "4711" not in repr(caught.value.to_dict())
    assert "Traceback" in caplog.text


@pytest.mark.parametrize(("request_", "field"), [(OlderAsk(), "text"), (MistypedAsk(7), "text")])
def test_a_request_that_does_not_fit_is_refused_naming_the_field(
    world: World, request_: msgspec.Struct, field: str
) -> None:
    endpoint = Endpoint()
    world.serve(METHODS, endpoint)
    client = world.client([Method("echo", type(request_), Answer)])
    with pytest.raises(Refused) as caught:
        client.call("echo", request_, server="h1", timeout=10)
    assert caught.value.code == "rpc.bad_request"
    assert caught.value.facts["field"] == field
    assert endpoint.seen == []


def test_fields_a_newer_caller_added_are_ignored(world: World) -> None:
    world.serve(METHODS, Endpoint())
    client = world.client([Method("echo", NewerAsk, Answer)])
    assert client.call("echo", NewerAsk("hello"), server="h1", timeout=10).text == "hello"


def test_a_method_the_server_does_not_know_means_upgrade_the_server(world: World) -> None:
    world.serve(METHODS[:1], Endpoint())
    with pytest.raises(Refused, match=r"topic.* at h1 must be upgraded") as caught:
        world.client(METHODS).call("work", Ask(""), server="h1", timeout=10, monitor_timeout=2)
    assert caught.value.code == "rpc.version"
    assert caught.value.facts["upgrade"] == "server"


@pytest.mark.parametrize(
    ("client", "server", "behind"),
    [("1.1", "1.0", "server"), ("2.0", "1.9", "server"), ("1.9", "2.0", "client")],
)
def test_a_version_that_is_not_served_says_which_side_is_behind(
    world: World, client: str, server: str, behind: str
) -> None:
    world.serve(METHODS, Endpoint(), version=server)
    with pytest.raises(Refused) as caught:
        world.client(METHODS, client).call("echo", Ask(""), server="h1", timeout=10)
    assert caught.value.code == "rpc.version"
    assert caught.value.facts["upgrade"] == behind
    assert [t for t in threading.enumerate() if "_watchdog" in t.name] == []


def test_a_newer_minor_version_serves_older_callers(world: World) -> None:
    world.serve(METHODS, Endpoint(), version="1.4")
    assert world.client(METHODS, "1.0").call("echo", Ask("x"), server="h1", timeout=10).text == "x"


def test_a_server_that_never_was_is_unreachable_at_once(world: World) -> None:
    client = world.client(METHODS)
    world.serve(METHODS, Endpoint())
    client.call("echo", Ask(""), server="h1", timeout=10)
    for server in ("h2", "h2"):
        started = time.monotonic()
        with pytest.raises(Transient) as caught:
            client.call("echo", Ask(""), server=server, timeout=10)
        assert time.monotonic() - started < SLACK
        assert caught.value.code == "rpc.unreachable"
        assert caught.value.facts["sent"] is False


def test_a_topic_nobody_serves_is_unreachable_at_once(world: World) -> None:
    started = time.monotonic()
    with pytest.raises(Transient) as caught:
        world.client(METHODS).call("echo", Ask(""), timeout=10)
    assert caught.value.code == "rpc.unreachable"
    assert time.monotonic() - started < 2


def test_a_call_that_times_out_leaves_the_handler_working(world: World) -> None:
    endpoint = Endpoint()
    world.serve(METHODS, endpoint)
    started = time.monotonic()
    with pytest.raises(Transient) as caught:
        world.client(METHODS).call("work", Ask(""), server="h1", timeout=1)
    assert 0.9 < time.monotonic() - started < 1 + SLACK
    assert caught.value.code == "rpc.timeout"
    assert caught.value.facts["sent"] is True
    assert not endpoint.finished.is_set()
    endpoint.release.set()
    assert endpoint.finished.wait(5)
    assert world.client(METHODS).call("echo", Ask("on"), server="h1", timeout=10).text == "on"


@pytest.mark.parametrize("timeout", [0, -1])
def test_a_call_without_time_left_is_not_sent(world: World, timeout: float) -> None:
    endpoint = Endpoint()
    world.serve(METHODS, endpoint)
    with pytest.raises(Transient) as caught:
        world.client(METHODS).call("echo", Ask("late"), server="h1", timeout=timeout)
    assert caught.value.facts["sent"] is False
    time.sleep(0.1)
    assert endpoint.seen == []


def test_32_threads_at_once_get_their_own_answers(world: World) -> None:
    world.serve(METHODS, Endpoint())
    client = world.client(METHODS)

    def ten(thread: int) -> bool:
        texts = [f"{thread}.{number}" for number in range(10)]
        return texts == [
            client.call("echo", Ask(text), server="h1", timeout=30).text for text in texts
        ]

    with ThreadPoolExecutor(32) as pool:
        assert all(pool.map(ten, range(32)))


def test_a_mebibyte_goes_there_and_back(world: World) -> None:
    world.serve(METHODS, Endpoint())
    text = "x" * 2**20
    assert world.client(METHODS).call("echo", Ask(text), server="h1", timeout=20).text == text


def test_a_server_at_work_for_longer_than_the_monitor_timeout_is_waited_for(world: World) -> None:
    world.serve(METHODS, Endpoint())
    client = world.client(METHODS)
    answer = client.call("work", Ask("", seconds=3), server="h1", timeout=20, monitor_timeout=2)
    assert answer.text == "worked"


def test_a_server_without_a_sign_of_life_is_given_up_at_the_monitor_timeout(world: World) -> None:
    world.deaf_server("h1")
    started = time.monotonic()
    with pytest.raises(Transient, match="no sign of life") as caught:
        world.client(METHODS).call("echo", Ask(""), server="h1", timeout=20, monitor_timeout=2)
    assert caught.value.code == "rpc.timeout"
    assert 1.9 < time.monotonic() - started < 2 + SLACK


def test_a_stop_drains_the_call_in_progress(world: World) -> None:
    endpoint = Endpoint()
    server = world.serve(METHODS, endpoint)
    client = world.client(METHODS)
    with ThreadPoolExecutor(2) as pool:
        calling = pool.submit(client.call, "work", Ask(""), server="h1", timeout=20)
        assert endpoint.started.wait(5)
        stopping = pool.submit(server.stop)
        time.sleep(0.3)
        assert not stopping.done()
        endpoint.release.set()
        assert calling.result(10).text == "worked"
        stopping.result(10)


def test_a_stop_with_a_grace_does_not_wait_longer(world: World) -> None:
    endpoint = Endpoint()
    server = world.serve(METHODS, endpoint)
    client = world.client(METHODS)
    with ThreadPoolExecutor(1) as pool:
        calling = pool.submit(client.call, "work", Ask(""), server="h1", timeout=20)
        assert endpoint.started.wait(5)
        started = time.monotonic()
        server.stop(grace=0.3)
        assert time.monotonic() - started < 0.3 + SLACK
        endpoint.release.set()
        assert calling.result(10).text == "worked"


def test_stopping_a_server_that_was_never_started_or_is_stopped_does_nothing(world: World) -> None:
    world.bus.server(world.topic, "h1", METHODS, Endpoint()).stop()
    server = world.serve(METHODS, Endpoint())
    server.stop()
    server.stop()


def test_calls_to_a_topic_go_to_its_servers_in_turn(world: World) -> None:
    for name in ("h1", "h2"):
        world.serve(METHODS, Endpoint(name), name)
    client = world.client(METHODS)
    answers = {client.call("echo", Ask(""), timeout=10).text for _ in range(6)}
    assert answers == {"h1", "h2"}


def wait_for(condition: Any, seconds: float = 5.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return bool(condition())


def test_a_notification_reaches_one_server_and_a_fanout_all(world: World) -> None:
    endpoints = [Endpoint("h1"), Endpoint("h2")]
    for endpoint in endpoints:
        world.serve(METHODS, endpoint, endpoint.name)
    client = world.client(METHODS)
    client.notify("echo", Ask("for h2"), server="h2")
    client.notify_all("echo", Ask("for all"))
    assert wait_for(lambda: [len(one.seen) for one in endpoints] == [1, 2])
    assert endpoints[0].seen == ["for all"]
    assert sorted(endpoints[1].seen) == ["for all", "for h2"]


def test_a_notification_to_nobody_says_so_and_a_fanout_does_not(world: World) -> None:
    client = world.client(METHODS)
    with pytest.raises(Transient) as caught:
        client.notify("echo", Ask(""), server="h9")
    assert caught.value.code == "rpc.unreachable"
    client.notify_all("echo", Ask(""))


NO_REQUESTS: list[dict[str, Any]] = [
    {"junk": 1},
    {"method": 7, "args": {}},
    {"method": "echo", "args": []},
    {"method": "echo", "args": {}, "version": "one"},
    {"method": "echo", "args": {}, "namespace": "other"},
    {"method": "_answer", "args": {}, "version": "1.0"},
    {"method": "__init__", "args": {"request": {}}, "version": "1.0"},
    {"method": "echo", "args": {}, "version": "1.0"},
    {"method": "echo", "args": {"request": [1]}, "version": "1.0"},
]


def test_messages_that_are_no_requests_are_dropped(world: World) -> None:
    endpoint = Endpoint()
    world.serve(METHODS, endpoint)
    for message in NO_REQUESTS:
        world.send_raw("h1", dict(message))
    assert world.client(METHODS).call("echo", Ask("good"), server="h1", timeout=10).text == "good"
    assert endpoint.seen == ["good"]


# ------------------------------------------------------------- what only a broker can do to us


def enveloped(inner: Any, version: str = "2.0") -> bytes:
    text = inner if isinstance(inner, str) else json.dumps(inner)
    return json.dumps({"oslo.version": version, "oslo.message": text}).encode()


GARBAGE: list[tuple[str, bytes]] = [
    ("application/json", b"not json"),
    ("application/json", b""),
    ("application/json", b"\xff\xfe\x00"),
    ("application/json", b"[1, 2, 3]"),
    ("application/json", b"null"),
    ("application/json", b"{}"),
    ("application/json", b"[" * 200_000),
    ("application/json", enveloped("not json")),
    ("application/json", enveloped([1])),
    ("application/json", enveloped({"method": "echo"}, version="9.0")),
    ("application/json", enveloped({"method": "echo", "args": {}, "version": "1.0"}, "x")),
    ("application/json", enveloped({"method": "echo", "args": {}, "_context_self": 1})),
    ("application/json", enveloped({"method": "echo", "args": {}, "_unique_id": {}})),
    ("application/json", enveloped({"method": "echo", "args": {}, "_timeout": [2]})),
    ("application/json", enveloped({"method": "x", "args": {}, "_msg_id": [], "_reply_q": {}})),
    ("application/x-python-serialize", pickle.dumps({"method": "echo"})),
    ("application/octet-stream", b"\x00" * 10_000_000),
    ("application/json", b'"' + b"x" * 10_000_000 + b'"'),
    ("no/such-type", b"x"),
]


@pytest.mark.broker
def test_garbage_is_dropped_and_not_put_back(rabbit_world: World) -> None:
    endpoint = Endpoint()
    rabbit_world.serve(METHODS, endpoint)
    client = rabbit_world.client(METHODS)
    assert rabbit_world.rabbit is not None
    queue = f"{rabbit_world.topic}.h1"
    for content_type, body in GARBAGE:
        rabbit_world.rabbit.publish(queue, body, content_type)
    for _ in range(3):
        assert client.call("echo", Ask("good"), server="h1", timeout=20).text == "good"
    assert endpoint.seen == ["good"] * 3
    assert wait_for(lambda: rabbit_world.rabbit.queued(queue) == (0, 0), 10)  # type: ignore[union-attr]


@pytest.mark.broker
@pytest.mark.parametrize(("content_type", "body"), GARBAGE)
def test_each_garbage_is_survived_without_a_delay(
    rabbit_world: World, content_type: str, body: bytes
) -> None:
    rabbit_world.serve(METHODS, Endpoint())
    client = rabbit_world.client(METHODS)
    client.call("echo", Ask("good"), server="h1", timeout=10)
    assert rabbit_world.rabbit is not None
    rabbit_world.rabbit.publish(f"{rabbit_world.topic}.h1", body, content_type)
    started = time.monotonic()
    assert client.call("echo", Ask("good"), server="h1", timeout=10).text == "good"
    assert time.monotonic() - started < 4


SERVE = """
import sys, time
from oslo_config import cfg
from migrator import rpc
from tests.contract.test_transport import METHODS, Endpoint
url, topic, state, name = sys.argv[1:]
cfg.CONF([], default_config_files=[], default_config_dirs=[])
rpc.rabbit_defaults(cfg.CONF, state, name)
rpc.Bus.open(cfg.CONF, url).server(topic, "h1", METHODS, Endpoint()).start()
print("up", flush=True)
time.sleep(60)
"""


@pytest.mark.broker
def test_a_server_killed_at_work_is_noticed_by_the_monitor(
    rabbit_world: World, tmp_path: Path
) -> None:
    victim = rabbit_world.victim(SERVE, tmp_path)
    client = rabbit_world.client(METHODS)
    with ThreadPoolExecutor(1) as pool:
        calling = pool.submit(
            client.call, "work", Ask(""), server="h1", timeout=60, monitor_timeout=3
        )
        time.sleep(2)
        assert not calling.done()
        victim.kill()
        killed = time.monotonic()
        with pytest.raises(Transient, match="no sign of life"):
            calling.result(20)
        assert time.monotonic() - killed < 3 + SLACK


@pytest.mark.broker
def test_a_frozen_server_of_a_shared_topic_costs_one_call(
    rabbit_world: World, tmp_path: Path
) -> None:
    victim = rabbit_world.victim(SERVE, tmp_path)
    rabbit_world.serve(METHODS, Endpoint(), "alive")
    client = rabbit_world.client(METHODS)
    client.call("echo", Ask("before"), timeout=10)
    victim.send_signal(signal.SIGSTOP)
    silent = 0
    for _ in range(8):
        try:
            client.call("echo", Ask("x"), timeout=60, monitor_timeout=2)
        except Transient as error:
            silent += bool(error.facts["silent"])
    assert silent <= 1


@pytest.mark.broker
def test_with_a_mute_broker_calls_end_in_time_and_work_again_afterwards(
    rabbit_world: World,
) -> None:
    endpoint = Endpoint()
    rabbit_world.serve(METHODS, endpoint)
    client = rabbit_world.client(METHODS)
    client.call("echo", Ask("before"), server="h1", timeout=10)
    assert rabbit_world.rabbit is not None
    with rabbit_world.rabbit.mute():
        for _ in range(3):
            started = time.monotonic()
            with pytest.raises(Transient) as caught:
                client.call("echo", Ask("lost"), server="h1", timeout=1)
            assert time.monotonic() - started < 1 + SLACK
            assert caught.value.code in ("rpc.timeout", "rpc.unreachable")
        with pytest.raises(Transient):
            rpc.probe(rabbit_world.conf, rabbit_world.url, timeout=1)
    assert client.call("echo", Ask("after"), server="h1", timeout=20).text == "after"


@pytest.mark.broker
def test_with_a_stopped_broker_calls_end_in_time_and_servers_come_back(
    rabbit_world: World,
) -> None:
    rabbit_world.serve(METHODS, Endpoint())
    client = rabbit_world.client(METHODS)
    client.call("echo", Ask("before"), server="h1", timeout=10)
    assert rabbit_world.rabbit is not None
    rabbit_world.rabbit.control("stop_app")
    try:
        for timeout in (0.5, 5.0):
            started = time.monotonic()
            with pytest.raises(Transient) as caught:
                client.call("echo", Ask("lost"), server="h1", timeout=timeout)
            assert time.monotonic() - started < timeout + SLACK
            assert caught.value.code in ("rpc.timeout", "rpc.unreachable")
    finally:
        rabbit_world.rabbit.control("start_app")
    deadline = time.monotonic() + 20
    while True:  # a server is back within rabbit_interval_max, a queue exists before it is
        try:
            assert client.call("echo", Ask("x"), server="h1", timeout=2).text == "x"
            break
        except Transient:
            assert time.monotonic() < deadline


def test_a_first_call_with_no_broker_ends_in_time(
    messaging_conf: Any,
    nobody_home: str,
) -> None:
    client = rpc.Bus.open(messaging_conf, nobody_home).client("t", METHODS)
    for send in (client.call, client.notify):
        started = time.monotonic()
        with pytest.raises(Transient) as caught:
            send("echo", Ask(""), server="h1", timeout=1)
        assert time.monotonic() - started < 1 + SLACK
        assert caught.value.code == "rpc.unreachable"
        assert caught.value.facts["sent"] is False


def test_a_first_call_to_a_socket_that_says_nothing_ends_in_time(
    messaging_conf: Any,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"rabbit://guest:guest@127.0.0.1:{listening.getsockname()[1]}/"
        client = rpc.Bus.open(messaging_conf, url).client("t", METHODS)
        started = time.monotonic()
        with pytest.raises(Transient) as caught:
            client.call("echo", Ask(""), server="h1", timeout=1)
        assert time.monotonic() - started < 1 + SLACK
        assert caught.value.code == "rpc.unreachable"
        with pytest.raises(Transient):
            rpc.probe(messaging_conf, url, timeout=0.5)


def test_a_probe_of_a_good_broker_is_silent(world: World) -> None:
    rpc.probe(world.conf, world.url, timeout=10)


@pytest.mark.broker
def test_a_probe_tells_a_dead_broker_from_a_refusing_one(
    messaging_conf: Any,
    rabbit: RabbitNode,
    nobody_home: str,
) -> None:
    with pytest.raises(Transient) as dead:
        rpc.probe(messaging_conf, nobody_home, timeout=5)
    assert dead.value.code == "rpc.unreachable"
    for url, cause in (
        (rabbit.url(user="guest:hunter2"), "access"),
        (rabbit.url(vhost="no-such"), "access"),
        (rabbit.url(query="?ssl=1"), "tls"),
    ):
        started = time.monotonic()
        with pytest.raises(Refused) as refused:
            rpc.probe(messaging_conf, url, timeout=5)
        assert refused.value.facts == {"cause": cause}
        assert "hunter2" not in refused.value.message
        bus = rpc.Bus.open(messaging_conf, url)
        if cause == "access":
            server = bus.server("topic", "h1", METHODS, Endpoint())
            with pytest.raises(Refused):
                server.start()
            server.stop()
            with pytest.raises(Transient):
                bus.client("topic", METHODS).call("echo", Ask(""), server="h1", timeout=5)
        assert time.monotonic() - started < 5
