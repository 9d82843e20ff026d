"""An error nobody thought of costs a try, never a loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from migrator.conductor.ports import Stores
from migrator.errors import Transient
from migrator.rpc import Bus
from tests.functional.stories.fleet import ServiceUnderTest


class Failing:
    """A store one of whose verbs fails for the first few calls."""

    def __init__(self, store: Any, verb: str, error: Exception, times: int) -> None:
        self._store = store
        self._verb = verb
        self._error = error
        self.left = times

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._store, name)
        return verb if name != self._verb else self._fail_first(verb)

    def _fail_first(self, verb: Callable[..., Any]) -> Callable[..., Any]:
        def failing(*args: Any, **kwargs: Any) -> Any:
            if self.left > 0:
                self.left -= 1
                raise self._error
            return verb(*args, **kwargs)

        return failing


BUG = RuntimeError("nobody thought of this")


@pytest.mark.parametrize(
    ("store", "verb"),
    [
        ("journal", "renew"),
        ("migrations", "line"),
        ("migrations", "due_todos"),
        ("journal", "finish_todo"),
        ("instances", "all_sightings"),
    ],
)
def test_a_conductor_goes_on_after(tmp_path: Path, bus: Bus, store: str, verb: str) -> None:
    service = ServiceUnderTest(tmp_path, bus, todo_lease_s=0.5)
    faults: list[Failing] = []

    def wrap(stores: Stores) -> Stores:
        faults.append(Failing(getattr(stores, store), verb, BUG, times=1))
        return replace(stores, **{store: faults[0]})

    service.wrap_stores = wrap
    with service:
        service.add_guest("h1", "web1")
        assert service.wait(service.migrate("web1", host="h2").id).state == "completed"
        assert faults[0].left == 0


def test_an_instance_that_could_not_be_settled_is_settled_later(tmp_path: Path, bus: Bus) -> None:
    service = ServiceUnderTest(tmp_path, bus)
    busy = Transient("database.busy", "the database is busy")
    service.wrap_stores = lambda stores: replace(
        stores, instances=Failing(stores.instances, "save", busy, times=3)
    )
    with service:
        service.add_guest("h1", "web1")
        assert service.show_instance("web1").host == "h1"


def test_an_agent_reports_again_after_its_libvirt_answered_nonsense(
    service: ServiceUnderTest,
) -> None:
    def alive() -> bool:
        hosts = {host.name: host for host in service.conductor.context.stores.hosts.list()}
        return hosts["h1"].alive

    service.host("h1").fails["list_domains"] = BUG
    service.until(lambda: not alive())
    del service.host("h1").fails["list_domains"]
    service.until(alive)
    service.add_guest("h1", "web1")
