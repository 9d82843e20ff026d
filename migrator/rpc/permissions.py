"""What one agent may do at the broker: be asked, answer, and tell conductors. Nothing of other agents.

RabbitMQ judges by names: of the queues and exchanges an agent declares (configure), sends through or
binds to (write) and takes from (read), and by the routing keys on the service's exchange. So an agent
cannot take what is addressed to another one, nor have a copy of it sent along, nor address another by
the exchange that commands travel on. What RabbitMQ cannot tell apart is whom an *answer* goes to:
answers use the default exchange, so whoever holds an agent's password may still send a message to any
queue it can name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from migrator.messages import AGENT_TOPIC, CONDUCTOR_TOPIC
from migrator.rpc.names import process_name
from migrator.rpc.rabbit import CONTROL_EXCHANGE


@dataclass(frozen=True)
class AgentRights:
    """One user's permissions; every field but ``user`` is a regular expression, as RabbitMQ takes it."""

    user: str
    configure: str
    write: str
    read: str
    keys_written: str
    """Routing keys it may send to on the exchange commands travel on."""
    keys_read: str
    """Routing keys it may bind a queue of its own to."""


def agent_rights(host: str) -> AgentRights:
    """Of the agent that serves ``host``."""
    process = process_name("migrator-agent", host)
    queue, exchange = _word(AGENT_TOPIC), _word(CONTROL_EXCHANGE)
    unique = rf"[^:]+:{re.escape(process)}:[0-9]+"
    own = rf"{queue}(\.{re.escape(host)})?|{queue}_fanout_{unique}|reply_{unique}"
    told = rf"{_word(CONDUCTOR_TOPIC)}_fanout"
    return AgentRights(
        user=process,
        configure=rf"^({own}|{exchange}|{queue}_fanout|{told})$",
        write=rf"^({own}|{exchange}|{told}|amq\.default)$",
        read=rf"^({own}|{exchange}|{queue}_fanout)$",
        keys_written=rf"^{_word(CONDUCTOR_TOPIC)}(\.nobody\..+)?$",
        keys_read=rf"^{queue}(\.{re.escape(host)})?$",
    )


def rabbitmqctl_lines(hosts: Sequence[str], vhost: str) -> Iterator[str]:
    """What to run where RabbitMQ runs; ``add_user`` asks for the password."""
    for host in hosts:
        rights = agent_rights(host)
        patterns = f"'{rights.configure}' '{rights.write}' '{rights.read}'"
        keys = f"{CONTROL_EXCHANGE} '{rights.keys_written}' '{rights.keys_read}'"
        yield f"# the agent of {host}"
        yield f"rabbitmqctl add_user {rights.user}"
        yield f"rabbitmqctl set_permissions -p {vhost} {rights.user} {patterns}"
        yield f"rabbitmqctl set_topic_permissions -p {vhost} {rights.user} {keys}"


def _word(name: str) -> str:
    return re.escape(name)
