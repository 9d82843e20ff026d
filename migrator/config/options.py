"""Every option of ours: its type, its default and the sentence the sample file shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from oslo_config import cfg
from oslo_config import types as cfg_types

from migrator import addresses, cpu_lists
from migrator.api.settings import DEFAULT_LISTEN, ApiSettings
from migrator.conductor.settings import ConductorSettings
from migrator.config import host_limits
from migrator.model import PRESETS

INPROC = "inproc://"
HOST_PREFIX = "host:"


class _Checked(cfg_types.ConfigType):
    """A string that one of :mod:`migrator.addresses`' functions accepts."""

    def __init__(self, check: Callable[[str], str], type_name: str) -> None:
        super().__init__(type_name=type_name)
        self._check = check

    def __call__(self, value: Any) -> str:
        return self._check(str(value))

    def _formatter(self, value: Any) -> str:
        return str(value)

    def __repr__(self) -> str:
        return self.type_name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Checked) and self._check is other._check

    def __hash__(self) -> int:
        return hash(self._check)


_HOST_NAME = _Checked(addresses.host_name, "host name")
_ADDRESS = _Checked(addresses.address, "address")
_CPU_LIST = _Checked(cpu_lists.cpu_list, "CPU list")

TRANSPORT_URL = cfg.StrOpt(
    "transport_url",
    default=INPROC,
    secret=True,
    help="Where conductor, agents and API meet: rabbit://USER:PASSWORD@HOST:5672/VHOST, several hosts"
    " separated by commas. The default, inproc://, stays inside migrator-standalone.",
)
"""Registered by oslo.messaging; here for the sample file, in our words and with our default."""

DEFAULT_OPTS = [
    cfg.StrOpt(
        "state_path",
        default="/var/lib/migrator",
        help="Directory for lock files and, by default, the SQLite database. Must exist and belong"
        " to the user migrator runs as.",
    ),
    cfg.StrOpt(
        "migration_encryption",
        default="required",
        choices=[
            ("required", "control, memory and disks travel in TLS, or the migration is refused"),
            ("off", "for networks that nobody else can read or write"),
        ],
        help="Whether migrations are encrypted.",
    ),
]

IDENTITY_OPTS: Mapping[str, cfg.Opt] = {
    "migrator-agent": cfg.Opt(
        "host",
        type=_HOST_NAME,
        help="The host of [fleet] hosts this agent serves. Default: the machine's host name.",
    ),
    "migrator-conductor": cfg.Opt(
        "name",
        type=_HOST_NAME,
        help="This conductor's name. Default: [conductor] name, else the machine's host name.",
    ),
}
"""Program -> the option of its command line that says which of its kind it is."""

DATABASE_OPTS = [
    cfg.StrOpt(
        "connection",
        default="sqlite:////var/lib/migrator/migrator.sqlite",
        secret=True,
        help="sqlite:////PATH for migrator-standalone, postgresql+psycopg://USER:PASSWORD@HOST/NAME"
        " for anything with more than one process.",
    ),
]

API_OPTS = [
    cfg.StrOpt(
        "listen",
        default=DEFAULT_LISTEN,
        help="unix:///PATH, a socket only root can open, or http://LOOPBACK_ADDRESS:PORT.",
    ),
    cfg.IntOpt(
        "threads",
        default=ApiSettings.threads,
        min=2,
        max=256,
        help="Requests handled at a time; at most half of them are viewers of event streams.",
    ),
]

CONDUCTOR_OPTS = [
    cfg.Opt(
        "name",
        type=_HOST_NAME,
        sample_default="<the machine's host name>",
        help="Name of this conductor; unique among the conductors that share a database.",
    ),
    cfg.FloatOpt(
        "lease_s",
        default=ConductorSettings.lease_s,
        min=2.0,
        max=300.0,
        help="Seconds after which the migrations of a conductor that died are taken over.",
    ),
    cfg.BoolOpt(
        "rescue_over_control",
        default=ConductorSettings.rescue_over_control,
        help="Whether a post-copy that lost its link may go on over the control addresses, every other"
        " try, encrypted as migration_encryption says.",
    ),
    cfg.FloatOpt(
        "cold_stop_s",
        default=ConductorSettings.cold_stop_s,
        min=0.0,
        max=86400.0,
        help="Seconds a guest that is to move cold has to shut down by itself; then it is destroyed.",
    ),
    cfg.FloatOpt(
        "cold_confirm_s",
        default=ConductorSettings.cold_confirm_s,
        min=0.0,
        max=2592000.0,
        help="Seconds after a cold move in which its source keeps the guest and its volumes, so that"
        " `migrator migration revert` can bring it back; `migrator migration confirm` ends them early."
        " 0: nothing is kept.",
    ),
    cfg.IntOpt(
        "max_migrations",
        default=ConductorSettings.max_migrations,
        min=1,
        max=100000,
        help="Migrations under way in the whole fleet; more wait in the queue.",
    ),
    cfg.StrOpt(
        "default_profile",
        default=ConductorSettings.default_profile,
        choices=[each.name for each in PRESETS],
        help="What instances tolerate while they move that have no profile of their own.",
    ),
    cfg.IntOpt(
        "max_outgoing",
        default=ConductorSettings.max_outgoing,
        min=1,
        max=1000,
        help="Migrations leaving one host at a time; they share its link.",
    ),
    cfg.IntOpt(
        "max_incoming",
        default=ConductorSettings.max_incoming,
        min=1,
        max=1000,
        help="Migrations arriving at one host at a time; they share its link.",
    ),
    cfg.IntOpt(
        "link_bandwidth",
        min=1,
        max=1 << 20,
        help="MiB/s of each host's link to the migration network. Migrations wait while the bandwidths"
        " planned for a link exceed it; one without a bandwidth of its own plans for all of it."
        " Default: links are not counted.",
    ),
    cfg.Opt(
        "link_bandwidths",
        type=cfg_types.Dict(cfg_types.Integer(min=1, max=1 << 20)),
        default={},
        help="HOST:MIB_S, comma-separated: the hosts whose link differs from link_bandwidth.",
    ),
    cfg.FloatOpt(
        "host_down_s",
        default=ConductorSettings.host_down_s,
        min=2.0,
        max=3600.0,
        help="Seconds of silence after which an agent counts as down; at least two heartbeats.",
    ),
    cfg.FloatOpt(
        "cpu_overcommit",
        default=ConductorSettings.cpu_overcommit,
        min=0.1,
        max=1000.0,
        help="vCPUs a host may promise for each CPU it has.",
    ),
    cfg.FloatOpt(
        "memory_overcommit",
        default=ConductorSettings.memory_overcommit,
        min=0.1,
        max=100.0,
        help="Bytes of guest memory a host may promise for each byte it has.",
    ),
    cfg.StrOpt(
        "cell_strategy",
        default=ConductorSettings.cell_strategy,
        choices=[
            ("spread", "the NUMA cell of a host that has most left is filled first"),
            ("pack", "the one that has least left, which keeps whole cells free for large guests"),
        ],
        help="Which NUMA cell of a host a guest gets.",
    ),
    cfg.IntOpt(
        "reserved_memory_mib",
        default=ConductorSettings.reserved_memory_mib,
        min=0,
        max=1 << 30,
        help="MiB of every host's memory kept for the host itself.",
    ),
]

AGENT_OPTS = [
    cfg.FloatOpt(
        "heartbeat_s",
        default=5.0,
        min=0.5,
        max=300.0,
        help="Seconds between two reports of an agent.",
    ),
]

FLEET_OPTS = [
    cfg.Opt(
        "hosts",
        type=cfg_types.List(item_type=_HOST_NAME),
        default=[],
        help="Every host of the fleet, by name; each has a section [host:NAME] below.",
    ),
]

HOST_OPTS = [
    cfg.Opt(
        "libvirt_uri",
        type=_Checked(addresses.libvirt_uri, "libvirt URI"),
        help="How the host's agent reaches its libvirt: qemu:///system next to it, a remote URI for"
        " migrator-standalone.",
    ),
    cfg.Opt(
        "peer_uri",
        type=_Checked(addresses.peer_uri, "libvirt URI"),
        help="How the other hosts' libvirt daemons reach this one, with their own certificates or keys.",
    ),
    cfg.Opt("control_address", type=_ADDRESS, help="Address of the host for control traffic."),
    cfg.Opt(
        "migration_address",
        type=_ADDRESS,
        sample_default="<control_address>",
        help="Address QEMU listens on for an arriving guest's memory.",
    ),
    cfg.Opt(
        "disk_address",
        type=_ADDRESS,
        sample_default="<migration_address>",
        help="Address QEMU listens on for an arriving guest's disks.",
    ),
    cfg.Opt(
        "reserved_cpus",
        type=_CPU_LIST,
        help="CPUs that no guest is placed on, for example 0,64.",
    ),
    cfg.Opt(
        "dedicated_cpus",
        type=_CPU_LIST,
        sample_default="<every CPU, or those that are not shared>",
        help="CPUs that may become one vCPU's own, for example 4-31,68-95.",
    ),
    cfg.Opt(
        "shared_cpus",
        type=_CPU_LIST,
        sample_default="<every CPU, or those that are not dedicated>",
        help="CPUs that all other vCPUs run on.",
    ),
    cfg.IntOpt(
        "reserved_memory_mib",
        min=0,
        max=1 << 30,
        sample_default="<[conductor] reserved_memory_mib>",
        help="MiB of its memory kept for the host itself, taken evenly from its NUMA cells.",
    ),
    cfg.Opt(
        "reserved_pages",
        type=cfg_types.List(item_type=_Checked(host_limits.reserved_pages, "CELL:SIZE:PAGES")),
        default=[],
        help="Huge pages that no guest gets, for example 0:2M:64,1:1G:2.",
    ),
    cfg.FloatOpt(
        "cpu_overcommit",
        min=0.1,
        max=1000.0,
        sample_default="<[conductor] cpu_overcommit>",
        help="vCPUs it may promise for each CPU that is shared.",
    ),
    cfg.FloatOpt(
        "memory_overcommit",
        min=0.1,
        max=100.0,
        sample_default="<[conductor] memory_overcommit>",
        help="Bytes of guest memory it may promise for each byte of ordinary memory.",
    ),
    cfg.Opt(
        "passthrough",
        type=cfg_types.List(item_type=_Checked(host_limits.device_pattern, "PCI devices")),
        default=[],
        sample_default="<virtual functions, mediated devices, and what is bound to vfio-pci>",
        help="PCI devices that may be given to guests: VENDOR:PRODUCT or ADDRESS, where * is anything,"
        " and =NETWORK for the physical network they are plugged into; for example"
        " 8086:154c=red,0000:3b:*. A mediated device is given with the address of its parent.",
    ),
]

STORAGE_OPTS = [
    cfg.FloatOpt(
        "disk_overcommit",
        default=ConductorSettings.disk_overcommit,
        min=0.1,
        max=1000.0,
        help="Bytes of disks a storage pool may promise for each byte it has free. Above 1, a copied"
        " disk counts with what its guest has written, not with all it may ever write.",
    ),
    cfg.DictOpt(
        "pool_classes",
        default={},
        sample_default="<none>",
        help="Class of each storage pool, as pool:class pairs separated by commas. Where a destination"
        " has no pool of the source's name, one of the same class takes the copied disks.",
    ),
    cfg.FloatOpt(
        "delete_grace_s",
        default=ConductorSettings.delete_grace_s,
        min=0.0,
        max=604800.0,
        help="Seconds between a guest's switch and the deletion of the volumes whose content was copied"
        " away with it; the migration is completed after that.",
    ),
    cfg.FloatOpt(
        "synchronous_writes_mib_s",
        default=ConductorSettings.synchronous_writes_mib_s,
        min=0.0,
        max=1048576.0,
        help="MiB/s; a copied disk that its guest writes to faster than this is mirrored synchronously,"
        " so that the copy converges.",
    ),
]

REQUIRED_OF_HOST = ("libvirt_uri", "peer_uri", "control_address")

GROUPS: Mapping[str | None, Sequence[cfg.Opt]] = {
    None: DEFAULT_OPTS,
    "database": DATABASE_OPTS,
    "api": API_OPTS,
    "conductor": CONDUCTOR_OPTS,
    "agent": AGENT_OPTS,
    "fleet": FLEET_OPTS,
    "storage": STORAGE_OPTS,
}


def list_opts() -> list[tuple[str | None, list[cfg.Opt]]]:
    """Every option of ours, for oslo-config-generator."""
    ours = [(group, list(options)) for group, options in GROUPS.items()]
    ours[0][1].insert(0, TRANSPORT_URL)
    return [*ours, (HOST_PREFIX + "name", list(HOST_OPTS))]
