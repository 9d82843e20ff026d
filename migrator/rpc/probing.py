"""Whether there is a broker that wants us: asked once, before anything depends on it."""

from __future__ import annotations

import uuid
from typing import Any

import oslo_messaging

from migrator.errors import Transient
from migrator.rpc.failures import broker_error
from migrator.rpc.rabbit import open_transport
from migrator.rpc.waiting import ended, in_background


def probe(conf: Any, url: str | None, timeout: float) -> None:
    """Reach the broker once, with a connection of its own; for a preflight check.

    :param timeout: seconds after which a broker that does not answer is called unreachable.
    :raises Transient: ``rpc.unreachable``: nothing there, or it does not answer.
    :raises Refused: ``config.invalid``: it answers and does not want us (user, password, virtual
        host, permissions), or TLS cannot be agreed on. ``facts["cause"]`` is ``access`` or ``tls``.
    """
    transport = open_transport(conf, url)
    target = oslo_messaging.Target(topic=f"migrator.probe.{uuid.uuid4()}")
    client = oslo_messaging.get_rpc_client(
        transport,
        target,
        retry=0,
        transport_options=oslo_messaging.TransportOptions(at_least_once=True),
    )

    def knock() -> None:
        try:
            # A cast needs no reply queue, so nothing here retries; that nobody can receive it
            # is the answer of a working broker.
            client.cast({}, "probe")
        except oslo_messaging.MessageUndeliverable:
            pass
        finally:
            transport.cleanup()

    attempt = in_background("rpc-probe", knock)
    if not ended(attempt, timeout):
        raise Transient(
            "rpc.unreachable", f"the message broker did not answer within {timeout:g} s"
        )
    error = attempt.exception()
    if error is not None:
        raise broker_error(error) from error
