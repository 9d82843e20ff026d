"""What the RPC layer decides on its own, without a broker."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import msgspec
import pytest

from migrator import rpc
from migrator.errors import Broken, Refused, Transient
from migrator.inproc_driver import InprocDriver
from migrator.messages import Method

# isort: split
import oslo_messaging
from oslo_config import cfg
from oslo_messaging import conffixture


class Ask(msgspec.Struct):
    text: str


METHODS = [Method("echo", Ask, Ask)]
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("poison", ["", "sys.modules['eventlet'] = None;"])
def test_eventlet_is_never_loaded(poison: str) -> None:
    script = (
        f"import sys; {poison}"
        "import migrator.rpc, migrator.inproc_driver;"
        "assert not [m for m in sys.modules if m.split('.')[0] == 'eventlet' and sys.modules[m]];"
        "from oslo_service import backend;"
        "assert backend.get_backend_type() is backend.BackendType.THREADING"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)


@pytest.fixture
def conf() -> Any:
    with conffixture.ConfFixture(cfg.CONF):
        cfg.CONF([], project="migrator", default_config_files=[], default_config_dirs=[])
        yield cfg.CONF


def test_our_queues_survive_a_broker_and_keep_their_names(conf: Any, tmp_path: Path) -> None:
    rpc.rabbit_defaults(conf, tmp_path, "migrator-agent")
    rabbit = conf.oslo_messaging_rabbit
    assert conf.control_exchange == "migrator"
    assert rabbit.rabbit_quorum_queue
    assert rabbit.rabbit_transient_quorum_queue
    assert rabbit.use_queue_manager
    assert rabbit.processname == "migrator-agent"
    assert conf.oslo_concurrency.lock_path == f"{tmp_path}/lock"


def test_what_an_operator_configured_wins(conf: Any, tmp_path: Path) -> None:
    file = tmp_path / "migrator.conf"
    file.write_text("[oslo_messaging_rabbit]\nrpc_conn_pool_size = 7\n")
    conf([], project="migrator", default_config_files=[str(file)])
    rpc.rabbit_defaults(conf, tmp_path, "migrator-agent")
    assert conf.oslo_messaging_rabbit.rpc_conn_pool_size == 7


@pytest.mark.parametrize("url", ["no-such://u:hunter2@h/", "u:hunter2@h"])
def test_a_bad_url_is_refused_without_showing_its_password(conf: Any, url: str) -> None:
    with pytest.raises(Refused) as caught:
        rpc.Bus.open(conf, url)
    assert caught.value.code == "config.invalid"
    assert "hunter2" not in str(caught.value)


class SlowBroker:
    """Stands for oslo.messaging's client: publishes only once the broker is back."""

    def __init__(self) -> None:
        self.back = threading.Event()
        self.gone = threading.Event()
        self.published: list[str] = []

    def prepare(self, *, transport_options: Any, **_: Any) -> SlowBroker:
        self.options = transport_options
        return self

    def call(self, _ctxt: Any, method: str, **_: Any) -> Any:
        self.back.wait(10)
        try:
            if self.options.at_least_once:
                self.published.append(method)
        finally:
            self.gone.set()
        return {"ok": {"text": "late"}}

    cast = call


class Standing:
    """A reply path that is there."""

    def ensure(self, topic: str, timeout: float) -> None:
        pass


@pytest.mark.parametrize("send", ["call", "notify"])
def test_what_was_given_up_is_not_sent_when_the_broker_comes_back(send: str) -> None:
    broker = SlowBroker()
    client = rpc.Client(broker, "topic", METHODS, Standing())  # type: ignore[arg-type]
    started = time.monotonic()
    with pytest.raises(Transient) as caught:
        getattr(client, send)("echo", Ask("x"), timeout=0.1)
    assert time.monotonic() - started < 1
    assert caught.value.code == "rpc.unreachable"
    assert caught.value.facts["sent"] is False
    broker.back.set()
    assert broker.gone.wait(5)
    assert broker.published == []


def test_a_monitor_timeout_too_short_for_heartbeats_is_a_bug_of_the_caller() -> None:
    client = rpc.Client(None, "topic", METHODS, None)
    with pytest.raises(ValueError, match="at least 2 s"):
        client.call("echo", Ask("x"), timeout=5, monitor_timeout=1.9)


@pytest.mark.parametrize("answer", [None, {}, [], {"ok": {}}, {"error": 1}, {"error": {}}])
def test_an_answer_that_is_none_is_broken(answer: Any) -> None:
    class Garbler(SlowBroker):
        def call(self, _ctxt: Any, method: str, **_: Any) -> Any:
            return answer

    client = rpc.Client(Garbler(), "topic", METHODS, None)
    with pytest.raises(Broken) as caught:
        client.call("echo", Ask("x"), timeout=5)
    assert caught.value.code == "internal"


# ------------------------------------------------------------------- the in-process driver


@pytest.fixture
def bus(conf: Any) -> InprocDriver:
    return driver(conf, uuid.uuid4().hex)


def driver(conf: Any, world: str) -> InprocDriver:
    url = oslo_messaging.TransportURL.parse(conf, f"inproc:///{world}")
    return InprocDriver(conf, url, default_exchange="migrator")


def target(server: str | None = "h1", fanout: bool = False) -> Any:
    return oslo_messaging.Target(topic="topic", server=server, fanout=fanout)


class Ear:
    """A started listener that keeps what it hears and answers when ``reply`` is set."""

    def __init__(self, on: InprocDriver, name: str = "h1", reply: Any = None) -> None:
        self.heard: list[Any] = []
        self.listener = on.listen(target(name), 1, None)
        self.reply = reply
        self.listener.start(self.hear)

    def hear(self, incoming: list[Any]) -> None:
        (one,) = incoming
        self.heard.append(one.message)
        if self.reply is not None:
            one.reply(self.reply)


def test_worlds_of_different_names_do_not_hear_each_other(conf: Any) -> None:
    a, b = driver(conf, "a"), driver(conf, "b")
    ear = Ear(a)
    with pytest.raises(oslo_messaging.MessageUndeliverable):
        b.send(target(), {}, {})
    driver(conf, "a").send(target(), {}, {"n": 1})
    assert ear.heard == [{"n": 1}]


def test_nothing_mutable_crosses(bus: InprocDriver) -> None:
    message = {"list": [1]}
    ear = Ear(bus, reply=message)
    answer = bus.send(target(), {}, message, wait_for_reply=True, timeout=5)
    ear.heard[0]["list"].append(2)
    answer["list"].append(3)
    assert message == {"list": [1]}


def test_what_comes_before_a_listener_is_started_waits_for_it(bus: InprocDriver) -> None:
    listener = bus.listen(target(), 1, None)
    bus.send(target(), {}, {"n": 1})
    heard: list[Any] = []
    listener.start(lambda incoming: heard.extend(incoming))
    assert [one.message for one in heard] == [{"n": 1}]


def test_a_server_that_stopped_is_undeliverable(bus: InprocDriver) -> None:
    ear = Ear(bus)
    ear.listener.stop()
    with pytest.raises(oslo_messaging.MessageUndeliverable):
        bus.send(target(), {}, {}, wait_for_reply=True, timeout=5)
    with pytest.raises(oslo_messaging.MessageUndeliverable):
        bus.send(target(server=None), {}, {})


def test_a_fanout_reaches_all_and_a_topic_its_servers_in_turn(bus: InprocDriver) -> None:
    ears = [Ear(bus, name) for name in ("h1", "h2", "h3")]
    bus.send(target(None, fanout=True), {}, {})
    assert [len(ear.heard) for ear in ears] == [1, 1, 1]
    for _ in range(6):
        bus.send(target(None), {}, {})
    assert [len(ear.heard) for ear in ears] == [3, 3, 3]


def test_an_idle_driver_has_no_thread_of_its_own(bus: InprocDriver) -> None:
    before = threading.active_count()
    ears = [Ear(bus, f"h{number}") for number in range(10)]
    assert threading.active_count() == before
    assert len(ears) == 10


ORPHAN = """
import os, sys, time
from pathlib import Path
os.setpgid(0, 0)
leader = os.getpid()
if os.fork():
    os._exit(0)
while os.getppid() == leader:
    time.sleep(0.01)
from oslo_config import cfg
from migrator import rpc
rpc.rabbit_defaults(cfg.CONF, sys.argv[1], "orphan")
Path(sys.argv[1], "leader").write_text(str(os.getpgrp() == os.getpid()))
"""


def test_a_process_whose_group_has_lost_its_leader_leads_one_of_its_own(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", ORPHAN, str(tmp_path)], check=True)
    told = tmp_path / "leader"
    deadline = time.monotonic() + 30
    while not told.exists() or not told.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert told.read_text() == "True"
