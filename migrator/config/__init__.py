"""The configuration: the only package that knows oslo.config.

Everything else is given frozen settings made from it here. Options are registered on the process-wide
``cfg.CONF``, because oslo.messaging works with no other. :func:`load` refuses what oslo.config would
pass over in silence: an option or section that does not exist, one given twice, a host that is listed
and not described or described and not listed.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from oslo_config import cfg
from oslo_log import log

from migrator import addresses, rpc
from migrator.api.settings import ApiSettings
from migrator.compute_agent.settings import AgentSettings
from migrator.conductor.settings import ConductorSettings
from migrator.config import refusals
from migrator.config.host_limits import host_limits
from migrator.config.options import (
    GROUPS,
    HOST_OPTS,
    HOST_PREFIX,
    IDENTITY_OPTS,
    INPROC,
    list_opts,
)
from migrator.model import HostAddresses
from migrator.version import version

__all__ = [
    "DEFAULT_FILE",
    "add_file_arguments",
    "agent_host",
    "agent_settings",
    "api_settings",
    "conductor_name",
    "conductor_settings",
    "file_arguments",
    "hosts",
    "list_opts",
    "load",
]

DEFAULT_FILE = Path("/etc/migrator/migrator.conf")


def load(
    argv: Sequence[str], prog: str, default_config_files: Sequence[str | Path] | None = None
) -> cfg.ConfigOpts:
    """Read command line and files, and refuse what is wrong with them.

    :param argv: the arguments after the program's name.
    :param prog: the program's name; ``migrator-agent`` takes ``--host``, ``migrator-conductor``
        ``--name``.
    :param default_config_files: read when ``--config-file`` is not given; None means
        ``/etc/migrator/migrator.conf`` where it exists.
    :raises Refused: ``config.invalid``.
    """
    conf = cfg.CONF
    conf.reset()
    _register(conf, prog)
    if default_config_files is None:
        default_config_files = [DEFAULT_FILE] if DEFAULT_FILE.exists() else []
    try:
        _parse(conf, argv, prog, default_config_files)
        written = refusals.read_files(conf)
        refusals.check_names(conf, written)
        for name in conf.fleet.hosts:
            conf.register_opts(HOST_OPTS, HOST_PREFIX + name)
    except (cfg.Error, ValueError, OSError) as error:
        raise refusals.invalid(refusals.plain(error)) from error
    refusals.check_values(conf, written)
    rpc.rabbit_defaults(conf, conf.state_path, _process_name(conf, prog))
    conf.set_default("transport_url", INPROC)
    refusals.check_fleet(hosts(conf), conf, prog)
    return conf


def _parse(
    conf: cfg.ConfigOpts, argv: Sequence[str], prog: str, default_files: Sequence[str | Path]
) -> None:
    said = io.StringIO()
    try:
        # oslo.config and argparse print what is wrong and end the process.
        with contextlib.redirect_stderr(said):
            conf(
                list(argv),
                project="migrator",
                prog=prog,
                default_config_files=[str(path) for path in default_files],
                default_config_dirs=[],
                use_env=False,
            )
    except SystemExit as ended:
        if not ended.code:
            raise
        *_, sentence = said.getvalue().strip().split("error: ")
        raise refusals.invalid(sentence) from None


def add_file_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a program with sub-commands the options by which the others find their files."""
    parser.add_argument(
        "--config-file",
        action="append",
        default=[],
        metavar="PATH",
        help="configuration to read; may be repeated (default /etc/migrator/migrator.conf)",
    )
    parser.add_argument(
        "--config-dir",
        action="append",
        default=[],
        metavar="DIR",
        help="directory whose *.conf are read after that",
    )


def file_arguments(asked: argparse.Namespace) -> Sequence[str]:
    """What :func:`add_file_arguments` parsed, as :func:`load` takes it."""
    files = [part for path in asked.config_file for part in ("--config-file", path)]
    return files + [part for path in asked.config_dir for part in ("--config-dir", path)]


def hosts(conf: cfg.ConfigOpts) -> Mapping[str, HostAddresses]:
    """The fleet: every host's name and how it is reached, in the order of ``[fleet] hosts``."""
    return {name: _addresses(conf[HOST_PREFIX + name]) for name in conf.fleet.hosts}


def agent_host(conf: cfg.ConfigOpts) -> str:
    """The host this migrator-agent serves. :raises Refused: ``config.invalid`` for a stranger."""
    name = conf.host or _machine_name()
    if name not in conf.fleet.hosts:
        raise refusals.invalid(
            f"this agent would serve host {name!r}, which [fleet] hosts does not list: list it, or"
            " say which host with --host"
        )
    return str(name)


def api_settings(conf: cfg.ConfigOpts) -> ApiSettings:
    """What the API server of this process is configured with."""
    return ApiSettings(listen=conf.api.listen, threads=conf.api.threads)


def agent_settings(conf: cfg.ConfigOpts, host: str) -> AgentSettings:
    """What the agent of ``host``, one of the fleet, is configured with."""
    return AgentSettings(
        host=host,
        addresses=_addresses(conf[HOST_PREFIX + host]),
        encryption=conf.migration_encryption,
        heartbeat_s=conf.agent.heartbeat_s,
        limits=host_limits(conf[HOST_PREFIX + host]),
        version=version(),
    )


def conductor_name(conf: cfg.ConfigOpts) -> str:
    """This conductor's name among those that share a database."""
    asked = conf.name if "name" in conf else None
    return str(asked or conf.conductor.name or _machine_name())


def conductor_settings(conf: cfg.ConfigOpts) -> ConductorSettings:
    """What the conductor of this process is configured with."""
    ours = conf.conductor
    return ConductorSettings(
        name=conductor_name(conf),
        encryption=conf.migration_encryption,
        lease_s=ours.lease_s,
        host_down_s=ours.host_down_s,
        rescue_over_control=ours.rescue_over_control,
        cold_stop_s=ours.cold_stop_s,
        cold_confirm_s=ours.cold_confirm_s,
        max_migrations=ours.max_migrations,
        default_profile=ours.default_profile,
        max_outgoing=ours.max_outgoing,
        max_incoming=ours.max_incoming,
        link_mib_s=ours.link_bandwidth,
        links_mib_s=dict(ours.link_bandwidths),
        cpu_overcommit=ours.cpu_overcommit,
        memory_overcommit=ours.memory_overcommit,
        cell_strategy=ours.cell_strategy,
        reserved_memory_mib=ours.reserved_memory_mib,
        disk_overcommit=conf.storage.disk_overcommit,
        pool_classes=dict(conf.storage.pool_classes),
        delete_grace_s=conf.storage.delete_grace_s,
        synchronous_writes_mib_s=conf.storage.synchronous_writes_mib_s,
        hosts=hosts(conf),
    )


def _machine_name() -> str:
    name = socket.gethostname().lower()
    try:
        return addresses.host_name(name)
    except ValueError as error:
        raise refusals.invalid(f"the machine's own name: {error}; configure a name") from None


def _process_name(conf: cfg.ConfigOpts, prog: str) -> str:
    """Unique on this machine and the same after a restart: reply queues are named after it."""
    which = ""
    if prog == "migrator-agent":
        which = agent_host(conf)
    elif prog == "migrator-conductor":
        which = conductor_name(conf)
    elif prog == "migrator-api":
        which = conf.api.listen
    return rpc.process_name(prog, which)


def _addresses(group: Any) -> HostAddresses:
    migration = group.migration_address or group.control_address
    return HostAddresses(
        libvirt_uri=group.libvirt_uri,
        peer_uri=group.peer_uri,
        control_address=group.control_address,
        migration_address=migration,
        disk_address=group.disk_address or migration,
    )


def _register(conf: cfg.ConfigOpts, prog: str) -> None:
    for option in IDENTITY_OPTS.values():
        conf.unregister_opt(option)
    if prog in IDENTITY_OPTS:
        conf.register_cli_opt(IDENTITY_OPTS[prog])
    for group, options in GROUPS.items():
        conf.register_opts(options, group)
    log.register_options(conf)
