"""The same service in processes of their own, with RabbitMQ and PostgreSQL."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from oslo_config import cfg

from migrator import config
from migrator.conductor.rpcapi import ConductorClient
from migrator.errors import Refused
from migrator.messages import ListMigrations, Migrate, MigrationRef, NamedInstance
from migrator.rpc import Bus
from tests.contract.transport_fixtures import forget_queue_names
from tests.nested.lab import SLOWLY, Lab, Moving, await_
from tests.nested.verify import verify

pytestmark = [pytest.mark.nested, pytest.mark.broker]


@pytest.fixture
def conductor(broker_lab: Lab) -> Iterator[ConductorClient]:
    """The documented way in, configured like the lab's own processes."""
    file = broker_lab.endpoint.removeprefix("unix://").replace("api.sock", "migrator.conf")
    conf = config.load(["--config-file", file], "migrator-tests")
    bus = Bus.open(conf)
    try:
        yield ConductorClient(bus)
    finally:
        bus.close()
        cfg.CONF.reset()
        forget_queue_names("migrator-tests")


def test_a_guest_moves_by_one_command(broker_lab: Lab, broker_roamer: str) -> None:
    lab, source = broker_lab, broker_lab.home_of(broker_roamer)
    moved = lab.move(broker_roamer, lab.other(source))
    assert moved["destination"] == lab.other(source).name
    assert lab.home_of(broker_roamer) == lab.other(source)
    verify(lab)


def test_a_guest_moves_by_a_client_on_the_bus(
    broker_lab: Lab, broker_roamer: str, conductor: ConductorClient
) -> None:
    lab, source = broker_lab, broker_lab.home_of(broker_roamer)
    ask = Migrate(instance=broker_roamer, host=lab.other(source).name, request_id=str(uuid.uuid4()))
    accepted = conductor.migrate(ask)
    assert conductor.migrate(ask).id == accepted.id
    Moving(lab, accepted.id).until_ended()
    shown = conductor.show(MigrationRef(id=accepted.id))
    assert shown.state == "completed"
    assert shown.destination == lab.other(source).name
    assert conductor.list(ListMigrations()).migrations[0].id == accepted.id
    assert conductor.show_instance(NamedInstance(instance=broker_roamer)).host == shown.destination
    with pytest.raises(Refused) as no:
        conductor.migrate(Migrate(instance=broker_roamer, host=lab.other(source).name))
    assert no.value.code == "host.is_source"
    verify(lab)


def test_a_conductor_that_is_killed_and_restarted_completes_the_migration(
    broker_lab: Lab, broker_roamer: str
) -> None:
    lab, source = broker_lab, broker_lab.home_of(broker_roamer)
    destination = lab.other(source)
    moving = lab.migrate(broker_roamer, destination, *SLOWLY)
    moving.until_memory_flows()
    lab.tool("kill", "conductor", "c1")
    lab.up()
    lab.hurry(broker_roamer, source)
    ended = moving.until_ended()
    assert ended["state"] == "completed", moving.story()
    assert lab.home_of(broker_roamer) == destination
    verify(lab)


def test_a_transfer_that_ends_while_its_agent_is_dead_is_completed(
    broker_lab: Lab, broker_roamer: str
) -> None:
    lab, source = broker_lab, broker_lab.home_of(broker_roamer)
    destination = lab.other(source)
    moving = lab.migrate(broker_roamer, destination, *SLOWLY)
    moving.until_memory_flows()
    lab.tool("kill", "agent", source.name)
    lab.hurry(broker_roamer, source)
    await_(lambda: lab.names_on(source) == [], "libvirt carries it on by itself", 60)
    lab.up()
    ended = moving.until_ended()
    assert ended["state"] == "completed", moving.story()
    assert lab.home_of(broker_roamer) == destination
    verify(lab)
