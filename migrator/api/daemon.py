"""migrator-api: the composition of one API server, and its process."""

from __future__ import annotations

from collections.abc import Sequence

from migrator import config, service
from migrator.api.server import ApiServer
from migrator.api.settings import ApiSettings
from migrator.conductor.rpcapi import ConductorClient
from migrator.rpc import Bus


def build(settings: ApiSettings, bus: Bus) -> ApiServer:
    """A server ready to start, in front of whichever conductor answers on the bus."""
    return ApiServer(settings, ConductorClient(bus))


def main() -> int:
    """The console script."""
    return service.entry(_run)


def _run(argv: Sequence[str]) -> int:
    conf = config.load(argv, "migrator-api")

    def start() -> Sequence[service.Stoppable]:
        server = build(config.api_settings(conf), Bus.open(conf, conf.transport_url))
        server.start()
        return [server]

    service.run("migrator-api", conf, start)
