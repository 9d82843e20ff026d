"""Starting processes that outlive the command, finding them again, and signalling nothing else."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nested.errors import LabError
from nested.layout import LabLayout

MARK = "MIGRATOR_LAB_STATE"


@dataclass(frozen=True)
class Process:
    """A process of the lab; the start time makes sure that a reused pid is not mistaken for it."""

    pid: int
    started: int

    def is_alive(self) -> bool:
        """Say whether it still runs (a stopped process does, a zombie does not)."""
        return status(self.pid) not in (None, "Z", "X") and start_time(self.pid) == self.started

    def is_stopped(self) -> bool:
        """Say whether SIGSTOP froze it."""
        return self.is_alive() and status(self.pid) == "T"

    def send(self, signum: signal.Signals) -> bool:
        """Signal it if it is still the same process; say whether it was."""
        if not self.is_alive():
            return False
        try:
            os.kill(self.pid, signum)
        except ProcessLookupError:
            return False
        return True


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def status(pid: int) -> str | None:
    """Return the kernel's one-letter state; None when there is no such process."""
    fields = _stat(pid)
    return fields[0] if fields else None


def start_time(pid: int) -> int | None:
    """Return when it started, in clock ticks since boot."""
    fields = _stat(pid)
    return int(fields[19]) if fields else None


def session(pid: int) -> int | None:
    """Return the session a process belongs to."""
    fields = _stat(pid)
    return int(fields[3]) if fields else None


def parent(pid: int) -> int | None:
    """Return the pid of a process's parent."""
    fields = _stat(pid)
    return int(fields[1]) if fields else None


def all_pids() -> list[int]:
    """Return every pid on the machine."""
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def identify(pid: int) -> Process | None:
    """Return the process that has this pid now."""
    started = start_time(pid)
    return None if started is None else Process(pid, started)


def command_line(pid: int) -> list[str]:
    """Return its arguments; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def run(
    *argv: str | Path, check: bool = True, stdin: str | None = None, timeout: float = 60
) -> str:
    """Run a command to its end and return what it printed; its own words become the error."""
    try:
        done = subprocess.run(
            [str(word) for word in argv],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError as error:
        raise LabError(
            "lab.command", f"{argv[0]} is not installed; 'tools/setup lab' installs it."
        ) from error
    except subprocess.TimeoutExpired as error:
        raise LabError(
            "lab.command", f"{' '.join(map(str, argv))} did not end within {timeout:g} s."
        ) from error
    if check and done.returncode:
        said = (done.stderr or done.stdout).strip().replace("\n", "; ")
        raise LabError("lab.command", f"{' '.join(map(str, argv))} failed: {said}")
    return done.stdout


def environment(layout: LabLayout) -> dict[str, str]:
    """Return the environment of everything the lab starts; the mark is how strays are found."""
    kept = ("PATH", "HOME", "LANG", "TERM")
    return {name: os.environ[name] for name in kept if name in os.environ} | {
        MARK: str(layout.state)
    }


class Registry:
    """The processes a lab started by name, kept as one small file each."""

    def __init__(self, layout: LabLayout) -> None:
        """Look at the lab's own directory."""
        self._layout = layout
        self._directory = layout.state / "pids"

    def get(self, name: str) -> Process | None:
        """Return the process of this name if it is alive."""
        try:
            process = Process(**json.loads((self._directory / name).read_text()))
        except (OSError, ValueError, TypeError):
            return None
        return process if process.is_alive() else None

    def names(self) -> list[str]:
        """Return every name that was ever recorded."""
        return sorted(path.name for path in self._directory.glob("*"))

    def spawn(
        self,
        name: str,
        argv: Sequence[str | Path],
        extra: Mapping[str, str] | None = None,
        user: str | None = None,
        cwd: Path | str = "/",
    ) -> Process:
        """Start a process in a session of its own, its output in ``log/NAME.log``, and remember it."""
        self._directory.mkdir(parents=True, exist_ok=True)
        self._layout.logs.mkdir(exist_ok=True)
        with (self._layout.logs / f"{name}.log").open("ab") as log:
            child = subprocess.Popen(
                [str(word) for word in argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment(self._layout) | dict(extra or {}),
                cwd=cwd,
                user=user,
                group=user,
                extra_groups=[] if user else None,
                start_new_session=True,
            )
        process = Process(child.pid, start_time(child.pid) or 0)
        (self._directory / name).write_text(
            json.dumps({"pid": process.pid, "started": process.started})
        )
        child.returncode = 0  # it is meant to outlive us: no warning, no reaping
        return process

    def log_tail(self, name: str, lines: int = 12) -> str:
        """Return the end of a process's log, for error messages."""
        try:
            text = (self._layout.logs / f"{name}.log").read_text(errors="replace")
        except OSError:
            return "(no log)"
        return "\n".join(text.splitlines()[-lines:])


def whole_session(process: Process) -> list[Process]:
    """Return a process and its workers: everything in the session it leads."""
    members = [identify(pid) for pid in all_pids() if session(pid) == process.pid]
    return [member for member in members if member is not None]


def in_network_namespace(namespace: Path) -> list[int]:
    """Return the pids inside a named network namespace, found without asking any daemon."""
    try:
        wanted = namespace.stat().st_ino
    except OSError:
        return []
    found = []
    for pid in all_pids():
        try:
            if os.stat(f"/proc/{pid}/ns/net").st_ino == wanted and status(pid) not in (
                None,
                "Z",
                "X",
            ):
                found.append(pid)
        except OSError:
            continue
    return sorted(found)


def end(
    processes: Iterable[Process], gently: signal.Signals = signal.SIGTERM, patience: float = 3.0
) -> None:
    """Ask processes to leave, then make them."""
    remaining = [process for process in processes if process.is_alive()]
    for process in remaining:
        process.send(gently)
        process.send(signal.SIGCONT)
    wait_until(lambda: not any(process.is_alive() for process in remaining), patience)
    for process in remaining:
        process.send(signal.SIGKILL)
    wait_until(lambda: not any(process.is_alive() for process in remaining), 5)


def wait_until(condition: Callable[[], bool], timeout: float, every: float = 0.03) -> bool:
    """Poll until it holds or the time (in seconds) is over; say which."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True
