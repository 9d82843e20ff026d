"""Waiting for a migration and watching it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import struct
import termios
import time

import httpx
import pytest

from migrator.api.server import ApiServer
from migrator.api.settings import ApiSettings
from migrator.cli.client import Client
from migrator.cli.follow import View, follow
from migrator.cli.migrations import KEYS
from tests.fakes.conductor import FAILS, LOST, REJECTED, SMOOTH, Frame
from tests.functional.cli.terminal import Terminal


@pytest.mark.parametrize(
    ("frames", "state", "code"),
    [
        (SMOOTH, "completed", 0),
        (FAILS, "failed", 1),
        (LOST, "lost", 1),
        (REJECTED, "rejected", 2),
    ],
)
@pytest.mark.parametrize("command", ["migrate", "watch"])
def test_the_exit_code_of_waiting_says_how_it_ended(
    terminal: Terminal, frames: tuple[Frame, ...], state: str, code: int, command: str
) -> None:
    terminal.conductor.frames = frames
    if command == "migrate":
        ran = terminal.run("migrate", "g1", "--wait", "-f", "json")
    else:
        ran = terminal.run("migration", "watch", terminal.migrate()["id"][:8], "-f", "json")
    assert ran.code == code
    assert tuple(ran.document) == KEYS
    assert ran.document["state"] == state
    if code:
        assert f"{ran.document['error_code']}: {ran.document['error']}\n" in ran.err


def test_progress_without_a_terminal_is_a_line_for_each_stage(terminal: Terminal) -> None:
    ran = terminal.run("migrate", "g1", "--wait")
    lines = ran.err.splitlines()
    assert lines[0].startswith("g1: h1 -> h2, migration ")
    stages = [re.sub("^ *[0-9:]+  ", "", line).partition(":")[0] for line in lines[1:]]
    assert stages == list(dict.fromkeys(stages))
    assert "memory" in stages
    assert "\x1b" not in ran.err
    assert ran.out == "g1: completed in 7.5 s, downtime 42 ms, now on h2\n"


def test_progress_goes_to_stderr_and_leaves_one_document_on_stdout(terminal: Terminal) -> None:
    ran = terminal.run("migrate", "g1", "--wait", "-f", "json")
    assert ran.document["state"] == "completed"
    assert "MiB" in ran.err
    assert "g1: completed in 7.5 s" in ran.err


def test_progress_on_a_terminal_is_alive_and_fits_the_width(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    screen, stderr = pty.openpty()
    fcntl.ioctl(stderr, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    waiting = terminal.start("migrate", "web front", "--wait", stderr=stderr)
    os.close(stderr)
    seen = b""
    with contextlib.suppress(OSError):  # a terminal without programs ends in EIO
        while chunk := os.read(screen, 65536):
            seen += chunk
    os.close(screen)
    out, _ = waiting.communicate()
    assert (waiting.returncode, out) == (
        0,
        "web front: completed in 7.5 s, downtime 42 ms, now on h2\n",
    )
    assert b"\x1b[2K" in seen, "the living line is redrawn"
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen.decode()).replace("\r", "\n").split("\n")
    assert max(map(len, lines)) <= 80
    assert any("memory: " in line and "dirty 12 MiB/s" in line for line in lines)


def test_a_migration_that_cannot_converge_is_called_that(terminal: Terminal) -> None:
    racing = {**SMOOTH[5].changes, "dirty_rate": 200 * 1024**2}
    no_progress = Frame(0.1, SMOOTH[5].state, "memory", "no progress", racing)
    terminal.conductor.frames = (SMOOTH[0], no_progress, *SMOOTH[8:])
    assert "NOT CONVERGING" in terminal.run("migrate", "g1", "--wait").err


def test_watching_one_that_has_ended_says_how_it_ended(terminal: Terminal) -> None:
    made = terminal.migrate()
    terminal.conductor.clock = lambda: 10.0**9
    ran = terminal.run("migration", "watch", made["id"])
    assert ran.out == "g1: completed in 7.5 s, downtime 42 ms, now on h2\n"
    assert ran.err == ""


def test_watching_survives_a_restart_of_the_service(terminal: Terminal) -> None:
    began = terminal.conductor.clock()
    terminal.conductor.clock = lambda: began
    made = terminal.migrate()
    watching = terminal.start("migration", "watch", made["id"], "-f", "json")
    assert watching.stderr is not None
    watching.stderr.readline()
    terminal.server.stop()
    again = ApiServer(ApiSettings(terminal.server.endpoint, watch_s=0.01), terminal.conductor)
    again.start()
    try:
        terminal.conductor.clock = lambda: began + 100.0
        out, err = watching.communicate(timeout=30)
    finally:
        again.stop()
    assert watching.returncode == 0, err
    assert json.loads(out)["state"] == "completed"
    assert "the service does not answer; the migration goes on" in err


def test_when_no_place_for_a_viewer_is_left_it_is_asked_again_and_again(
    terminal: Terminal,
) -> None:
    slow = terminal.conductor.clock()
    terminal.conductor.clock = lambda: slow
    made = terminal.migrate()
    viewers = [terminal.start("migration", "watch", made["id"]) for _ in range(2)]
    try:
        until = time.monotonic() + 15
        while "migrator_api_viewers 2.0" not in _metrics(terminal):
            assert time.monotonic() < until
            time.sleep(0.05)
        client = Client(terminal.server.endpoint)
        updates = follow(client, made["id"])
        assert next(update.data["state"] for update in updates if isinstance(update, View)) == (
            "queued"
        )
        terminal.conductor.clock = lambda: slow + 100.0
        states = [update.data["state"] for update in updates if isinstance(update, View)]
        assert states[-1] == "completed"
        client.close()
        assert [viewer.wait(15) for viewer in viewers] == [0, 0]
    finally:
        for viewer in viewers:
            viewer.kill()
            viewer.communicate()


def _metrics(terminal: Terminal) -> str:
    path = terminal.server.endpoint.removeprefix("unix://")
    with httpx.Client(transport=httpx.HTTPTransport(uds=path)) as http:
        return http.get("http://migrator/metrics").text


def as_from_a_terminal() -> None:
    """These tests may have been started in the background, where a shell has interrupts ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_stops_the_waiting_and_not_the_migration(terminal: Terminal) -> None:
    began = terminal.conductor.clock()
    terminal.conductor.clock = lambda: began
    waiting = terminal.start("migrate", "g1", "--wait", "-f", "json", preexec_fn=as_from_a_terminal)
    assert waiting.stderr is not None
    title = waiting.stderr.readline()
    waiting.send_signal(signal.SIGINT)
    out, err = waiting.communicate(timeout=15)
    assert (waiting.returncode, out) == (130, "")
    made = terminal.run("migration", "list", "-f", "json").document[0]
    assert made["id"][:8] in title
    assert f"the migration goes on: {made['id']}\n  migrator migration watch {made['id']} " in err
    assert made["state"] == "queued"


def test_an_abort_is_accepted_at_once_and_waited_for_on_request(terminal: Terminal) -> None:
    made = terminal.migrate()
    ran = terminal.run("migration", "abort", made["id"][:8])
    assert ran.code == 0
    assert "is being aborted" in ran.out
    again = terminal.run("migration", "abort", made["id"], "--wait", "-f", "json")
    assert (again.code, again.document["state"]) == (0, "cancelled")


def test_an_abort_that_came_too_late_is_refused(terminal: Terminal) -> None:
    made = terminal.migrate()
    terminal.conductor.clock = lambda: 10.0**9
    ran = terminal.run("migration", "abort", made["id"])
    assert (ran.code, ran.err.split(":")[0]) == (2, "migration.finished")


def test_waiting_for_what_somebody_else_cancels_exits_1(terminal: Terminal) -> None:
    began = terminal.conductor.clock()
    terminal.conductor.clock = lambda: began + 1.0
    made = terminal.migrate()
    waiting = terminal.start("migration", "watch", made["id"])
    assert terminal.run("migration", "abort", made["id"]).code == 0
    terminal.conductor.clock = lambda: began + 50.0
    _, err = waiting.communicate(timeout=15)
    assert waiting.returncode == 1
    assert "migration.aborted: aborted by operator" in err
