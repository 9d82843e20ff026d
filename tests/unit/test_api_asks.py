"""What a client says over HTTP reaches the conductor, all of it."""

from __future__ import annotations

from typing import Any

from migrator.api.asks import NewMigration
from migrator.api.migrations import create
from migrator.messages import Migrate


class Conductor:
    """Remembers what it was asked."""

    asked: Migrate | None = None

    def migrate(self, request: Migrate) -> None:
        self.asked = request


def test_every_field_of_a_new_migration_is_passed_on() -> None:
    said: dict[str, Any] = {
        "instance": "g1",
        "kind": "live",
        "host": "h2",
        "force": True,
        "reason": "drill",
        "bandwidth_mib_s": 7,
        "disk_pools": {"vda": "local"},
        "flatten": True,
        "profile": "guaranteed",
        "deadline_s": 60,
        "on_deadline": "force",
        "postcopy_bandwidth_mib_s": 9,
        "priority": 3,
        "request_id": "r1",
    }
    assert set(said) == set(NewMigration.__struct_fields__)
    conductor: Any = Conductor()
    create(conductor, NewMigration(**said))
    assert {name: getattr(conductor.asked, name) for name in said} == said
