"""The OpenAPI document and the metrics say what is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import falcon.inspect
import httpx

from migrator.api.app import Api
from migrator.api.routes import ROUTES
from migrator.api.settings import ApiSettings
from migrator.cli.migrations import KEYS
from migrator.errors import Transient
from tests.fakes.conductor import FakeConductor
from tests.functional.api.running_api import RunningApi


def _served(api: RunningApi) -> set[tuple[str, str]]:
    app = Api(ApiSettings(), api.conductor, threading.Event()).wsgi()
    found = set()
    for route in falcon.inspect.inspect_routes(app):
        for method in route.methods:
            if not method.internal:
                found.add((method.method, route.path))
    return found


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def test_the_document_has_exactly_the_routes_that_are_served(api: RunningApi) -> None:
    document = api.http.get("/openapi.json").json()
    described = {
        (method.upper(), path) for path, methods in document["paths"].items() for method in methods
    }
    assert described == _served(api)
    assert {(route.method, route.path) for route in ROUTES} < described


def test_every_reference_in_the_document_leads_somewhere(api: RunningApi) -> None:
    document = api.http.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    references = set(_references(document))
    assert references
    assert {name.removeprefix("#/components/schemas/") for name in references} <= set(schemas)


def test_path_parameters_and_bodies_are_described_apart(api: RunningApi) -> None:
    change = api.http.get("/openapi.json").json()["paths"]["/v1/hosts/{name}"]["patch"]
    assert [(one["name"], one["in"]) for one in change["parameters"]] == [("name", "path")]
    body = change["requestBody"]["content"]["application/json"]["schema"]
    assert list(body["properties"]) == ["state", "tags", "zone"]
    assert body.get("required", []) == []


def test_the_api_and_the_command_line_agree_on_the_keys_of_a_migration(api: RunningApi) -> None:
    assert tuple(api.migrate()) == KEYS


def test_metrics_count_requests_by_route_and_migrations_by_state(api: RunningApi) -> None:
    api.migrate()
    api.http.get("/v1/hosts/h9")
    api.http.get("/v1/whatever-somebody-tries")
    text = api.http.get("/metrics").text
    assert (
        'migrator_api_requests_total{method="POST",route="/v1/migrations",status="202"} 1.0' in text
    )
    assert 'route="/v1/hosts/{name}",status="404"} 1.0' in text
    assert 'route="unknown",status="404"} 1.0' in text
    assert "whatever" not in text
    assert 'migrator_migrations_active{state="queued"} 1.0' in text
    assert 'migrator_hosts{alive="false"} 1.0' in text
    assert "migrator_conductor_up 1.0" in text


def test_metrics_tell_how_migrations_ended_how_long_they_took_and_what_was_retried(
    api: RunningApi,
) -> None:
    text = api.http.get("/metrics").text
    for line in (
        'migrator_migrations_ended_total{state="completed"} 7.0',
        'migrator_migrations_failed_total{code="transfer.failed"} 2.0',
        "migrator_attempts_total 10.0",
        "migrator_todo_retries_total 3.0",
        'migrator_phase_seconds_bucket{le="10.0",phase="move"} 6.0',
        'migrator_phase_seconds_bucket{le="+Inf",phase="move"} 7.0',
        'migrator_phase_seconds_sum{phase="move"} 31.5',
        'migrator_downtime_seconds_bucket{le="0.1"} 6.0',
        "migrator_downtime_seconds_count 7.0",
    ):
        assert line in text


def test_the_conductor_is_asked_once_however_many_scrape(api: RunningApi) -> None:
    for _ in range(5):
        api.http.get("/metrics")
    assert api.conductor.calls.count("health") == 1


def test_metrics_are_served_while_the_conductor_is_away(api: RunningApi) -> None:
    api.conductor.failing = Transient("rpc.unreachable", "no conductor")
    answer = api.http.get("/metrics")
    assert answer.status_code == 200
    assert "migrator_conductor_up 0.0" in answer.text


def test_the_fake_conductor_answers_everything_a_route_may_ask(api: RunningApi) -> None:
    made = api.migrate()
    for route in ROUTES:
        path = route.path.replace("{name}", "h2").replace(
            "{id}", made["id"] if "migrations" in route.path else "g1"
        )
        answer: httpx.Response = api.http.request(route.method, path, json={})
        assert answer.status_code != 500, f"{route.method} {path}: {answer.text}"
    assert isinstance(api.conductor, FakeConductor)
