"""What is wrong with a configuration, found before anything starts and said in one sentence.

oslo.config reads options when they are asked for and ignores what nobody asks for, so that a
misspelt option silently keeps its default. Here all files are read whole.
"""

from __future__ import annotations

import difflib
import glob
import math
import os
import re
from collections.abc import Iterable, Mapping

from oslo_config import cfg

from migrator.api.settings import parse_listen
from migrator.config.host_limits import contradictions, host_limits
from migrator.config.options import (
    GROUPS,
    HOST_OPTS,
    HOST_PREFIX,
    INPROC,
    REQUIRED_OF_HOST,
    TRANSPORT_URL,
)
from migrator.errors import Refused
from migrator.model import HostAddresses

LIBRARY_SECTIONS = frozenset(
    {
        "oslo_concurrency",
        "oslo_messaging_metrics",
        "oslo_messaging_rabbit",
        "oslo_messaging_tracing",
    }
)
"""Sections of libraries a process of ours uses; their options are documented with them."""

BROKERS = frozenset({"inproc", "rabbit"})
"""Schemes of transport_url; oslo.messaging has more, which nothing of ours was ever tried on."""

DAEMONS = frozenset({"migrator-conductor", "migrator-agent", "migrator-api"})
NEEDS_LOCKS = DAEMONS | {"migrator-status"}

_OSLO_VALUE = re.compile(
    r"Value for option \S+ from LocationInfo\(.*?\bdetail='(?P<path>.*?)'\) is not valid: "
)

Written = Mapping[tuple[str, str, str], list[str]]
"""(file, section, option) -> its values, as written."""


def invalid(sentence: str) -> Refused:
    """The refusal of a configuration."""
    return Refused("config.invalid", sentence)


def plain(error: BaseException) -> str:
    """What a library says is wrong, as a person reads it."""
    if isinstance(error, UnicodeDecodeError):
        return f"a configuration file is not UTF-8 text: {error.reason} at byte {error.start}"
    return _OSLO_VALUE.sub(lambda found: f"{found['path']}: ", str(error).strip())


def read_files(conf: cfg.ConfigOpts) -> Written:
    """Everything that is written in the files in force. Sections in lower case, as they are matched."""
    written: dict[tuple[str, str, str], list[str]] = {}
    for path in _files(conf):
        sections: dict[str, dict[str, list[str]]] = {}
        cfg.ConfigParser(path, sections).parse()
        for section, options in sections.items():
            name = section if section == "DEFAULT" else section.lower()
            written.setdefault((path, name, ""), [])
            for option, values in options.items():
                written[(path, name, option.replace("-", "_"))] = values
    return written


def _files(conf: cfg.ConfigOpts) -> Iterable[str]:
    yield from conf.config_file or []
    for directory in conf.config_dir or []:
        yield from sorted(glob.glob(os.path.join(os.path.expanduser(directory), "*.conf")))


def check_names(conf: cfg.ConfigOpts, written: Written) -> None:
    """:raises Refused: for a section or an option of ours that does not exist, or one given twice."""
    listed = {HOST_PREFIX + name for name in conf.fleet.hosts}
    known = {group or "DEFAULT": {one.dest for one in opts} for group, opts in GROUPS.items()}
    known["DEFAULT"].add(TRANSPORT_URL.dest)
    known |= {group: {one.dest for one in HOST_OPTS} for group in listed}
    for (path, section, option), values in written.items():
        where = f"{path}: [{section}]"
        if section in LIBRARY_SECTIONS:
            continue
        if section.startswith(HOST_PREFIX) and section not in listed:
            name = section.removeprefix(HOST_PREFIX)
            raise invalid(f"{where} describes host {name!r}, which [fleet] hosts does not list")
        if section not in known:
            raise invalid(f"{where} is not a section{_meant(section, known)}")
        if len(values) > 1:
            raise invalid(f"{where} {option} is given {len(values)} times; keep one of them")
        if (
            option
            and option not in known[section]
            and not (section == "DEFAULT" and option in conf)
        ):
            raise invalid(f"{where} {option} is not an option{_meant(option, known[section])}")


def _meant(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]}?" if close else f"; there are {', '.join(sorted(known))}"


def check_values(conf: cfg.ConfigOpts, written: Written) -> None:
    """Read every option there is. :raises Refused: for the first whose value is not acceptable."""
    groups: dict[str | None, Iterable[cfg.Opt]] = dict(GROUPS)
    groups |= {HOST_PREFIX + name: HOST_OPTS for name in conf.fleet.hosts}
    for group, options in groups.items():
        for option in options:
            try:
                value = conf[group][option.name] if group else conf[option.name]
            except (cfg.Error, ValueError) as error:
                why = _OSLO_VALUE.sub("", str(error).strip()) + _dollar(written, option.dest)
                raise invalid(_where(written, group, option.dest) + why) from error
            if isinstance(value, float) and math.isnan(value):
                raise invalid(_where(written, group, option.dest) + "nan is no number of anything")
            if value is None and (group or "").startswith(HOST_PREFIX):
                _check_missing(f"[{group}]", option.dest)


def _where(written: Written, group: str | None, option: str) -> str:
    named = f"[{group or 'DEFAULT'}] {option}: "
    for path, section, name in written:
        if section == (group or "DEFAULT") and name == option:
            return f"{path}: {named}"
    return named


def _dollar(written: Written, option: str) -> str:
    """oslo.config takes what follows a ``$`` for an option's name, also in a password."""
    values = (value for (_, _, name), found in written.items() if name == option for value in found)
    return "; a '$' that is meant as such is written '$$'" if any("$" in v for v in values) else ""


def _check_missing(section: str, option: str) -> None:
    if option in REQUIRED_OF_HOST:
        raise invalid(f"{section} {option} is missing; every host of [fleet] hosts needs one")


def check_fleet(hosts: Mapping[str, HostAddresses], conf: cfg.ConfigOpts, prog: str) -> None:
    """:raises Refused: for options that are fine one by one and not together."""
    listed = list(conf.fleet.hosts)
    for name in listed:
        if listed.count(name) > 1:
            raise invalid(f"[fleet] hosts lists {name!r} {listed.count(name)} times")
    parse_listen(conf.api.listen)
    _check_limits(conf)
    _check_distinct("peer_uri", {name: host.peer_uri for name, host in hosts.items()})
    if conf.conductor.host_down_s < 2 * conf.agent.heartbeat_s:
        raise invalid(
            f"[conductor] host_down_s ({conf.conductor.host_down_s:g}) must be at least twice [agent]"
            f" heartbeat_s ({conf.agent.heartbeat_s:g}), or every late heartbeat looks like a dead host"
        )
    if not os.path.isabs(conf.state_path):
        raise invalid(f"state_path must be an absolute path, not {conf.state_path!r}")
    scheme = str(conf.transport_url).partition(":")[0]
    if scheme not in BROKERS:
        # Not the URL itself: it may hold a password.
        raise invalid(
            f"transport_url begins with {scheme[:20]!r}: write rabbit://USER:PASSWORD@HOST:5672/VHOST,"
            f" or {INPROC} for migrator-standalone"
        )
    inproc = scheme == "inproc"
    if inproc and prog in DAEMONS:
        raise invalid(
            f"transport_url is {INPROC}, which ends at the borders of a process: {prog} needs a message"
            " broker, or run migrator-standalone instead"
        )
    if not inproc and prog in NEEDS_LOCKS:
        _check_state_path(conf.state_path)
    if prog != "migrator-standalone":
        return
    _check_standalone(hosts, conf, inproc)


def _check_limits(conf: cfg.ConfigOpts) -> None:
    for name in conf.fleet.hosts:
        for sentence in contradictions(host_limits(conf[HOST_PREFIX + name])):
            raise invalid(f"[host:{name}] {sentence}")


def _check_state_path(path: str) -> None:
    if not (os.path.isdir(path) and os.access(path, os.W_OK | os.X_OK)):
        raise invalid(
            f"state_path {path} must be a directory this user may write to, for lock files: make it"
            f" (`mkdir -p {path}`), or name another one"
        )


def _check_standalone(
    hosts: Mapping[str, HostAddresses], conf: cfg.ConfigOpts, inproc: bool
) -> None:
    if not inproc:
        raise invalid(
            "migrator-standalone holds every part in one process and uses no broker: remove"
            " transport_url, or run migrator-conductor, migrator-agent and migrator-api"
        )
    if not hosts:
        raise invalid(
            "[fleet] hosts is empty: list the hosts, and describe each in a section [host:NAME]"
        )
    if not str(conf.database.connection).startswith("sqlite:"):
        raise invalid(
            "migrator-standalone keeps its database in an SQLite file: use sqlite:////PATH in"
            " [database] connection, or run migrator-conductor with PostgreSQL"
        )
    _check_distinct("libvirt_uri", {name: host.libvirt_uri for name, host in hosts.items()})


def _check_distinct(option: str, values: Mapping[str, str]) -> None:
    owner: dict[str, str] = {}
    for name, value in values.items():
        other = owner.setdefault(value, name)
        if other != name:
            raise invalid(
                f"[host:{name}] {option} is the same as [host:{other}]'s ({value}): two names for one"
                " libvirt would let a guest migrate to itself"
            )
