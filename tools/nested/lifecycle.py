"""``up`` and ``down``: everything in parallel that can be, and nothing left behind."""

import shutil
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from nested import (
    broker,
    capabilities,
    certificates,
    database,
    host,
    leftovers,
    network,
    pools,
    services,
)
from nested.errors import LabError, bad_input
from nested.layout import INITRAMFS, KERNEL, MOST_HOSTS, HostLayout, LabLayout
from nested.processes import Registry, end, run
from nested.record import (
    Record,
    choose_ports,
    choose_slot,
    lab_lock,
    load,
    machine_lock,
    other_records,
)

DEFAULT_HOSTS = 2


@dataclass(frozen=True)
class UpRequest:
    """What ``up`` was asked for; None means "as it is", or the default for a new lab."""

    hosts: int | None = None
    broker: str | None = None
    conductors: int | None = None
    services: bool = True
    confirm_window: float | None = None
    tls: bool = False


def up(name: str, request: UpRequest) -> list[str]:
    """Start what is missing of a lab; return the names of the processes that were started."""
    if not KERNEL.exists() or not INITRAMFS.exists():
        raise LabError("lab.setup", "The guest's kernel is missing; 'tools/setup lab' makes it.")
    with lab_lock(LabLayout(name)):
        try:
            record = _plan(name, request)
        except BaseException:
            _remove_if_empty(LabLayout(name).state)
            raise
        host.prepare_bulk(record.layout)
        network.ensure_bridges(record.layout)
        if record.tls:
            certificates.ensure_authority(record.layout)
        jobs: list[Callable[[], list[str]]] = [
            _host_job(each, record.host_layouts) for each in record.host_layouts
        ]
        if record.broker:
            jobs = [lambda: broker.ensure(record), lambda: database.ensure(record), *jobs]
        with ThreadPoolExecutor(max_workers=16) as workers:
            outcomes = [workers.submit(job) for job in jobs]
        started = [process for outcome in outcomes for process in outcome.result()]
        capabilities.share(record.host_layouts)
        if record.services:
            started += services.ensure(record)
        return started


def _host_job(one: HostLayout, everyone: list[HostLayout]) -> Callable[[], list[str]]:
    def job() -> list[str]:
        started = host.ensure(one, everyone)
        pools.ensure(one)
        return started

    return job


def _plan(name: str, request: UpRequest) -> Record:
    """Return the record of the lab as it shall be, and write it down before anything is made."""
    if request.hosts is not None and not 1 <= request.hosts <= MOST_HOSTS:
        raise bad_input("lab.hosts", f"A lab has 1 to {MOST_HOSTS} hosts.")
    if request.confirm_window is not None and request.confirm_window < 0:
        raise bad_input("lab.confirm_window", "A window has 0 or more seconds.")
    if request.conductors is not None and not 1 <= request.conductors <= 16:
        raise bad_input("lab.conductors", "A lab has 1 to 16 conductors.")
    known = load(name)
    if (request.conductors or 1) > 1 and not (request.broker or (known and known.broker)):
        raise bad_input("lab.conductors", "Several conductors need --broker rabbit.")
    with machine_lock():
        record = _first_plan(name, request) if known is None else _changed_plan(known, request)
        if record.broker and not record.ports:
            record = choose_ports(record)
        record.save()
    return record


def _first_plan(name: str, request: UpRequest) -> Record:
    hosts = request.hosts or DEFAULT_HOSTS
    record = Record(
        name=name,
        slot=choose_slot(name),
        hosts=hosts,
        broker=request.broker,
        conductors=request.conductors or 1,
        services=request.services,
        confirm_window=request.confirm_window or 0.0,
        tls=request.tls,
    )
    taken = {each.name for other in other_records(name) for each in other.host_layouts}
    if taken & {each.name for each in record.host_layouts}:
        raise bad_input("lab.name", "Another lab's hosts have the names this one's would have.")
    network.refuse_strangers(record.layout, record.host_layouts)
    return record


def _changed_plan(known: Record, request: UpRequest) -> Record:
    if request.broker and request.broker != known.broker:
        raise bad_input("lab.differs", "The lab runs without a broker; 'tools/lab down' first.")
    if request.tls and not known.tls:
        raise bad_input("lab.differs", "The lab runs without TLS; 'tools/lab down' first.")
    if request.hosts is not None and request.hosts < known.hosts:
        raise bad_input(
            "lab.differs",
            f"The lab has {known.hosts} hosts and cannot shrink; 'tools/lab down' first.",
        )
    if request.conductors is not None and request.conductors < known.conductors:
        raise bad_input(
            "lab.differs", f"The lab has {known.conductors} conductors and cannot shrink."
        )
    changed = replace(
        known,
        hosts=request.hosts or known.hosts,
        conductors=request.conductors or known.conductors,
        services=request.services,
        confirm_window=known.confirm_window
        if request.confirm_window is None
        else request.confirm_window,
    )
    network.refuse_strangers_of_hosts(changed.host_layouts[known.hosts :])
    return changed


def down(name: str) -> list[str]:
    """Remove a lab, whole or half built; return what could not be removed."""
    with lab_lock(LabLayout(name)):
        layout = LabLayout(name)
        try:
            record = load(name)
        except LabError:
            record = None
        if record is None:
            end(leftovers.stray_processes(layout, []), signal.SIGKILL)
            _remove_files(layout)
            return leftovers.find(layout, [])
        layout, namespaces = record.layout, leftovers.namespace_ids(record)
        services.stop(record)
        database.stop(record)
        with ThreadPoolExecutor(max_workers=16) as workers:
            list(workers.map(host.remove, record.host_layouts))
        broker.stop(record)
        end(leftovers.stray_processes(layout, namespaces), signal.SIGKILL)
        network.remove_bridges(layout)
        for link in network.lab_links(layout):
            run("ip", "link", "del", link, check=False)
        _remove_files(layout)
        with machine_lock():
            if not other_records(name):
                network.tidy_machine()
        return leftovers.find(layout, namespaces, record)


def _remove_files(layout: LabLayout) -> None:
    """Remove the directory last of all: as long as lab.json is there, ``down`` can be repeated."""
    record = layout.state / "lab.json"
    for entry in layout.state.iterdir():
        if entry == record:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)
    shutil.rmtree(layout.bulk_elsewhere, ignore_errors=True)
    record.unlink(missing_ok=True)
    _remove_if_empty(layout.state)


def _remove_if_empty(directory: Path) -> None:
    try:
        directory.rmdir()
    except OSError:
        return


def alive(record: Record) -> list[str]:
    """Return the names of the lab's processes that run."""
    registry = Registry(record.layout)
    return [process for process in registry.names() if registry.get(process)]
