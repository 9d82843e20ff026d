"""Real transports for the contract suite: our in-process one and a private RabbitMQ node."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from migrator import rpc  # before oslo_messaging: it chooses the threading backend
from migrator.rpc.rabbit import CONTROL_EXCHANGE

# isort: split
import kombu
import oslo_messaging
from oslo_config import cfg
from oslo_messaging import conffixture

RABBIT_BIN = Path("/usr/lib/rabbitmq/bin")
RABBIT_START_SECONDS = 60.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def forget_queue_names(process: str) -> None:
    """Remove what the queue manager keeps about a process that will not come again."""
    Path(f"/dev/shm/{socket.gethostname()}_{process}_qmanager").unlink(missing_ok=True)


@dataclass
class RabbitNode:
    """A RabbitMQ of this test session: own ports, own directory, gone afterwards."""

    home: Path
    port: int = field(default_factory=free_port)
    epmd_port: int = field(default_factory=free_port)
    dist_port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self.name = f"migrator{self.port}@localhost"
        (self.home / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\nlog.file.level = warning\n"
        )
        (self.home / "enabled_plugins").write_text("[].\n")
        self._epmd: subprocess.Popen[bytes] | None = None
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def env(self) -> dict[str, str]:
        home = str(self.home)
        return {
            **os.environ,
            "HOME": home,
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_MNESIA_BASE": f"{home}/mnesia",
            "RABBITMQ_LOG_BASE": f"{home}/log",
            "RABBITMQ_CONFIG_FILE": f"{home}/rabbitmq",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{home}/enabled_plugins",
            "RABBITMQ_PID_FILE": f"{home}/pid",
            "RABBITMQ_DIST_PORT": str(self.dist_port),
            "ERL_EPMD_PORT": str(self.epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }

    def url(self, user: str = "guest:guest", vhost: str = "/", query: str = "") -> str:
        return f"rabbit://{user}@127.0.0.1:{self.port}/{vhost}{query}"

    def start(self) -> None:
        self._epmd = subprocess.Popen(["epmd", "-port", str(self.epmd_port)], env=self.env)
        deadline = time.monotonic() + RABBIT_START_SECONDS
        # Were it not up yet, the server would start one of its own and leave it behind.
        while not listens(self.epmd_port) and time.monotonic() < deadline:
            time.sleep(0.02)
        with (self.home / "out").open("wb") as out:
            self._server = subprocess.Popen(
                [str(RABBIT_BIN / "rabbitmq-server")],
                env=self.env,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        while not self._answers():
            if time.monotonic() > deadline or self._server.poll() is not None:
                raise RuntimeError((self.home / "out").read_text(errors="replace"))
            time.sleep(0.2)

    def _answers(self) -> bool:
        try:
            with kombu.Connection(self.url().replace("rabbit:", "amqp:"), connect_timeout=2) as one:
                one.connect()
        except Exception:
            return False
        return True

    def signal(self, number: signal.Signals) -> None:
        """To the whole node: SIGSTOP makes it mute, SIGCONT brings it back."""
        assert self._server is not None
        os.killpg(self._server.pid, number)

    @contextlib.contextmanager
    def mute(self) -> Iterator[None]:
        self.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal(signal.SIGCONT)

    def control(self, *command: str) -> str:
        """rabbitmqctl; its output."""
        return subprocess.run(
            [str(RABBIT_BIN / "rabbitmqctl"), "-q", *command],
            env=self.env,
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    def publish(self, routing_key: str, body: bytes, content_type: str) -> None:
        """Put raw bytes where requests to a server go."""
        with kombu.Connection(self.url().replace("rabbit:", "amqp:")) as connection:
            connection.default_channel.basic_publish(
                connection.default_channel.prepare_message(
                    body, content_type=content_type, content_encoding="utf-8"
                ),
                exchange=CONTROL_EXCHANGE,
                routing_key=routing_key,
            )

    def queued(self, queue: str) -> tuple[int, int]:
        """(ready, unacknowledged) messages of a queue."""
        table = self.control("list_queues", "name", "messages_ready", "messages_unacknowledged")
        rows = [line.split() for line in table.splitlines()]
        return next((int(row[1]), int(row[2])) for row in rows if row[0] == queue)

    def stop(self) -> None:
        if self._server is not None:
            with contextlib.suppress(ProcessLookupError):
                self.signal(signal.SIGKILL)
            self._server.wait()
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd.wait()


@pytest.fixture(scope="session")
def messaging_conf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The global configuration with our defaults, as a daemon has it."""
    process = f"contract-{os.getpid()}"
    with conffixture.ConfFixture(cfg.CONF):
        cfg.CONF([], project="migrator", default_config_files=[], default_config_dirs=[])
        rpc.rabbit_defaults(cfg.CONF, tmp_path_factory.mktemp("state"), process)
        # Idle servers see within 0.1 s that they are to stop, of which there are many here.
        cfg.CONF.set_override("heartbeat_rate", 150, group="oslo_messaging_rabbit")
        yield cfg.CONF
    forget_queue_names(process)


@pytest.fixture(scope="session")
def inproc_entry_point(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Our driver as an installed package announces it, also when it is not installed."""
    if importlib.metadata.entry_points(group="oslo.messaging.drivers", name="inproc"):
        yield
        return
    site = tmp_path_factory.mktemp("site")
    info = site / "migrator_inproc-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: migrator-inproc\nVersion: 0\n")
    (info / "entry_points.txt").write_text(
        "[oslo.messaging.drivers]\ninproc = migrator.inproc_driver:InprocDriver\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path, str(site)])
        yield


class Buses:
    """Buses live as long as the session, or their broker: making connections is what is slow."""

    def __init__(self, conf: Any) -> None:
        self._conf = conf
        self._open: dict[str, rpc.Bus] = {}

    def open(self, url: str) -> rpc.Bus:
        if url not in self._open:
            self._open[url] = rpc.Bus.open(self._conf, url)
        return self._open[url]

    def close(self) -> None:
        while self._open:
            self._open.popitem()[1].close()


@pytest.fixture(scope="session")
def buses(messaging_conf: Any) -> Iterator[Buses]:
    every = Buses(messaging_conf)
    yield every
    every.close()


@pytest.fixture(scope="session")
def rabbit(tmp_path_factory: pytest.TempPathFactory, buses: Buses) -> Iterator[RabbitNode]:
    """A broker of our own, on loopback."""
    if not (RABBIT_BIN / "rabbitmq-server").exists() or shutil.which("epmd") is None:
        reason = "rabbitmq-server is not installed"
        if os.environ.get("CI") or os.environ.get("MIGRATOR_REQUIRE_BROKER"):
            pytest.fail(reason)
        pytest.skip(reason)
    node = RabbitNode(tmp_path_factory.mktemp("rabbit"))
    try:
        node.start()
        yield node
        buses.close()  # while it can still say goodbye
    finally:
        node.stop()


@dataclass
class World:
    """One transport, and a topic of one test."""

    conf: Any
    url: str
    bus: rpc.Bus
    topic: str
    rabbit: RabbitNode | None
    cleanup: contextlib.ExitStack

    def serve(self, methods: Any, endpoint: object, name: str = "h1", **options: Any) -> rpc.Server:
        server = self.bus.server(self.topic, name, methods, endpoint, **options)
        server.start()
        self.cleanup.callback(server.stop)
        return server

    def victim(self, script: str, state: Path) -> subprocess.Popen[bytes]:
        """A server in a process of its own, to be killed, once it has said that it is up; ``argv``: url,
        topic, state, name."""
        name = f"victim-{os.getpid()}"
        process = subprocess.Popen(
            [sys.executable, "-c", script, self.url, self.topic, str(state), name],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        self.cleanup.callback(forget_queue_names, name)
        self.cleanup.callback(process.wait)
        self.cleanup.callback(process.kill)
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        return process

    def client(self, methods: Any, version: str = "1.0") -> rpc.Client:
        return self.bus.client(self.topic, methods, version)

    def deaf_server(self, name: str) -> None:
        """Takes requests, and is never heard of again."""
        transport = oslo_messaging.get_rpc_transport(self.conf, self.url)
        target = oslo_messaging.Target(topic=self.topic, server=name)
        listener = transport._listen(target, 1, None)
        listener.start(lambda incoming: None)
        self.cleanup.callback(transport.cleanup)
        self.cleanup.callback(listener.cleanup)
        self.cleanup.callback(listener.stop)

    def send_raw(self, name: str, message: dict[str, Any]) -> None:
        """A message as the library would deliver it, without our client's care."""
        transport = oslo_messaging.get_rpc_transport(self.conf, self.url)
        transport._send(oslo_messaging.Target(topic=self.topic, server=name), {}, message)
        transport.cleanup()


@pytest.fixture(params=["inproc", pytest.param("rabbit", marks=pytest.mark.broker)])
def world(request: pytest.FixtureRequest, messaging_conf: Any, buses: Buses) -> Iterator[World]:
    """Each transport in turn."""
    node: RabbitNode | None = None
    if request.param == "inproc":
        request.getfixturevalue("inproc_entry_point")
        url = "inproc:///contract"
    else:
        node = request.getfixturevalue("rabbit")
        url = node.url()
    with contextlib.ExitStack() as cleanup:
        topic = f"topic.{uuid.uuid4().hex[:8]}"
        yield World(messaging_conf, url, buses.open(url), topic, node, cleanup)


@pytest.fixture
def nobody_home() -> str:
    """The URL of a broker that is not there."""
    return f"rabbit://guest:guest@127.0.0.1:{free_port()}/"


@pytest.fixture
def rabbit_world(rabbit: RabbitNode, messaging_conf: Any, buses: Buses) -> Iterator[World]:
    """RabbitMQ only, for what can happen to a broker and nowhere else."""
    with contextlib.ExitStack() as cleanup:
        topic = f"topic.{uuid.uuid4().hex[:8]}"
        yield World(messaging_conf, rabbit.url(), buses.open(rabbit.url()), topic, rabbit, cleanup)
