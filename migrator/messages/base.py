"""What every message is made of, and how a method is declared."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from migrator.first_use import prepare

RPC_VERSION = "1.0"
CONDUCTOR_TOPIC = "migrator.conductor"
AGENT_TOPIC = "migrator.agent"


@dataclass(frozen=True)
class Method:
    """One RPC method: its name, what it takes and what it answers."""

    name: str
    request: type[msgspec.Struct]
    reply: type[msgspec.Struct]

    def __post_init__(self) -> None:
        prepare(self.request, self.reply)


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False):
    """Base of everything that crosses a wire."""


class Empty(Message, frozen=True):
    """Nothing to say."""
