"""oslo.messaging's settings as every process of ours must have them, and the way to a transport."""

from __future__ import annotations

import os
import socket
from typing import Any

import oslo_messaging
import oslo_messaging.opts
from oslo_concurrency import lockutils

from migrator.errors import Refused

CONTROL_EXCHANGE = "migrator"

_QUEUE_DEFAULTS = {
    # Every process must agree on these, or the broker refuses the second declaration (406).
    # RabbitMQ 4.3 rejects oslo.messaging's own defaults: non-durable, non-exclusive queues.
    "rabbit_quorum_queue": True,
    "rabbit_transient_quorum_queue": True,
    # A message that makes its consumer's connection fail must not come back for ever.
    "rabbit_quorum_delivery_limit": 5,
}


def queue_defaults(conf: Any) -> None:
    """What must be so before any transport is opened, also by a process that only probes."""
    oslo_messaging.set_transport_defaults(control_exchange=CONTROL_EXCHANGE)
    for group, options in oslo_messaging.opts.list_opts():
        conf.register_opts(options, group)
    conf.set_default("control_exchange", CONTROL_EXCHANGE)
    for name, value in _QUEUE_DEFAULTS.items():
        conf.set_default(name, value, group="oslo_messaging_rabbit")


def _have_a_group_leader() -> None:
    """oslo.messaging's queue manager reads the start time of this process group's leader, and fails in
    a group whose leader has ended: a shell that started us in the background and is gone."""
    try:
        os.kill(os.getpgrp(), 0)
    except ProcessLookupError:
        os.setpgid(0, 0)


def rabbit_defaults(conf: Any, state_path: str | os.PathLike[str], process_name: str) -> None:
    """Make oslo.messaging's defaults ours; what an operator configured still wins.

    Call it once per process, before :meth:`Bus.open`.

    :param conf: the global ``oslo_config.cfg.CONF``; oslo.messaging fails on a private one.
    :param state_path: a directory this process may write to; ``lock/`` is made in it.
    :param process_name: unique among the processes of this machine. Reply queues are named after
        it: two processes of one name take each other's replies.
    """
    _have_a_group_leader()
    queue_defaults(conf)
    lockutils.set_defaults(os.path.join(os.fspath(state_path), "lock"))
    ours = {
        # Reply and fanout queues keep their names over a restart; the names are counted under a
        # lock file, hence lock_path.
        "use_queue_manager": True,
        "hostname": socket.gethostname(),
        "processname": process_name,
        # One connection per thread that is publishing at the same moment; a server replies from
        # as many threads as it has.
        "rpc_conn_pool_size": 64,
        "conn_pool_ttl": 300,
        "heartbeat_timeout_threshold": 30,
        # How often an idle connection is looked after in that time, twice: every second, as the AMQP
        # library asks for. An idle server sees that it is to stop only then; the library's 3 lets
        # it take up to 5 s.
        "heartbeat_rate": 15,
        # Seconds between attempts to reach the broker again: 1, 3, 5, 5, ...
        "rabbit_interval_max": 5,
        # Messages the broker hands a server ahead of its taking them (it says so before it works on
        # them). Without a limit, a frozen server of a shared topic is dealt its turn of all calls
        # until its heartbeat fails; with it, one is lost and the others answer the rest.
        "rabbit_qos_prefetch_count": 1,
        # Seconds a server keeps trying to answer a caller whose reply queue is gone. It holds a
        # worker; the library's 60 s would let a few dead callers stop a server.
        "kombu_missing_consumer_retry_timeout": 15,
    }
    for name, value in ours.items():
        conf.set_default(name, value, group="oslo_messaging_rabbit")


def open_transport(conf: Any, url: str | None) -> Any:
    """oslo.messaging's transport; connects to nothing yet.

    :raises Refused: ``config.invalid``: the URL names no broker we have a driver for.
    """
    queue_defaults(conf)
    try:
        return oslo_messaging.get_rpc_transport(conf, url)
    except (
        oslo_messaging.DriverLoadFailure,
        oslo_messaging.InvalidTransportURL,
        ValueError,
    ) as error:
        # The URL holds a password, and the library's message the URL.
        raise Refused(
            "config.invalid",
            "transport_url is not the URL of a message broker we can use; write"
            " rabbit://USER:PASSWORD@HOST:5672/VHOST",
        ) from error
