"""Watching a migration over server-sent events."""

from __future__ import annotations

import contextlib
import threading
import time

import pytest

from migrator.errors import Refused, Transient
from tests.functional.api.running_api import RunningApi, error_of, open_http, read_events

SSE = {"Accept": "text/event-stream"}


def _eventually(condition: object, seconds: float = 10.0) -> None:
    assert callable(condition)
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.01)


def _viewers(api: RunningApi) -> float:
    for line in api.http.get("/metrics").text.splitlines():
        if line.startswith("migrator_api_viewers "):
            return float(line.split()[1])
    raise AssertionError("no metric of viewers")


def test_a_stream_tells_the_history_the_progress_and_the_end(api: RunningApi) -> None:
    made = api.migrate()
    seen: list[str] = []
    numbers: list[int] = []
    states: list[str] = []
    with api.http.stream("GET", f"/v1/migrations/{made['id']}/events", headers=SSE) as stream:
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        for kind, data in read_events(stream):
            seen.append(kind)
            numbers += [data["seq"]] if kind == "event" else []
            states += [data["state"]] if kind in ("progress", "end") else []
            api.clock.now += 0.4
    assert seen[:2] == ["event", "progress"]
    assert seen[-1] == "end"
    assert seen.count("end") == 1
    assert numbers == list(range(1, 11))
    assert states[0] == "queued"
    assert states[-1] == "completed"


def test_progress_is_sent_when_something_changed_and_comments_when_not(api: RunningApi) -> None:
    made = api.migrate()
    kinds = []
    with api.http.stream("GET", f"/v1/migrations/{made['id']}/events", headers=SSE) as stream:
        for kind, _ in read_events(stream):
            kinds.append(kind)
            if len(kinds) == 5:
                break
    assert kinds == ["event", "progress", "comment", "comment", "comment"]


def test_a_stream_of_an_ended_migration_ends_at_once(api: RunningApi) -> None:
    made = api.migrate()
    api.clock.now = 100.0
    with api.http.stream("GET", f"/v1/migrations/{made['id']}/events", headers=SSE) as stream:
        kinds = [kind for kind, _ in read_events(stream)]
    assert kinds == ["event"] * 10 + ["progress", "end"]


def test_a_lost_viewer_goes_on_after_the_last_event_it_saw(api: RunningApi) -> None:
    made = api.migrate()
    api.clock.now = 100.0
    headers = {**SSE, "Last-Event-ID": "7"}
    with api.http.stream("GET", f"/v1/migrations/{made['id']}/events", headers=headers) as stream:
        seen = [data["seq"] for kind, data in read_events(stream) if kind == "event"]
    assert seen == [8, 9, 10]


def test_a_wrong_last_event_id_is_refused(api: RunningApi) -> None:
    made = api.migrate()
    headers = {**SSE, "Last-Event-ID": "seven"}
    answer = api.http.get(f"/v1/migrations/{made['id']}/events", headers=headers)
    assert (answer.status_code, error_of(answer)["code"]) == (400, "request.invalid")


def test_an_unknown_migration_is_refused_and_takes_no_place(api: RunningApi) -> None:
    for _ in range(10):
        answer = api.http.get("/v1/migrations/none-such/events", headers=SSE)
        assert (answer.status_code, error_of(answer)["code"]) == (404, "migration.unknown")
    assert _viewers(api) == 0


def test_half_of_the_threads_may_watch_and_the_others_stay_free(api: RunningApi) -> None:
    path = f"/v1/migrations/{api.migrate()['id']}/events"
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(open_http(api.socket)) for _ in range(4)]
        streams = [
            stack.enter_context(client.stream("GET", path, headers=SSE)) for client in clients
        ]
        assert {stream.status_code for stream in streams} == {200}
        assert _viewers(api) == 4
        refused = api.http.get(path, headers=SSE)
        assert (refused.status_code, error_of(refused)["code"]) == (503, "viewers.too_many")
        assert api.http.get(path).status_code == 200
    # Their places come back when they have gone.
    _eventually(lambda: _viewers(api) == 0)
    with api.http.stream("GET", path, headers=SSE) as stream:
        assert stream.status_code == 200


def test_a_stream_survives_a_conductor_that_is_away_for_a_moment(api: RunningApi) -> None:
    made = api.migrate()
    states: list[str] = []
    with api.http.stream("GET", f"/v1/migrations/{made['id']}/events", headers=SSE) as stream:
        for kind, data in read_events(stream):
            if kind == "progress" and not states:
                api.conductor.failing = Transient("rpc.unreachable", "restarting")
            if kind == "comment":
                api.conductor.failing = None
                api.clock.now = 100.0
            states += [data["state"]] if kind in ("progress", "end") else []
    assert (states[0], states[-1]) == ("queued", "completed")


def test_a_stream_ends_with_the_error_when_the_conductor_refuses(api: RunningApi) -> None:
    made = api.migrate()
    seen: list[tuple[str, dict[str, object]]] = []
    with api.http.stream("GET", f"/v1/migrations/{made['id']}/events", headers=SSE) as stream:
        for message in read_events(stream):
            seen.append(message)
            api.conductor.failing = Refused("migration.unknown", "gone")
    kind, data = seen[-1]
    assert kind == "error"
    assert data == {"error": {"code": "migration.unknown", "message": "gone", "details": {}}}


@pytest.mark.parametrize("watching", [False, True])
def test_stopping_the_server_ends_streams_and_connections(api: RunningApi, watching: bool) -> None:
    path = f"/v1/migrations/{api.migrate()['id']}/events"
    started = threading.Event()
    ended = threading.Event()

    def view() -> None:
        with open_http(api.socket) as http, http.stream("GET", path, headers=SSE) as stream:
            for _ in read_events(stream):
                started.set()
        ended.set()

    if watching:
        viewer = threading.Thread(target=view, daemon=True)
        viewer.start()
        assert started.wait(10)
    api.server.stop()
    if watching:
        assert ended.wait(10)
    api.server.stop()  # again changes nothing
