"""At the broker an agent takes what is addressed to it, and nothing of another agent's."""

from __future__ import annotations

import configparser
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import amqp
import pytest

from tests.nested.lab import Host, Lab

pytestmark = [pytest.mark.nested, pytest.mark.broker]

Try = Callable[[amqp.Channel], object]


@pytest.fixture
def as_agent(broker_lab: Lab) -> Iterator[Callable[[Try], None]]:
    """Does something with the first host's agent's own user."""
    file = broker_lab.endpoint.removeprefix("unix://").replace("api.sock", "agent-{}.conf")
    parsed = configparser.ConfigParser(interpolation=None)
    assert parsed.read(file.format(broker_lab.hosts[0].name))
    url = urlsplit(parsed["DEFAULT"]["transport_url"])
    connections = []

    def attempt(work: Try) -> None:
        connection = amqp.Connection(
            host=f"{url.hostname}:{url.port}",
            userid=url.username,
            password=url.password,
            virtual_host=url.path.strip("/"),
        )
        connection.connect()
        connections.append(connection)
        work(connection.channel())

    yield attempt
    for connection in connections:
        connection.close()


def queue_of(host: Host) -> str:
    return f"migrator.agent.{host.name}"


def test_an_agent_reads_its_own_queue(broker_lab: Lab, as_agent: Callable[[Try], None]) -> None:
    as_agent(lambda channel: channel.basic_get(queue_of(broker_lab.hosts[0])))


def test_an_agent_cannot_take_address_or_copy_what_is_anothers(
    broker_lab: Lab, as_agent: Callable[[Try], None]
) -> None:
    mine, theirs = map(queue_of, broker_lab.hosts)
    for attempt in (
        lambda channel: channel.basic_consume(theirs),
        lambda channel: channel.basic_get(theirs),
        lambda channel: channel.queue_declare(theirs, durable=True),
        lambda channel: channel.queue_purge(theirs),
        lambda channel: channel.queue_delete(theirs),
        lambda channel: channel.queue_bind(mine, "migrator", theirs),
        lambda channel: published(channel, theirs),
    ):
        with pytest.raises(amqp.AccessRefused):
            as_agent(attempt)


def published(channel: amqp.Channel, routing_key: str) -> None:
    """Sent, and taken by the broker: it refuses a moment later."""
    channel.confirm_select()
    channel.basic_publish_confirm(amqp.Message("{}"), "migrator", routing_key)
