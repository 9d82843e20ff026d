"""What an operator's monitoring reads at ``/metrics``."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter as Tally
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import prometheus_client
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from migrator.api.asks import MAX_LISTED
from migrator.errors import MigratorError
from migrator.messages import Counted, DistributionView, Empty, ListMigrations
from migrator.states import TERMINAL, MigrationState

if TYPE_CHECKING:
    from migrator.conductor.rpcapi import ConductorApi

CONTENT_TYPE = prometheus_client.CONTENT_TYPE_LATEST

FRESH_S = 5.0
"""However many scrape, the conductor is asked once in this time."""

_BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds. Reads take milliseconds, a verdict on a migration up to 30 s."""


class Metrics:
    """The metrics of one API server, in a registry of its own."""

    def __init__(self, conductor: ConductorApi, viewers: Callable[[], int]) -> None:
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = prometheus_client.CollectorRegistry()
        self.requests = prometheus_client.Counter(
            "migrator_api_requests",
            "Requests answered",
            ["method", "route", "status"],
            registry=self._registry,
        )
        self.seconds = prometheus_client.Histogram(
            "migrator_api_request_seconds",
            "Time until the answer was ready",
            ["method", "route"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        gauge = prometheus_client.Gauge(
            "migrator_api_viewers", "Viewers of events now", registry=self._registry
        )
        gauge.set_function(viewers)
        self._registry.register(_ConductorCollector(conductor))
        prometheus_client.ProcessCollector(registry=self._registry)

    def render(self) -> bytes:
        """The text exposition format."""
        return prometheus_client.generate_latest(self._registry)


class _ConductorCollector(Collector):
    """What the conductor knows, asked when somebody scrapes."""

    def __init__(self, conductor: ConductorApi) -> None:
        self._conductor = conductor
        self._lock = threading.Lock()
        self._asked_at = -FRESH_S
        self._families: list[Metric] = []

    def collect(self) -> Iterator[Metric]:
        with self._lock:
            now = time.monotonic()
            if now - self._asked_at >= FRESH_S:
                self._families = self._ask()
                self._asked_at = now
            families = self._families
        yield from families

    def _ask(self) -> list[Metric]:
        up = GaugeMetricFamily("migrator_conductor_up", "Whether a conductor answers")
        try:
            counted = self._conductor.count(Empty())
            health = self._conductor.health(Empty())
            active = self._conductor.list(ListMigrations(active=True, limit=MAX_LISTED)).migrations
            attention = self._conductor.list(
                ListMigrations(needs_attention=True, limit=MAX_LISTED)
            ).migrations
        except MigratorError:
            up.add_metric([], 0)
            return [up]
        up.add_metric([], 1)
        states = GaugeMetricFamily(
            "migrator_migrations_active", "Migrations that have not ended", labels=["state"]
        )
        tally = Tally(view.state for view in active)
        for state in MigrationState:
            if state not in TERMINAL:
                states.add_metric([state], tally[state])
        waiting = GaugeMetricFamily(
            "migrator_migrations_needing_attention", "Migrations a person should look at"
        )
        waiting.add_metric([], len(attention))
        hosts = GaugeMetricFamily(
            "migrator_hosts", "Hosts, by whether they are alive", labels=["alive"]
        )
        hosts.add_metric(["true"], health.hosts_alive)
        hosts.add_metric(["false"], health.hosts - health.hosts_alive)
        return [up, states, waiting, hosts, *_counted(counted)]


def _counted(counted: Counted) -> Iterator[Metric]:
    """Over every migration that has ended."""
    yield _by("migrator_migrations_ended", "Migrations that have ended", "state", counted.ended)
    yield _by("migrator_migrations_failed", "Migrations not completed", "code", counted.failed)
    yield CounterMetricFamily(
        "migrator_attempts", "Destinations claimed for migrations", value=counted.attempts
    )
    yield CounterMetricFamily(
        "migrator_todo_retries", "Tries of to-dos that were in vain", value=counted.todo_retries
    )
    phases = HistogramMetricFamily(
        "migrator_phase_seconds", "How long migrations took, by phase", labels=["phase"]
    )
    for phase, distribution in sorted(counted.phase_seconds.items()):
        phases.add_metric([phase], _buckets(distribution), distribution.sum)
    yield phases
    downtime = HistogramMetricFamily(
        "migrator_downtime_seconds", "How long guests stood still, by libvirt's account"
    )
    downtime.add_metric([], _buckets(counted.downtime_seconds), counted.downtime_seconds.sum)
    yield downtime


def _by(name: str, text: str, label: str, values: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(name, text, labels=[label])
    for key, value in sorted(values.items()):
        family.add_metric([key], value)
    return family


def _buckets(distribution: DistributionView) -> list[tuple[str, float]]:
    """Prometheus counts upwards."""
    bounds = [*map(str, distribution.bounds), "+Inf"]
    return list(zip(bounds, itertools.accumulate(distribution.counts), strict=True))
