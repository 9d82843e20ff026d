"""From a message to the endpoint's method: versions and methods, judged before the library does."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import oslo_messaging
from oslo_messaging.rpc import dispatcher as oslo_dispatcher

from migrator.errors import Refused
from migrator.messages import Method
from migrator.rpc.envelope import answer

_VERSION = re.compile(r"\d{1,6}\.\d{1,6}")


def is_request(message: Any) -> bool:
    """It has the shape of a call that the library can take apart without failing."""
    return (
        isinstance(message.get("method"), str)
        and isinstance(message.get("args"), dict)
        and message.get("namespace") is None
        and _VERSION.fullmatch(str(message.get("version", "1.0"))) is not None
    )


def _version(text: str) -> tuple[int, int]:
    major, minor = text.split(".")
    return int(major), int(minor)


class Dispatcher(oslo_dispatcher.RPCDispatcher):  # type: ignore[misc]
    """Answers what the library would only raise: unknown versions and methods.

    Also because the library, having started a thread that sends heartbeats, forgets to stop it when
    it finds no method to call.
    """

    def __init__(
        self, methods: Sequence[Method], endpoint: object, version: str, where: str
    ) -> None:
        self._answers = {
            method.name: functools.partial(answer, method, getattr(endpoint, method.name))
            for method in methods
        }
        self._version = version
        self._where = where
        super().__init__([_Endpoint(self._answers, version)], None)

    def dispatch(self, incoming: Any) -> Any:
        message = incoming.message
        method, asked = message["method"], str(message.get("version", "1.0"))
        client, server = _version(asked), _version(self._version)
        if client[0] == server[0] and client[1] <= server[1] and method in self._answers:
            return super().dispatch(incoming)
        behind = "client" if client < server else "server"
        who = "the caller" if behind == "client" else self._where
        refusal = Refused(
            "rpc.version",
            f"{self._where} speaks version {self._version} and was asked for {method} of version"
            f" {asked}: {who} must be upgraded",
            method=method,
            upgrade=behind,
            client_version=asked,
            server_version=self._version,
        )
        return {"error": refusal.to_dict()}


class _Endpoint:
    """The shape oslo.messaging looks methods up in."""

    def __init__(self, answers: Mapping[str, Callable[..., Any]], version: str) -> None:
        self.target = oslo_messaging.Target(version=version)
        self.__dict__.update(answers)
