"""The figures over ended migrations are complete, and each is counted once."""

from __future__ import annotations

from migrator.messages import Empty
from tests.functional.stories.fleet import ServiceUnderTest


def test_every_migration_that_has_ended_is_counted_once(service: ServiceUnderTest) -> None:
    service.add_guest("h1", "web1")
    assert service.client.count(Empty()).ended == {}
    service.wait(service.migrate("web1", host="h2").id)
    first = service.client.count(Empty())
    assert first.ended == {"completed": 1}
    assert sum(first.downtime_seconds.counts) == 1
    service.wait(service.migrate("web1", host="h1").id)
    for _ in range(2):
        counted = service.client.count(Empty())
        assert (counted.ended, counted.attempts) == ({"completed": 2}, 2)
        assert sum(counted.phase_seconds["whole"].counts) == 2
