"""Guests of fake hosts that are taken off, defined and started."""

from __future__ import annotations

from xml.etree import ElementTree

from migrator.compute_agent.offline_facts import SAVED_DIRECTORY
from migrator.errors import Refused
from migrator.model import DomainState, Reason
from tests.fakes.hypervisor_domain import FakeDomain
from tests.fakes.hypervisor_host import FakeHost
from tests.fakes.hypervisor_pools import FakePool, FakeStorage, FakeVolume

STATE = "/var/lib"
"""Below it every directory is there that somebody looks for, and nowhere else."""


class FakeOffline(FakeHost):
    """The part of a fake hypervisor that is about guests that are off."""

    def shutdown(self, instance_id: str) -> None:
        self._enter("shutdown")
        with self.fleet.lock:
            domain = self.domains.get(instance_id)
            hears = domain is not None and domain.active and domain.state is not DomainState.PAUSED
            if hears and not self.deaf_guests:
                assert domain is not None
                self.end(domain, "shutdown")

    def start(self, instance_id: str) -> None:
        self._enter("start")
        with self.fleet.lock:
            domain = self.domains.get(instance_id)
            if domain is None:
                raise Refused("guest.not_active", f"{self.name} has no domain {instance_id}")
            if domain.active:
                return
            domain.live_xml = domain.saved_xml or domain.inactive_xml
            self._forget_saved(domain)
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

    def save_guest(self, instance_id: str, memory: bytes) -> None:
        """What `virsh managedsave` does."""
        with self.fleet.lock:
            domain = self.domains[instance_id]
            domain.saved_xml = domain.live_xml
            self.directory(SAVED_DIRECTORY).volumes[f"{domain.name}.save"] = FakeVolume(
                memory, len(memory), len(memory)
            )
            self.end(domain, "saved", Reason.SAVED)

    def saved_xml(self, instance_id: str) -> str | None:
        self._enter("saved_xml")
        with self.fleet.lock:
            domain = self.domains.get(instance_id)
            return None if domain is None else domain.saved_xml

    def define_saved(self, instance_id: str, xml: str) -> None:
        self._enter("define_saved")
        with self.fleet.lock:
            domain = self.domains.get(instance_id)
            if domain is None:
                raise Refused("guest.not_active", f"{self.name} has no domain {instance_id}")
            try:
                ElementTree.fromstring(xml)
            except ElementTree.ParseError as error:
                raise Refused("domain.xml_invalid", f"libvirt does not take it: {error}") from error
            assert f"{domain.name}.save" in self.directory(SAVED_DIRECTORY).volumes
            domain.saved_xml = xml

    def undefine_whole(self, instance_id: str) -> None:
        self._enter("undefine_whole")
        with self.fleet.lock:
            domain = self.domains.get(instance_id)
            if domain is None or not domain.persistent:
                return
            self._forget_saved(domain)
            nvram = ElementTree.fromstring(domain.xml).findtext("os/nvram", "")
            path, _, name = nvram.rpartition("/")
            self.directory(path).volumes.pop(name, None)
            domain.inactive_xml, domain.autostart = None, False
            self.emit(domain, "undefined", "removed")
            self.forget_if_nothing_left(domain)

    def open_directory(self, path: str) -> str:
        self._enter("open_directory")
        over = self.pools.over(path)
        if over is not None:
            return over
        if not path.startswith(f"{STATE}/"):
            raise Refused("pool.missing", f"there is no directory {path}", path=path)
        name = f"migrator-state{path.replace('/', '-')}"
        self.pools.add(FakePool(name, self.directory(path), "dir", path))
        self.pools.refresh(name)
        return name

    def close_directory(self, path: str) -> None:
        self._enter("close_directory")
        self.pools.remove(f"migrator-state{path.replace('/', '-')}")

    def directory(self, path: str) -> FakeStorage:
        """The files in it."""
        return self.directories.setdefault(path, FakeStorage())

    def _forget_saved(self, domain: FakeDomain) -> None:
        domain.saved_xml = None
        self.directory(SAVED_DIRECTORY).volumes.pop(f"{domain.name}.save", None)
