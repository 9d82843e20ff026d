"""What goes wrong between a process and a broker or a server, as one of our own errors."""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Iterator

import amqp.exceptions
import kombu.exceptions
import oslo_messaging
from oslo_messaging._drivers import base as driver_base

from migrator.errors import Broken, MigratorError, Refused, Transient
from migrator.rpc.attempt import Attempt

LOG = logging.getLogger(__name__)

ADVICE = "`migrator-status check` says whether the message broker can be reached"


def broker_error(error: BaseException) -> MigratorError:
    """Why a connection to the broker did not come about, as one of ours."""
    reason = reason_of(error)
    for cause in causes(error):
        if isinstance(cause, amqp.exceptions.AccessRefused | amqp.exceptions.NotAllowed):
            return Refused(
                "config.invalid",
                f"the message broker refuses this user or virtual host: {reason}",
                cause="access",
            )
        if isinstance(cause, ssl.SSLError):
            return Refused(
                "config.invalid", f"no TLS with the message broker: {reason}", cause="tls"
            )
    return Transient("rpc.unreachable", f"the message broker cannot be reached: {reason}")


def call_failure(
    error: Exception, method: str, where: str, attempt: Attempt, deadline: float
) -> MigratorError:
    """What went wrong between us and the server, as one of ours."""
    if isinstance(error, oslo_messaging.MessageUndeliverable):
        return Transient(
            "rpc.unreachable",
            f"nobody listens to {where}: that process does not run, or uses another broker",
            method=method,
            sent=False,
        )
    if isinstance(error, TimeoutError) and not attempt.call_off():
        return Transient(
            "rpc.unreachable",
            f"there was no time left, or no broker in time, to send {method} to {where}; {ADVICE}",
            method=method,
            sent=False,
        )
    if isinstance(error, oslo_messaging.MessagingTimeout | TimeoutError):
        early = deadline - time.monotonic() > 0.1
        sign = "gave no sign of life" if early else "did not answer in time"
        return Transient(
            "rpc.timeout",
            f"{where} {sign} on {method}; whether it was done is unknown",
            method=method,
            sent=True,
            silent=early,
        )
    lost = (
        oslo_messaging.MessageDeliveryFailure,
        driver_base.TransportDriverError,
        kombu.exceptions.KombuError,
        amqp.exceptions.AMQPError,
        OSError,
    )
    if isinstance(error, lost):
        return Transient(
            "rpc.unreachable",
            f"{method} could not be sent to {where}: {reason_of(error)}; {ADVICE}",
            method=method,
            sent=attempt.published,
        )
    LOG.error("%s to %s failed in an unforeseen way", method, where, exc_info=error)
    return Broken("internal", f"{method} to {where} failed: {type(error).__name__}", method=method)


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what led to it, outermost first."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def reason_of(error: BaseException) -> str:
    """The innermost cause in words."""
    *_, root = causes(error)
    return str(root) or type(root).__name__
