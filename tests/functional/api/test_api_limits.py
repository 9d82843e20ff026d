"""What a careless or hostile client can do: too much, too slowly, or not HTTP at all."""

from __future__ import annotations

import json
import resource
import socket
from collections.abc import Iterator

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.functional.api.running_api import RunningApi, error_of, open_http

JSON = {"Content-Type": "application/json"}


def _raw(api: RunningApi, data: bytes) -> tuple[bytes, bytes]:
    """Send bytes and read until the server closes: (head, body)."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(15)
        client.connect(api.socket)
        client.sendall(data)
        received = b""
        while chunk := client.recv(65536):
            received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    return head, body


@pytest.mark.parametrize("path", ["/v1/migrations", "/v1/hosts", "/nowhere"])
def test_ten_megabytes_are_refused_wherever_they_are_sent(api: RunningApi, path: str) -> None:
    body = json.dumps({"instance": "x" * 10_000_000}).encode()
    for _ in range(3):
        answer = api.http.post(path, content=body, headers=JSON)
        assert (answer.status_code, error_of(answer)["code"]) == (413, "request.too_large")
    assert api.http.get("/v1/hosts").status_code == 200
    assert "migrate" not in api.conductor.calls


def test_a_body_announced_as_huge_is_refused_before_it_is_sent(api: RunningApi) -> None:
    head, body = _raw(
        api,
        b"POST /v1/migrations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Content-Length: 50000000000\r\nConnection: close\r\n\r\n",
    )
    assert b" 413 " in head.splitlines()[0]
    assert json.loads(body)["error"]["code"] == "request.too_large"


def test_a_body_of_exactly_the_limit_is_read(api: RunningApi) -> None:
    frame = json.dumps({"instance": "g1", "reason": ""}).encode()
    body = frame + b" " * (1024 * 1024 - len(frame))
    answer = api.http.post("/v1/migrations", content=body, headers=JSON)
    assert (answer.status_code, error_of(answer)["details"]) == (400, {"field": "reason"})


def test_a_body_in_chunks_is_refused_with_the_reason(api: RunningApi) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(100):
            yield b" " * 100_000

    answer = api.http.post("/v1/migrations", content=chunks(), headers=JSON)
    assert (answer.status_code, error_of(answer)["code"]) == (411, "request.invalid")
    assert "Content-Length" in error_of(answer)["message"]


@pytest.mark.parametrize(
    "garbage",
    [
        b"GARBAGE\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET /v1/hosts HTTP/9.9\r\n\r\n",
        b"POST /v1/migrations HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n",
        b"GET /v1/hosts HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"GET /" + b"y" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
def test_what_is_not_http_is_refused_in_the_same_form(api: RunningApi, garbage: bytes) -> None:
    head, body = _raw(api, garbage)
    assert head.split(b" ")[1][:1] == b"4"
    assert json.loads(body)["error"]["code"] in ("request.invalid", "request.too_large")
    assert api.http.get("/v1/hosts").status_code == 200


@pytest.mark.parametrize(
    ("half", "status"),
    [(b"POST /v1/migrations", b"408"), (b"GET /v1/hosts", b"200"), (b"POST /nowhere", b"404")],
)
def test_a_body_that_does_not_arrive_is_answered_and_fails_nothing(
    impatient_api: RunningApi,
    half: bytes,
    status: bytes,
    caplog: pytest.LogCaptureFixture,
) -> None:
    head, body = _raw(
        impatient_api,
        half + b" HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Content-Length: 99\r\n\r\n{",
    )
    assert head.split()[1] == status
    assert json.loads(body)
    assert "Traceback" not in caplog.text
    assert "migrate" not in impatient_api.conductor.calls


def test_slow_clients_leave_the_other_threads_to_others(api: RunningApi) -> None:
    slow = []
    for _ in range(6):
        client = socket.socket(socket.AF_UNIX)
        client.connect(api.socket)
        client.sendall(b"POST /v1/migrations HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{")
        slow.append(client)
    try:
        assert api.http.get("/v1/hosts").status_code == 200
    finally:
        for client in slow:
            client.close()


def test_idle_connections_hold_no_threads(api: RunningApi) -> None:
    clients = [open_http(api.socket) for _ in range(30)]
    try:
        assert {client.get("/v1/hosts").status_code for client in clients} == {200}
        assert {client.get("/v1/claims").status_code for client in clients} == {200}
    finally:
        for client in clients:
            client.close()


def test_large_bodies_leave_no_memory_behind(api: RunningApi) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    body = b" " * 10_000_000
    for _ in range(5):
        api.http.post("/v1/migrations", content=body, headers=JSON)
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kib < 40_000


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
_fields = st.sampled_from(
    ["instance", "kind", "host", "force", "reason", "bandwidth_mib_s", "priority", "request_id"]
)
_bodies = st.one_of(_json, st.dictionaries(_fields, _json | st.sampled_from(["g1", "h2", "live"])))


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(body=_bodies, target=st.sampled_from(["POST /v1/migrations", "PATCH /v1/hosts/h2"]))
def test_no_json_body_is_ever_a_failure_of_ours(api: RunningApi, body: object, target: str) -> None:
    method, path = target.split()
    content = json.dumps(body).encode()
    answer = api.http.request(method, path, content=content, headers=JSON)
    assert answer.status_code < 500, answer.text
    if answer.is_error:
        error_of(answer)


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(name=st.text(min_size=1), query=st.dictionaries(st.text(), st.text(), max_size=3))
def test_no_path_or_query_is_ever_a_failure_of_ours(
    api: RunningApi, name: str, query: dict[str, str]
) -> None:
    path = httpx.URL("http://migrator/v1/migrations").path + "/"
    encoded = "".join(f"%{byte:02x}" for byte in name.encode("utf-8", "surrogatepass"))
    answer = api.http.get(path + encoded, params=query)
    assert answer.status_code in (400, 404), answer.text
    error_of(answer)
