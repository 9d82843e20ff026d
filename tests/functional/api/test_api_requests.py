"""What the API answers: objects, refusals, and the one form of an error."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest

from migrator.errors import Broken, MigratorError, Refused, Transient
from tests.functional.api.running_api import RunningApi, error_of


def test_hosts_are_listed_and_shown(api: RunningApi) -> None:
    assert [host["name"] for host in api.http.get("/v1/hosts").json()["hosts"]] == [
        "h1",
        "h2",
        "h3",
    ]
    shown = api.http.get("/v1/hosts/h3").json()
    assert (shown["alive"], shown["cpus"], shown["why_down"]) == (False, None, "no report for 31 s")


def test_a_host_is_disabled_and_enabled(api: RunningApi) -> None:
    assert api.http.patch("/v1/hosts/h2", json={"state": "disabled"}).json()["state"] == "disabled"
    assert api.http.patch("/v1/hosts/h2", json={"state": "enabled"}).json()["state"] == "enabled"


def test_an_instance_is_found_by_name_and_by_uuid(api: RunningApi) -> None:
    by_name = api.http.get("/v1/instances/web%20front").json()
    assert api.http.get(f"/v1/instances/{by_name['id']}").json() == by_name
    assert len(api.http.get("/v1/instances").json()["instances"]) == 4


def test_an_ambiguous_instance_is_settled_on_a_host(api: RunningApi) -> None:
    answer = api.http.patch("/v1/instances/unsure", json={"host": "h2"})
    assert (answer.status_code, answer.json()["host"]) == (200, "h2")


def test_claims_are_listed(api: RunningApi) -> None:
    assert api.http.get("/v1/claims").json()["claims"][0]["instance"] == "g1"


def test_a_migration_is_accepted_listed_and_shown(api: RunningApi) -> None:
    made = api.migrate(host="h2")
    assert (made["state"], made["mode"], made["destination"]) == ("queued", "target", "h2")
    assert api.http.get("/v1/migrations").json()["migrations"] == [made]
    assert api.http.get(f"/v1/migrations/{made['id']}").json() == made
    assert api.http.get(f"/v1/migrations/{made['id'][:8]}").json() == made


@pytest.mark.parametrize(
    ("query", "fits"),
    [
        ("active=true", True),
        ("active=1&limit=1", True),
        ("forced=true", False),
        ("needs_attention=true", False),
        ("instance=g1", True),
        ("instance=other", False),
        ("host=h2", True),
        ("host=h9", False),
    ],
)
def test_migrations_are_listed_by_what_is_asked_for(
    api: RunningApi, query: str, fits: bool
) -> None:
    api.migrate()
    found = api.http.get(f"/v1/migrations?{query}").json()["migrations"]
    assert bool(found) is fits


def test_a_repeated_request_id_gets_the_migration_it_made(api: RunningApi) -> None:
    made = api.migrate(request_id="mine")
    assert api.migrate(request_id="mine")["id"] == made["id"]
    by_header = api.http.post(
        "/v1/migrations", json={"instance": "g1"}, headers={"Idempotency-Key": "mine"}
    )
    assert by_header.json()["id"] == made["id"]


def test_two_different_request_ids_in_one_request_are_refused(api: RunningApi) -> None:
    answer = api.http.post(
        "/v1/migrations",
        json={"instance": "g1", "request_id": "a"},
        headers={"Idempotency-Key": "b"},
    )
    assert answer.status_code == 400
    assert error_of(answer)["details"] == {"field": "request_id"}


def test_a_guest_already_migrating_answers_with_the_migrations_id(api: RunningApi) -> None:
    made = api.migrate()
    answer = api.post("/v1/migrations", instance="g1")
    assert answer.status_code == 409
    error = error_of(answer)
    assert (error["code"], error["details"]["id"]) == ("migration.exists", made["id"])


def test_a_dry_run_changes_nothing_and_gives_every_hosts_verdict(api: RunningApi) -> None:
    answer = api.post("/v1/migrations/dry-run", instance="g1")
    assert answer.status_code == 200
    assert set(answer.json()) == {"instance", "chosen", "hosts", "methods", "forecast"}
    assert answer.json()["hosts"][1]["refusals"][0]["code"] == "memory.insufficient"
    assert "migrate" not in api.conductor.calls


def test_an_abort_is_accepted_once_and_refused_after_the_switch(api: RunningApi) -> None:
    path = f"/v1/migrations/{api.migrate()['id']}/abort"
    first = api.http.post(path)
    assert (first.status_code, first.json()["result"]) == (202, "accepted")
    assert api.http.post(path).json()["result"] == "already"
    late = api.migrate(instance="web front")
    api.clock.now += 7.6
    refused = api.http.post(f"/v1/migrations/{late['id']}/abort")
    assert (refused.status_code, error_of(refused)["code"]) == (409, "abort.too_late")


def test_events_are_read_in_pages(api: RunningApi) -> None:
    path = f"/v1/migrations/{api.migrate()['id']}/events"
    api.clock.now = 100.0
    first = api.http.get(path, params={"limit": 3}).json()["events"]
    rest = api.http.get(path, params={"after": first[-1]["seq"]}).json()
    assert [event["seq"] for event in first + rest["events"]] == list(range(1, 11))
    assert rest["migration"]["state"] == "completed"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "route.unknown"),
        ("POST", "/v1/migrations/abcd/explode", 404, "route.unknown"),
        ("POST", "/v1/migrations/abcd/force-complete", 404, "migration.unknown"),
        ("POST", "/v1/migrations/abcd/tune", 400, "request.invalid"),
        ("GET", "/v1/nothing", 404, "route.unknown"),
        ("DELETE", "/v1/hosts", 405, "route.unknown"),
        ("PUT", "/v1/migrations", 405, "route.unknown"),
        ("BREW", "/v1/hosts", 400, "request.invalid"),
        ("GET", "/v1/hosts/h9", 404, "host.unknown"),
        ("GET", "/v1/instances/nobody", 404, "instance.unknown"),
        ("GET", "/v1/migrations/nothing", 404, "migration.unknown"),
        ("POST", "/v1/migrations/nothing/abort", 404, "migration.unknown"),
        ("GET", "/v1/migrations/nothing/events", 404, "migration.unknown"),
        ("GET", "/v1/instances/a%00b", 400, "request.invalid"),
        ("GET", "/v1/instances/a%1b%5b31m", 400, "request.invalid"),
        ("GET", f"/v1/instances/{'x' * 256}", 400, "request.invalid"),
        ("GET", "/v1/instances/qemu%3A%2F%2Fevil", 400, "request.invalid"),
        ("GET", "/v1/hosts/h1%3B%20rm%20-rf", 404, "host.unknown"),
        ("GET", "/v1/migrations?limit=0", 400, "request.invalid"),
        ("GET", "/v1/migrations?limit=ten", 400, "request.invalid"),
        ("GET", "/v1/migrations?limit=1&limit=2", 400, "request.invalid"),
        ("GET", "/v1/migrations?active=perhaps", 400, "request.invalid"),
        ("GET", "/v1/migrations?actve=true", 400, "request.invalid"),
        ("GET", "/v1/migrations/abcd/events?id=efgh", 400, "request.invalid"),
        ("POST", "/v1/migrations/abcd/abort?force=1", 400, "request.invalid"),
    ],
)
def test_what_does_not_exist_or_is_malformed_is_refused(
    api: RunningApi, method: str, path: str, status: int, code: str
) -> None:
    answer = api.http.request(method, path)
    assert (answer.status_code, error_of(answer)["code"]) == (status, code)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "instance"),
        ({"instance": 7}, "instance"),
        ({"instance": None}, "instance"),
        ({"instance": ""}, "instance"),
        ({"instance": "a/b"}, "instance"),
        ({"instance": "a\x00b"}, "instance"),
        ({"instance": "a\n"}, "instance"),
        ({"instance": "a\x9b31m"}, "instance"),
        ({"instance": "x" * 256}, "instance"),
        ({"instance": "g1", "host": ["h2"]}, "host"),
        ({"instance": "g1", "host": "qemu+ssh://h2/system"}, "host"),
        ({"instance": "g1", "hosst": "h2"}, "hosst"),
        ({"instance": "g1", "force": "yes", "host": "h2", "reason": "r"}, "force"),
        ({"instance": "g1", "priority": 1.5}, "priority"),
        ({"instance": "g1", "priority": True}, "priority"),
        ({"instance": "g1", "priority": 10**30}, "priority"),
        ({"instance": "g1", "bandwidth_mib_s": 0}, "bandwidth_mib_s"),
        ({"instance": "g1", "request_id": ""}, "request_id"),
        ({"instance": "g1", "force": True}, None),
        ({"instance": "g1", "force": True, "host": "h2"}, None),
        ({"instance": "g1", "reason": "no force"}, None),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_asked_of_the_conductor(
    api: RunningApi, body: dict[str, Any], field: str | None
) -> None:
    for path in ("/v1/migrations", "/v1/migrations/dry-run"):
        answer = api.http.post(path, json=body)
        assert answer.status_code == 400
        error = error_of(answer)
        assert error["code"] == "request.invalid"
        assert error["details"].get("field") == field
    assert api.conductor.calls == []


@pytest.mark.parametrize(
    "body", [b"", b"{", b"nul", b"[]", b'"g1"', b"\xff\xfe", b"[" * 200_000, b'{"a":1}{"b":2}']
)
def test_what_is_not_a_json_object_is_refused(api: RunningApi, body: bytes) -> None:
    answer = api.http.post(
        "/v1/migrations", content=body, headers={"Content-Type": "application/json"}
    )
    assert (answer.status_code, error_of(answer)["code"]) == (400, "request.invalid")


@pytest.mark.parametrize("media", ["text/plain", "application/x-www-form-urlencoded", None])
def test_only_json_is_taken(api: RunningApi, media: str | None) -> None:
    headers = {"Content-Type": media} if media else {}
    answer = api.http.post("/v1/migrations", content=b'{"instance": "g1"}', headers=headers)
    assert (answer.status_code, error_of(answer)["code"]) == (415, "request.invalid")


def test_a_charset_beside_the_media_type_is_accepted(api: RunningApi) -> None:
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert (
        api.http.post("/v1/migrations", content=b'{"instance": "g1"}', headers=headers).status_code
        == 202
    )


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Refused("kind.unsupported", "no"), 422),
        (Refused("host.agent_down", "h2 is down"), 409),
        (Transient("host.agent_down", "h2 is down"), 503),
        (Transient("rpc.timeout", "no answer"), 503),
        (Broken("domain.xml_changed", "damage"), 500),
    ],
)
def test_a_refusal_is_a_4xx_and_a_failure_a_5xx(
    api: RunningApi, error: MigratorError, status: int
) -> None:
    api.conductor.failing = error
    answer = api.http.get("/v1/hosts")
    assert (answer.status_code, error_of(answer)["code"]) == (status, error.code)
    assert ("Retry-After" in answer.headers) is isinstance(error, Transient)


def test_facts_of_a_refusal_are_its_details(api: RunningApi) -> None:
    api.conductor.failing = Refused("cpu.incompatible", "h2 lacks avx2", missing=["avx2"])
    assert error_of(api.http.get("/v1/hosts"))["details"] == {"missing": ["avx2"]}


def test_a_bug_is_told_by_its_request_id_only(
    api: RunningApi, caplog: pytest.LogCaptureFixture
) -> None:
    api.conductor.failing = RuntimeError("secret internals")
    with caplog.at_level(logging.ERROR):
        answer = api.http.get("/v1/hosts", headers={"X-Request-Id": "trace-7"})
    assert (answer.status_code, error_of(answer)["code"]) == (500, "internal")
    assert "secret" not in answer.text
    assert error_of(answer)["details"] == {"request_id": "trace-7"}
    assert any("trace-7" in record.getMessage() and record.exc_info for record in caplog.records)


def test_every_answer_has_a_request_id_that_cannot_be_forged_into_a_header(
    api: RunningApi,
) -> None:
    assert re.fullmatch("[0-9a-f]{32}", api.http.get("/v1/hosts").headers["X-Request-Id"])
    strange = api.http.get("/v1/hosts", headers={"X-Request-Id": "a b<script>"})
    assert re.fullmatch("[0-9a-f]{32}", strange.headers["X-Request-Id"])


def test_health_follows_the_conductor(api: RunningApi) -> None:
    assert api.http.get("/healthz").json() == {
        "ok": True,
        "version": "0.1.0",
        "hosts_alive": 2,
        "hosts": 3,
    }
    api.conductor.healthy = False
    assert api.http.get("/healthz").status_code == 503
    api.conductor.failing = Transient("rpc.unreachable", "no conductor")
    answer = api.http.get("/healthz")
    assert (answer.status_code, error_of(answer)["code"]) == (503, "rpc.unreachable")
