"""What a lab remembers about itself between two commands: ``lab.json``."""

import fcntl
import hashlib
import json
import os
import secrets
import socket
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

from nested.errors import LabError, bad_input
from nested.layout import RUN, HostLayout, LabLayout

HIGHEST_SLOT = 250
FIRST_PORT = 21000
PORTS = ("amqp", "distribution", "epmd", "postgresql")


@dataclass(frozen=True)
class Record:
    """A lab as it was asked for.  Written before anything is made, so that ``down`` finds it all."""

    name: str
    slot: int
    hosts: int
    broker: str | None = None
    conductors: int = 1
    services: bool = True
    confirm_window: float = 0.0
    tls: bool = False
    password: str = field(default_factory=lambda: secrets.token_hex(12))
    ports: dict[str, int] = field(default_factory=dict)
    skews: dict[str, int] = field(default_factory=dict)

    def agent_password(self, host: str) -> str:
        """Return what the agent of this host shows the broker: each has its own."""
        return hashlib.sha256(f"{self.password} {host}".encode()).hexdigest()[:24]

    @property
    def layout(self) -> LabLayout:
        """Return where its things are."""
        return LabLayout(self.name, self.slot, self.tls)

    @property
    def host_layouts(self) -> list[HostLayout]:
        """Return its hosts in order."""
        return [self.layout.host(number) for number in range(1, self.hosts + 1)]

    @property
    def conductor_names(self) -> list[str]:
        """Return c1, c2, ...; empty where one process does everything."""
        return [f"c{number}" for number in range(1, self.conductors + 1)] if self.broker else []

    def host(self, name: str) -> HostLayout:
        """Return the host with this name, or refuse."""
        for host in self.host_layouts:
            if host.name == name:
                return host
        known = ", ".join(host.name for host in self.host_layouts)
        raise bad_input("host.unknown", f"No host {name!r} in this lab; it has {known}.")

    def save(self) -> None:
        """Write it so that a reader never sees half of it."""
        state = self.layout.state
        state.mkdir(mode=0o755, parents=True, exist_ok=True)
        fresh = state / "lab.json.new"
        fresh.write_text(json.dumps(asdict(self), indent=1))
        fresh.chmod(0o600)
        fresh.rename(state / "lab.json")


def _read(path: Path) -> Record:
    """Read a record; unknown fields are ignored, so that another version's lab can be removed."""
    known = {each.name for each in fields(Record)}
    return Record(
        **{name: value for name, value in json.loads(path.read_text()).items() if name in known}
    )


def load(name: str) -> Record | None:
    """Return the lab's record; None when there is no such lab."""
    path = LabLayout(name).state / "lab.json"
    try:
        return _read(path)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, AttributeError) as error:
        raise LabError(
            "lab.record", f"{path} is damaged ({error}); 'tools/lab down' removes it."
        ) from error


def load_existing(name: str) -> Record:
    """Return the lab's record, or refuse."""
    record = load(name)
    if record is None:
        raise bad_input("lab.absent", "No lab is up; start one with 'tools/lab up'.")
    return record


@contextmanager
def machine_lock() -> Iterator[None]:
    """Hold while slots and ports are chosen; leaves no file behind."""
    handle = os.open(RUN, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextmanager
def lab_lock(layout: LabLayout) -> Iterator[None]:
    """Hold while a lab is started or removed: two of these at once would undo each other's work."""
    while True:
        layout.state.mkdir(mode=0o755, exist_ok=True)
        handle = os.open(layout.state, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(handle, fcntl.LOCK_EX)
        try:
            if layout.state.stat().st_ino == os.fstat(handle).st_ino:
                break
        except FileNotFoundError:
            pass
        os.close(handle)
    try:
        yield
    finally:
        os.close(handle)


def other_records(name: str) -> list[Record]:
    """Return the records of all other labs on this machine."""
    records = []
    for path in RUN.glob("migrator-lab*/lab.json"):
        try:
            other = _read(path)
        except (OSError, ValueError, TypeError, AttributeError):
            continue
        if other.name != name:
            records.append(other)
    return records


def choose_slot(name: str) -> int:
    """Return 0 for the default lab, else a number no lab uses; call under the machine's lock."""
    if not name:
        return 0
    taken = {record.slot for record in other_records(name)}
    start = zlib.crc32(name.encode()) % HIGHEST_SLOT
    for step in range(HIGHEST_SLOT):
        slot = 1 + (start + step) % HIGHEST_SLOT
        if (
            slot not in taken
            and not Path("/sys/class/net", LabLayout(name, slot).bridge("control")).exists()
        ):
            return slot
    raise LabError("lab.slots", "No free subnet is left for another lab.")


def choose_ports(record: Record) -> Record:
    """Return the record with a free port for each server; call under the machine's lock."""
    taken = {port for other in other_records(record.name) for port in other.ports.values()}
    chosen = dict(record.ports)
    candidate = FIRST_PORT + record.slot * 8
    for purpose in PORTS:
        while purpose not in chosen:
            if candidate not in taken and _is_free(candidate):
                chosen[purpose] = candidate
            candidate += 1
    return replace(record, ports=chosen)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True
