"""What has to happen before anything of nova is used."""

from __future__ import annotations

from functools import cache

from oslo_service import backend


@cache
def start() -> None:
    """Threads, chosen once before anything of nova is imported: it would take eventlet. No
    configuration but nova's defaults."""
    backend.init_backend(backend.BackendType.THREADING)
    import nova.conf
    from nova import config

    config.parse_args([], default_config_files=[])
    # Answers of a host that has not reported would be quicker.
    nova.conf.CONF.set_override("service_down_time", 10**9)
