"""How commands fail: exit codes, and one coded sentence on stderr."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from migrator.api.server import ApiServer
from migrator.api.settings import ApiSettings
from migrator.errors import Broken, MigratorError, Refused, Transient
from tests.fakes.conductor import FakeConductor
from tests.functional.cli.terminal import Terminal, fast_clock


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        ("migrate nobody", "instance.unknown"),
        ("migrate g1 --host h9", "host.unknown"),
        ("migrate g1 --host h1", "host.is_source"),
        ("migrate g1 --host h3", "host.agent_down"),
        ("migrate g1 --host qemu+ssh://h2/system", "request.invalid"),
        ("migrate g1 --kind evacuate", "kind.unsupported"),
        ("migrate g1 --kind warm", "kind.unsupported"),
        ("migration confirm 0000", "migration.unknown"),
        ("migration revert 0000", "migration.unknown"),
        ("migrate g1 --force", "request.invalid"),
        ("migrate g1 --bandwidth 0", "request.invalid"),
        ("migrate g1 --bandwidth fast", "request.invalid"),
        ("migrate g1 --dry-run --wait", "request.invalid"),
        ("migrate", "request.invalid"),
        ("migrate g1 --hots h2", "request.invalid"),
        ("migrate g1 -c sttae", "request.invalid"),
        ("migrate g1 -f xml", "request.invalid"),
        ("host show h9", "host.unknown"),
        ("host show ../../healthz", "request.invalid"),
        ("host list extra", "request.invalid"),
        ("instance show nobody", "instance.unknown"),
        ("instance set g1", "request.invalid"),
        ("instance set unsure --host h3", "instance.ambiguous"),
        ("migration show nothing", "migration.unknown"),
        ("migration watch nothing", "migration.unknown"),
        ("migration events nothing --follow", "migration.unknown"),
        ("migration abort nothing", "migration.unknown"),
        ("migration list --limit 0", "request.invalid"),
        ("migration list --sort-column nme", "request.invalid"),
        ("migration", "request.invalid"),
        ("evacuate h1", "request.invalid"),
        ("", "request.invalid"),
        ("--nonsense", "request.invalid"),
    ],
)
def test_what_is_refused_exits_2_with_one_coded_sentence(
    terminal: Terminal, argv: str, code: str
) -> None:
    ran = terminal.run(*argv.split())
    assert (ran.code, ran.out) == (2, "")
    assert f"{code}: " in ran.err
    assert not terminal.run("migration", "list", "-f", "json").document


@pytest.mark.parametrize("argv", ["migrate \udcff", "migrate g1 --host \udcff", "host show \udcff"])
def test_words_that_are_no_text_are_refused_before_anything_is_asked(
    terminal: Terminal, argv: str
) -> None:
    ran = terminal.run(*argv.split())
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "request.invalid: '\\udcff' is not UTF-8 text\n"
    assert terminal.conductor.calls == []


@pytest.mark.parametrize(
    ("argv", "hint"),
    [
        ("hots lst", "did you mean 'host list'"),
        ("migrations wach", "did you mean 'migration watch'"),
        ("mirgate g1", "did you mean 'migrate'"),
        ("instance", "instance list, instance set, instance show"),
        ("migrate g1 --hots h2", "did you mean --host?"),
        ("host list -c nmae", "did you mean name?"),
    ],
)
def test_what_was_probably_meant_is_suggested(terminal: Terminal, argv: str, hint: str) -> None:
    assert hint in terminal.run(*argv.split()).err


def test_a_guest_on_its_way_is_refused_with_the_running_migrations_id(terminal: Terminal) -> None:
    made = terminal.migrate()
    ran = terminal.run("migrate", "g1")
    assert ran.code == 2
    assert ran.err.startswith("migration.exists: ")
    assert made["id"] in ran.err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Refused("host.agent_down", "down"), 2),
        (Transient("database.unreachable", "away"), 3),
        (Transient("rpc.unreachable", "away"), 3),
        (Broken("internal", "damage"), 3),
        (RuntimeError("bug"), 3),
    ],
)
def test_a_no_exits_2_and_what_cannot_be_known_exits_3(
    terminal: Terminal, error: MigratorError | Exception, code: int
) -> None:
    terminal.conductor.failing = error
    assert terminal.run("host", "list").code == code


def test_a_wrong_column_is_refused_before_anything_is_asked(terminal: Terminal) -> None:
    assert terminal.run("migrate", "g1", "-f", "json", "-c", "nme").code == 2
    assert terminal.conductor.calls == []


@pytest.mark.parametrize("argv", ["host list", "migrate g1", "migrate g1 --wait -f json"])
def test_a_service_that_is_not_there_exits_3(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, argv: str
) -> None:
    monkeypatch.setenv("MIGRATOR_ENDPOINT", f"unix://{tmp_path}/nothing.sock")
    ran = terminal.run(*argv.split())
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.startswith("api.unreachable: no service answers at unix:///")
    assert "--request-id" not in ran.err


@pytest.mark.parametrize("endpoint", ["/run/api.sock", "ftp://h", "http://", "unix://x/y"])
def test_a_malformed_endpoint_exits_2(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    monkeypatch.setenv("MIGRATOR_ENDPOINT", endpoint)
    ran = terminal.run("host", "list")
    assert ran.code == 2
    assert ran.err.startswith("config.invalid: MIGRATOR_ENDPOINT is ")


def test_loopback_is_an_endpoint_too(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    server = ApiServer(ApiSettings("http://127.0.0.1:0", threads=2), FakeConductor(fast_clock))
    server.start()
    try:
        monkeypatch.setenv("MIGRATOR_ENDPOINT", server.endpoint)
        monkeypatch.setenv("http_proxy", "http://192.0.2.1:1")
        assert terminal.run("host", "show", "h1").code == 0
    finally:
        server.stop()


def test_something_else_at_the_endpoint_exits_3(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = str(tmp_path / "other.sock")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(path)
        other.listen()
        answering = threading.Thread(target=_answer_html, args=(other,), daemon=True)
        answering.start()
        monkeypatch.setenv("MIGRATOR_ENDPOINT", f"unix://{path}")
        ran = terminal.run("host", "list")
    assert ran.code == 3
    assert "is not migrator" in ran.err


def _answer_html(listening: socket.socket) -> None:
    client, _ = listening.accept()
    client.recv(65536)
    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>")
    client.close()


def test_a_lost_answer_is_asked_for_once_more_under_the_same_id(terminal: Terminal) -> None:
    terminal.conductor.lose_answer = Transient("rpc.timeout", "no answer in 40 s")
    ran = terminal.run("migrate", "g1", "-f", "json")
    assert ran.code == 0
    assert terminal.conductor.calls.count("migrate") == 2
    assert len(terminal.run("migration", "list", "-f", "json").document) == 1


def test_an_unknown_outcome_exits_3_with_the_id_to_ask_for(terminal: Terminal) -> None:
    terminal.conductor.failing = Transient("rpc.timeout", "the conductor gave no answer")
    ran = terminal.run("migrate", "g1")
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.startswith("rpc.timeout: the conductor gave no answer; ")
    request_id = ran.err.partition("--request-id ")[2].split()[0]
    terminal.conductor.failing = None
    first = terminal.migrate("--request-id", request_id)
    assert terminal.migrate("--request-id", request_id)["id"] == first["id"]


@pytest.mark.parametrize("times", [1, 2])
def test_a_connection_lost_after_the_request_left_is_an_unknown_outcome(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, times: int
) -> None:
    path = str(tmp_path / "flaky.sock")
    with socket.socket(socket.AF_UNIX) as flaky:
        flaky.bind(path)
        flaky.listen()

        def drop() -> None:
            for _ in range(times):
                client, _ = flaky.accept()
                client.recv(65536)
                client.close()
            flaky.close()

        threading.Thread(target=drop, daemon=True).start()
        monkeypatch.setenv("MIGRATOR_ENDPOINT", f"unix://{path}")
        ran = terminal.run("migrate", "g1")
    assert ran.code == 3
    assert "--request-id " in ran.err
