"""Where the API listens, and who may use it."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from migrator.api.server import ApiServer
from migrator.api.settings import ApiSettings, TcpListen, UnixListen, parse_listen
from migrator.errors import Refused
from tests.fakes.conductor import FakeConductor
from tests.functional.api.running_api import HandClock, RunningApi, open_http


@pytest.fixture
def servers() -> Iterator[list[ApiServer]]:
    started: list[ApiServer] = []
    yield started
    for server in started:
        server.stop()


def _server(listen: str, started: list[ApiServer]) -> ApiServer:
    server = ApiServer(ApiSettings(listen, threads=2), FakeConductor(HandClock()))
    started.append(server)
    return server


def test_the_socket_is_for_its_owner_alone_and_goes_with_the_server(
    tmp_path: Path, servers: list[ApiServer]
) -> None:
    path = tmp_path / "a" / "b" / "api.sock"
    server = _server(f"unix://{path}", servers)
    server.start()
    mode = path.lstat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600
    assert path.lstat().st_uid == os.getuid()
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o755
    assert [entry.name for entry in path.parent.iterdir()] == ["api.sock"]
    assert server.endpoint == f"unix://{path}"
    with open_http(str(path)) as http:
        assert http.get("/healthz").status_code == 200
    server.stop()
    assert not path.exists()


def test_a_socket_that_a_dead_server_left_is_replaced(
    tmp_path: Path, servers: list[ApiServer]
) -> None:
    path = tmp_path / "api.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    server = _server(f"unix://{path}", servers)
    server.start()
    with open_http(str(path)) as http:
        assert http.get("/healthz").status_code == 200


def test_a_socket_of_a_living_server_is_left_to_it(
    api: RunningApi, servers: list[ApiServer]
) -> None:
    with pytest.raises(Refused, match="another server is alive") as caught:
        _server(f"unix://{api.socket}", servers).start()
    assert caught.value.code == "config.invalid"
    assert api.http.get("/healthz").status_code == 200


def test_a_file_in_the_sockets_place_is_not_removed(
    tmp_path: Path, servers: list[ApiServer]
) -> None:
    path = tmp_path / "api.sock"
    path.write_text("precious")
    with pytest.raises(Refused, match="not a socket"):
        _server(f"unix://{path}", servers).start()
    assert path.read_text() == "precious"


def test_a_directory_that_cannot_be_made_is_a_refusal(
    tmp_path: Path, servers: list[ApiServer]
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Refused, match="no socket can be made"):
        _server(f"unix://{tmp_path}/file/api.sock", servers).start()


def test_a_server_that_lost_its_name_to_another_leaves_the_others_socket(
    tmp_path: Path, servers: list[ApiServer]
) -> None:
    path = tmp_path / "api.sock"
    first = _server(f"unix://{path}", servers)
    first.start()
    path.unlink()
    second = _server(f"unix://{path}", servers)
    second.start()
    first.stop()
    assert path.exists()


def test_loopback_serves_and_says_its_port(servers: list[ApiServer]) -> None:
    server = _server("http://127.0.0.1:0", servers)
    server.start()
    assert not server.endpoint.endswith(":0")
    assert httpx.get(f"{server.endpoint}/healthz").json()["ok"] is True


def test_a_port_in_use_is_a_refusal(servers: list[ApiServer]) -> None:
    first = _server("http://127.0.0.1:0", servers)
    first.start()
    with pytest.raises(Refused) as caught:
        _server(first.endpoint, servers).start()
    assert caught.value.code == "config.invalid"


@pytest.mark.parametrize(
    ("listen", "parsed"),
    [
        ("unix:///run/migrator/api.sock", UnixListen("/run/migrator/api.sock")),
        ("http://127.0.0.1:8080", TcpListen("127.0.0.1", 8080)),
        ("http://localhost:8080", TcpListen("127.0.0.1", 8080)),
        ("http://[::1]:8080", TcpListen("::1", 8080)),
    ],
)
def test_addresses_for_this_machine_are_taken(listen: str, parsed: UnixListen | TcpListen) -> None:
    assert parse_listen(listen) == parsed


@pytest.mark.parametrize(
    "listen",
    [
        "",
        "/run/api.sock",
        "unix://relative/api.sock",
        "unix://",
        "unix:///",
        "unix:///" + "x" * 120,
        "http://127.0.0.1",
        "http://127.0.0.1:99999",
        "http://0.0.0.0:8080",
        "http://[::]:8080",
        "http://192.0.2.7:8080",
        "http://migrator.example:8080",
        "https://127.0.0.1:8080",
    ],
)
def test_addresses_others_can_reach_or_nobody_are_refused(listen: str) -> None:
    with pytest.raises(Refused) as caught:
        parse_listen(listen)
    assert caught.value.code == "config.invalid"


def test_the_refusal_of_a_public_address_says_what_to_do() -> None:
    with pytest.raises(Refused, match="proxy with TLS"):
        parse_listen("http://0.0.0.0:80")


def test_one_thread_is_too_few() -> None:
    with pytest.raises(Refused, match="at least 2"):
        ApiSettings(threads=1)
