"""migrator's own processes: one for everything, or conductors, an API and one agent per host."""

import http.client
import json
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from nested import configuration, skew
from nested.errors import LabError, bad_input
from nested.host import anchor_of, enter
from nested.layout import VENV_BIN, LabLayout
from nested.processes import Process, Registry, end, environment, wait_until, whole_session
from nested.record import Record

STANDALONE = "standalone"
API = "api"
START_SECONDS = 60
DESCRIBED_SECONDS = 30
STOP_SECONDS = 5


def names(record: Record) -> list[str]:
    """Return the names of the processes this lab's services consist of, in starting order."""
    if not record.broker:
        return [STANDALONE]
    agents = [f"agent-{host.name}" for host in record.host_layouts]
    return [*(f"conductor-{name}" for name in record.conductor_names), *agents, API]


def ensure(record: Record) -> list[str]:
    """Write the configuration, upgrade the database, start what is missing, wait for the API."""
    registry = Registry(record.layout)
    if configuration.write(record):
        stop(record)  # what runs has read something else
    missing = [name for name in names(record) if registry.get(name) is None]
    if missing:
        _upgrade_database(record)
    for name in missing:
        if name in (STANDALONE, API):
            record.layout.api_socket.unlink(missing_ok=True)
        registry.spawn(name, _command(record, name), skew.environment(record.skews.get(name, 0)))
    _await_api(record, registry)
    _await_hosts(record)
    for name in record.skews:
        if started := registry.get(name):
            skew.forget(started)
    return missing


def set_clock(record: Record, kind: str, which: str, seconds: int) -> None:
    """Start a service again with its wall clock this far ahead; it stays so however often it dies."""
    name = f"{kind}-{which}"
    if not record.broker or name not in names(record):
        raise bad_input(
            "skew.process", f"No {kind} {which!r} of its own in this lab; it takes --broker rabbit."
        )
    skew.environment(seconds)  # or nothing is changed
    skews = {**record.skews, name: seconds}
    changed = replace(record, skews={each: by for each, by in skews.items() if by})
    changed.save()
    end(processes(record, kind, which), signal.SIGKILL)
    ensure(changed)


def _program(name: str) -> Path:
    path = VENV_BIN / name
    if not path.exists():
        raise LabError(
            "lab.services_missing",
            f"{path} does not exist; 'tools/setup' installs it, 'up --no-services' goes without.",
        )
    return path


def _command(record: Record, name: str) -> list[str | Path]:
    options: list[str | Path] = ["--config-file", record.layout.configuration]
    kind, _, which = name.partition("-")
    if kind == "agent":
        host = record.host(which)
        options += ["--config-file", configuration.agent_file(record, host.name)]
        return [*enter(anchor_of(host)), _program("migrator-agent"), *options, "--host", host.name]
    if kind == "conductor":
        return [_program("migrator-conductor"), *options, "--name", which]
    return [_program("migrator-standalone" if kind == STANDALONE else "migrator-api"), *options]


def _upgrade_database(record: Record) -> None:
    command = [
        str(_program("migrator-manage")),
        "--config-file",
        str(record.layout.configuration),
        "db",
        "upgrade",
    ]
    record.layout.logs.mkdir(exist_ok=True)
    with (record.layout.logs / "manage.log").open("ab") as log:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment(record.layout),
            check=False,
        )
    if done.returncode:
        raise LabError(
            "lab.db_upgrade",
            f"'{' '.join(command)}' failed:\n{Registry(record.layout).log_tail('manage')}",
        )


def _await_api(record: Record, registry: Registry) -> None:
    expected = names(record)

    def settled() -> bool:
        return is_healthy(record.layout) or any(registry.get(name) is None for name in expected)

    answered = wait_until(settled, START_SECONDS, 0.1)
    for name in expected:
        if registry.get(name) is None:
            raise LabError(
                "lab.service_died", f"{name} ended while starting:\n{registry.log_tail(name)}"
            )
    if not answered:
        name = expected[-1]
        raise LabError(
            "lab.api_silent",
            f"GET /healthz was not answered within {START_SECONDS} s:\n{registry.log_tail(name)}",
        )


def _await_hosts(record: Record) -> None:
    """Wait until every host's agent has described it: before that nothing can be moved there."""
    expected = {host.name for host in record.host_layouts}
    if not wait_until(lambda: expected <= _described(record.layout), DESCRIBED_SECONDS, 0.1):
        silent = ", ".join(sorted(expected - _described(record.layout)))
        print(
            f"up: no word yet from the agent of {silent}; 'migrator host list' says why",
            file=sys.stderr,
        )


def _described(layout: LabLayout) -> set[str]:
    """Return the hosts that are alive and whose facts are known."""
    body = _get(layout, "/v1/hosts")
    hosts = json.loads(body)["hosts"] if body else []
    return {host["name"] for host in hosts if host["alive"] and host["cpus"] is not None}


def is_healthy(layout: LabLayout) -> bool:
    """Say whether ``GET /healthz`` on the API's socket answers 200."""
    return _get(layout, "/healthz") is not None


def _get(layout: LabLayout, path: str) -> bytes | None:
    """Return what the API answers with 200, None for anything else."""
    connection = http.client.HTTPConnection("localhost", timeout=2)
    try:
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(2)
        connection.sock.connect(str(layout.api_socket))
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.read() if answer.status == http.client.OK else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def processes(record: Record, kind: str, which: str | None = None) -> list[Process]:
    """Return one service's processes, or those of all of a kind, with their workers."""
    registry = Registry(record.layout)
    if not record.broker:
        chosen = [STANDALONE]
    elif kind == API:
        chosen = [API]
    else:
        wanted = f"{kind}-{which or ''}"
        chosen = [
            name for name in names(record) if (name == wanted if which else name.startswith(wanted))
        ]
    leaders = [registry.get(name) for name in chosen]
    return [process for leader in leaders if leader for process in whole_session(leader)]


def agent_pid(record: Record, host: str) -> int | None:
    """Return the process that is this host's agent; standalone, that is the one process there is."""
    process = Registry(record.layout).get(f"agent-{host}" if record.broker else STANDALONE)
    return process.pid if process else None


def stop(record: Record) -> None:
    """End all services."""
    registry = Registry(record.layout)
    leaders = [registry.get(name) for name in names(record)]
    everything = [member for leader in leaders if leader for member in whole_session(leader)]
    end([leader for leader in leaders if leader], signal.SIGTERM, patience=STOP_SECONDS)
    end(everything, signal.SIGKILL)
