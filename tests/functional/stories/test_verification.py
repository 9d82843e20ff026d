"""`verify` over a whole service: what is wrong is named, and what may be mended is."""

from __future__ import annotations

from migrator.messages import Verify
from migrator.model import AttemptMark
from tests.functional.stories.fleet import ServiceUnderTest


def rules(service: ServiceUnderTest) -> list[str]:
    return sorted(each.rule for each in service.client.verify(Verify()).breaches)


def test_a_healthy_fleet_breaks_no_rule_before_and_after_a_migration(
    service: ServiceUnderTest,
) -> None:
    service.add_guest("h1", "web1")
    assert rules(service) == []
    service.wait(service.migrate("web1", host="h2").id)
    service.until(lambda: rules(service) == [])
    assert service.client.verify(Verify()).instances == 1


def test_a_mark_that_stayed_is_named_and_taken_off_with_autostart_given_back(
    service: ServiceUnderTest,
) -> None:
    guest = service.add_guest("h1", "web1", autostart=True)
    migration = service.migrate("web1", host="h2")
    service.wait(migration.id)
    host = service.host("h2")
    service.until(lambda: rules(service) == [])
    host.set_mark(guest, AttemptMark(migration.id, 1, True))
    host.set_autostart(guest, False)
    assert rules(service) == ["marked"]
    mended = service.client.verify(Verify(repair=True))
    assert (mended.breaches, len(mended.repaired)) == ([], 1)
    view = host.view(guest)
    assert (view.mark, view.autostart) == (None, True)


def test_a_host_that_does_not_answer_is_named_and_nothing_is_concluded_from_it(
    service: ServiceUnderTest,
) -> None:
    service.add_guest("h1", "web1")
    service.stop_agent("h1")
    found = service.client.verify(Verify(repair=True))
    assert [each.rule for each in found.breaches] == ["unseen"]
    assert found.repaired == []
    assert service.show_instance("web1").host == "h1"
