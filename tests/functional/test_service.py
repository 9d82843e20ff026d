"""A process from start to end, as systemd and a person with ``kill`` see it."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PROGRAM = """
import logging, sys, threading
from migrator import about, config, service
from migrator.errors import Transient

class Part:
    def __init__(self, name, hangs=False):
        self.name, self.hangs = name, hangs
    def stop(self):
        print("stopping", self.name, flush=True)
        if self.hangs:
            threading.Event().wait()
    def describe(self):
        with about.about("5f0c"):
            logging.getLogger("migrator").info("looking")
        return [f"{self.name} has nothing in hand"]

def start():
    print("starting", flush=True)
    if "never" in sys.argv[2:]:
        threading.Event().wait()
    if "away" in sys.argv[2:]:
        raise Transient("database.unreachable", "the database is away; start it")
    return [Part("first"), Part("second", hangs="hangs" in sys.argv[2:])]

conf = config.load(["--config-file", sys.argv[1]], "migrator-test")
service.run("migrator-test", conf, start)
"""

Launch = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    path = tmp_path / "migrator.conf"
    path.write_text("[DEFAULT]\ndebug = false\n")
    return path


@pytest.fixture
def launch(configuration: Path) -> Iterator[Launch]:
    """Start the program with the given words; what it prints up to the first line is read already."""
    running = []

    def start(*words: str, until: str = "is ready", **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(configuration), *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={"PATH": "/usr/bin:/bin", **environment},
        )
        running.append(process)
        wait_for(process, until)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


def wait_for(process: subprocess.Popen[str], text: str) -> str:
    """Read lines until one holds ``text``."""
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return line
    raise AssertionError(f"it ended without saying {text!r}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_parts_stop_in_the_opposite_order(launch: Launch, number: signal.Signals) -> None:
    process = launch()
    process.send_signal(number)
    output, _ = process.communicate(timeout=30)
    assert output.index("stopping second") < output.index("stopping first")
    assert process.returncode == 0


def test_a_second_signal_ends_a_stop_that_hangs(launch: Launch) -> None:
    process = launch("hangs")
    process.terminate()
    wait_for(process, "stopping second")
    process.terminate()
    assert process.wait(timeout=30) == 1


def test_a_start_that_hangs_does_not_keep_the_process(launch: Launch) -> None:
    process = launch("never", until="starting")
    process.terminate()
    assert process.wait(timeout=30) == 0


def test_what_cannot_start_says_why_on_stderr(launch: Launch) -> None:
    process = launch("away", until="cannot start")
    _, errors = process.communicate(timeout=30)
    assert errors == "database.unreachable: the database is away; start it\n"
    assert process.returncode == 3


def test_hup_reads_the_configuration_again(launch: Launch, configuration: Path) -> None:
    process = launch()
    configuration.write_text("[DEFAULT]\ndebug = true\n")
    process.send_signal(signal.SIGHUP)
    wait_for(process, "has been read again")


@pytest.mark.parametrize("broken", ["this is none\n", "[DEFAULT]\ndebug = perhaps\n"])
def test_hup_with_a_broken_file_keeps_the_configuration(
    launch: Launch, configuration: Path, broken: str
) -> None:
    process = launch()
    configuration.write_text(broken)
    process.send_signal(signal.SIGHUP)
    wait_for(process, "stays as it was")
    assert process.poll() is None


def test_usr2_logs_the_stack_of_every_thread(launch: Launch) -> None:
    process = launch()
    process.send_signal(signal.SIGUSR2)
    wait_for(process, "stack of thread MainThread")


def test_usr2_logs_what_every_part_has_in_hand(launch: Launch) -> None:
    process = launch()
    process.send_signal(signal.SIGUSR2)
    wait_for(process, "first has nothing in hand")
    wait_for(process, "second has nothing in hand")


def test_a_line_about_a_migration_begins_with_its_id(launch: Launch) -> None:
    process = launch()
    process.send_signal(signal.SIGUSR2)
    wait_for(process, "[migration 5f0c] looking")


def test_systemd_is_told_when_it_is_ready(launch: Launch, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(30)
        launch(NOTIFY_SOCKET=str(tmp_path / "notify"))
        assert manager.recv(100) == b"READY=1"
