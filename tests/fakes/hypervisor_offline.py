"""Guests of fake hosts that are taken off, defined and started."""

from __future__ import annotations

from xml.etree import ElementTree

from migrator.errors import Refused
from migrator.model import DomainState, Reason
from tests.fakes.hypervisor_domain import FakeDomain
from tests.fakes.hypervisor_host import FakeHost


class FakeOffline(FakeHost):
    """The part of a fake hypervisor that is about guests that are off."""

    def shutdown(self, instance_id: str) -> None:
        self._enter("shutdown")
        with self.fleet.lock:
            domain = self.domains.get(instance_id)
            if domain is not None and domain.active and not self.deaf_guests:
                self.end(domain, "shutdown")

    def start(self, instance_id: str) -> None:
        self._enter("start")
        with self.fleet.lock:
            domain = self.domains.get(instance_id)
            if domain is None:
                raise Refused("guest.not_active", f"{self.name} has no domain {instance_id}")
            if domain.active:
                return
            domain.live_xml = domain.inactive_xml
            domain.state, domain.reason = DomainState.RUNNING, Reason.BOOTED
            self.emit(domain, "started", "booted")

    def define(self, xml: str) -> None:
        self._enter("define")
        root = ElementTree.fromstring(xml)
        instance_id, name = root.findtext("uuid", ""), root.findtext("name", "")
        with self.fleet.lock:
            domain = self.domains.get(instance_id)
            if domain is None:
                domain = FakeDomain(
                    id=instance_id,
                    name=name,
                    state=DomainState.SHUTOFF,
                    reason=Reason.UNKNOWN,
                    live_xml=None,
                    inactive_xml=None,
                )
                self.domains[instance_id] = domain
            domain.inactive_xml = xml
            self.emit(domain, "defined", "added")
