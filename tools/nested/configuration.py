"""The one configuration file all of a lab's services read."""

from pathlib import Path

from nested.layout import VENV_BIN, HostLayout, LabLayout
from nested.record import Record


def transport_url(record: Record, host: str | None = None) -> str:
    """Return where the services meet: in the process, or at the private broker on the control plane.

    The agent of ``host`` has a user of its own there."""
    if not record.broker:
        return "inproc://"
    user, password = "migrator", record.password
    if host is not None:
        user, password = f"migrator-agent-{host}", record.agent_password(host)
    return f"rabbit://{user}:{password}@{record.layout.gateway}:{record.ports['amqp']}/migrator"


def agent_file(record: Record, host: str) -> Path:
    """Return what the agent of ``host`` reads after the file all services read."""
    return record.layout.configuration.with_name(f"agent-{host}.conf")


def database_url(record: Record) -> str:
    """Return the database: a file, or the private server."""
    if not record.broker:
        return f"sqlite:///{record.layout.state / 'migrator.sqlite'}"
    return f"postgresql+psycopg://migrator:{record.password}@127.0.0.1:{record.ports['postgresql']}/migrator"


def render(record: Record) -> str:
    """Return the file's text."""
    layout = record.layout
    lines = [
        "[DEFAULT]",
        f"transport_url = {transport_url(record)}",
        f"state_path = {layout.state / 'state'}",
        f"migration_encryption = {'required' if record.tls else 'off'}",
        "debug = false",
        "",
        "[database]",
        f"connection = {database_url(record)}",
        "",
        "[api]",
        f"listen = {layout.endpoint}",
        "",
        "[conductor]",
        f"cold_confirm_s = {record.confirm_window}",
        "",
        "[fleet]",
        f"hosts = {','.join(host.name for host in record.host_layouts)}",
    ]
    for host in record.host_layouts:
        lines += ["", *_host_section(record, host)]
    return "\n".join(lines) + "\n"


def _host_section(record: Record, host: HostLayout) -> list[str]:
    """With a broker the agent sits inside the host; without one it looks in from outside."""
    return [
        f"[host:{host.name}]",
        f"libvirt_uri = {'qemu:///system' if record.broker else host.libvirt_uri}",
        f"peer_uri = {host.peer_uri}",
        f"control_address = {host.address('control')}",
        f"migration_address = {host.address('migration')}",
    ]


def write(record: Record) -> bool:
    """Write the files where they differ; say whether any did."""
    (record.layout.state / "state").mkdir(exist_ok=True)
    texts = {record.layout.configuration: render(record)}
    if record.broker:
        for host in record.host_layouts:
            url = transport_url(record, host.name)
            texts[agent_file(record, host.name)] = f"[DEFAULT]\ntransport_url = {url}\n"
    differing = {
        path: text for path, text in texts.items() if not path.exists() or path.read_text() != text
    }
    for path, text in differing.items():
        path.touch(mode=0o600)
        path.write_text(text)
    return bool(differing)


def service_environment(layout: LabLayout) -> dict[str, str]:
    """Return what a shell needs to talk to this lab's service; PATH is handled by the caller."""
    named = {"MIGRATOR_LAB": layout.name} if layout.name else {}
    return {"MIGRATOR_ENDPOINT": layout.endpoint} | named


def shell_exports(layout: LabLayout) -> str:
    """Return the lines ``eval`` takes."""
    exports = [f"export {name}={value}" for name, value in service_environment(layout).items()]
    return "\n".join([*exports, f'export PATH="{VENV_BIN}:$PATH"']) + "\n"
