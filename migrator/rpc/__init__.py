"""Calls between processes: one transport, typed requests and replies, bounded waits.

A request is a msgspec struct and travels as one argument named ``request``. The answer is an
envelope, ``{"ok": reply}`` or ``{"error": {class, code, message, facts}}``: a refusal is a value,
not a remote exception, and is raised again at the caller as the same class with the same code.

What a caller can count on, whatever the broker does: a call ends within its ``timeout``, and a call
that was given up before it left this process is never sent later. That a call *did not* answer says
nothing about whether it ran; ``facts["sent"]`` is False only when it certainly did not.
"""

from __future__ import annotations

# oslo.messaging pulls in oslo.service, which imports eventlet unless the threading backend was
# chosen before. Nothing may import oslo_messaging ahead of these lines.
from oslo_service import backend as _service_backend

_service_backend.init_backend(_service_backend.BackendType.THREADING)

from migrator.rpc.bus import Bus
from migrator.rpc.client import Client
from migrator.rpc.names import process_name
from migrator.rpc.permissions import AgentRights, agent_rights, rabbitmqctl_lines
from migrator.rpc.probing import probe
from migrator.rpc.rabbit import rabbit_defaults
from migrator.rpc.server import Server

__all__ = [
    "AgentRights",
    "Bus",
    "Client",
    "Server",
    "agent_rights",
    "probe",
    "process_name",
    "rabbit_defaults",
    "rabbitmqctl_lines",
]
