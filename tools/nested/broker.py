"""A private RabbitMQ node: own name, own ports, own cookie, nothing outside the lab's directory."""

import base64
import hashlib
import json
import re
import secrets
import signal
import socket
from pathlib import Path

from nested.errors import LabError
from nested.processes import Process, Registry, end, wait_until, whole_session
from nested.record import Record

SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server"
START_SECONDS = 60
SHARED_MEMORY = Path("/dev/shm")
NAME = "broker"
# Small and quiet: two schedulers that do not spin; peers are looked for on the loopback address only.
ERLANG = (
    "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none +A 4"
    " -kernel inet_dist_use_interface {127,0,0,1}"
)


def ensure(record: Record) -> list[str]:
    """Start the broker unless it runs, and wait until it speaks AMQP."""
    registry = Registry(record.layout)
    started = []
    if registry.get(NAME) is None:
        registry.spawn(NAME, [SERVER], _prepare(record))
        started.append(NAME)
    if (
        not wait_until(
            lambda: _speaks_amqp(record) or registry.get(NAME) is None, START_SECONDS, 0.1
        )
        or registry.get(NAME) is None
    ):
        raise LabError("broker.start", f"RabbitMQ did not start:\n{registry.log_tail(NAME)}")
    return started


def _prepare(record: Record) -> dict[str, str]:
    """Write its files and return its environment."""
    home = record.layout.bulk / "broker"
    home.mkdir(mode=0o700, exist_ok=True)
    port = record.ports["amqp"]
    (home / "definitions.json").write_text(json.dumps(_definitions(record)))
    (home / "rabbitmq.conf").write_text(
        f"listeners.tcp.1 = 127.0.0.1:{port}\nlisteners.tcp.2 = {record.layout.gateway}:{port}\n"
        f"load_definitions = {home / 'definitions.json'}\nloopback_users = none\n"
        "log.file = false\nlog.console = true\nlog.console.level = warning\n"
        "management_agent.disable_metrics_collector = true\n"
        "vm_memory_high_watermark.relative = 0.4\ndisk_free_limit.absolute = 50MB\n"
    )
    (home / "enabled_plugins").write_text("[].\n")
    (home / "environment").write_text("")
    return {
        "HOME": str(home),
        "RABBITMQ_NODENAME": f"migratorlab{record.layout.slot}@localhost",
        "RABBITMQ_CONF_ENV_FILE": str(home / "environment"),
        "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
        "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
        "RABBITMQ_LOG_BASE": str(home / "log"),
        "RABBITMQ_PID_FILE": str(home / "pid"),
        "RABBITMQ_GENERATED_CONFIG_DIR": str(home / "generated"),
        "RABBITMQ_DIST_PORT": str(record.ports["distribution"]),
        "RABBITMQ_SERVER_ERL_ARGS": ERLANG,
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(record.ports["epmd"]),
    }


def _definitions(record: Record) -> dict[str, object]:
    """Return the users and what each may do: one for conductors and the API, one for each agent."""
    # Not at the top: it brings oslo.messaging along, which no other command of the lab needs.
    from migrator.rpc import agent_rights

    vhost, exchange = "migrator", "migrator"
    users = [_user("migrator", record.password)]
    permissions = [_permission("migrator", ".*", ".*", ".*")]
    keys = []
    for host in record.host_layouts:
        rights = agent_rights(host.name)
        users.append(_user(rights.user, record.agent_password(host.name)))
        permissions.append(_permission(rights.user, rights.configure, rights.write, rights.read))
        written, read = rights.keys_written, rights.keys_read
        names = {"user": rights.user, "vhost": vhost, "exchange": exchange}
        keys.append({**names, "write": written, "read": read})
    return {
        "users": users,
        "vhosts": [{"name": vhost}],
        "permissions": permissions,
        "topic_permissions": keys,
    }


def _user(name: str, password: str) -> dict[str, object]:
    salt = secrets.token_bytes(4)
    digest = hashlib.sha256(salt + password.encode()).digest()
    return {
        "name": name,
        "password_hash": base64.b64encode(salt + digest).decode(),
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        "tags": [],
    }


def _permission(user: str, configure: str, write: str, read: str) -> dict[str, str]:
    return {
        "user": user,
        "vhost": "migrator",
        "configure": configure,
        "write": write,
        "read": read,
    }


def _speaks_amqp(record: Record) -> bool:
    """Say whether the port answers the protocol header with a method frame."""
    try:
        with socket.create_connection(
            (record.layout.gateway, record.ports["amqp"]), timeout=1
        ) as connection:
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            return connection.recv(1) == b"\x01"
    except OSError:
        return False


def processes(record: Record) -> list[Process]:
    """Return the node's processes."""
    process = Registry(record.layout).get(NAME)
    return whole_session(process) if process else []


def stop(record: Record) -> None:
    """End the node; nothing it holds is kept, so there is no need to be gentle."""
    end(processes(record), signal.SIGKILL)
    for counter in queue_counters(record):
        counter.unlink(missing_ok=True)


def queue_counters(record: Record) -> list[Path]:
    """Return what oslo.messaging's queue manager keeps outside of the lab: one small file for each
    service, named after its machine and itself."""
    if not record.broker:
        return []
    api = f"unix-{record.layout.state}-api.sock".lower()
    services = [f"migrator-conductor-c{number + 1}" for number in range(record.conductors)]
    services.append("migrator-api-" + re.sub("[^a-z0-9]+", "-", api).strip("-"))
    names = [f"{socket.gethostname()}_{service}" for service in services]
    names += [f"{host.name}_migrator-agent-{host.name}" for host in record.host_layouts]
    return [path for name in names if (path := SHARED_MEMORY / f"{name}_qmanager").exists()]
