"""How fast the API answers under 100 requests a second: reads and refused writes."""

from __future__ import annotations

import itertools
import queue
import threading
import time

import httpx

from benchmarks.lab import Lab
from benchmarks.report import Row

PER_SECOND = 100
SECONDS = 20
CLIENTS = 8


def measure_api() -> list[Row]:
    """An open loop: requests are due at fixed times, lateness counts as latency."""
    with Lab(hosts=2) as lab:
        lab.guest("busy1", lab.hosts[0], "--memory", "128")
        requests = [
            ("GET", "/v1/hosts", None),
            ("GET", "/v1/instances", None),
            ("GET", "/v1/migrations", None),
            ("POST", "/v1/migrations", {"instance": "busy1", "host": lab.hosts[0].name}),
            ("POST", "/v1/migrations", {"instance": "nobody"}),
        ]
        latencies, wrong = load(lab.endpoint, requests)
    latencies.sort()
    p50 = latencies[len(latencies) // 2] * 1000
    p99 = latencies[int(len(latencies) * 0.99)] * 1000
    return [
        Row("API at 100 requests/s: p50", f"{p50:.1f} ms", "", None),
        Row("API at 100 requests/s: p99", f"{p99:.1f} ms", "<= 100 ms", p99 <= 100),
        Row("answers that were neither 2xx nor 4xx", str(wrong), "0", wrong == 0),
    ]


def load(endpoint: str, requests: list[tuple[str, str, object]]) -> tuple[list[float], int]:
    """(latencies in seconds, unexpected answers)."""
    due: queue.SimpleQueue[tuple[float, tuple[str, str, object]] | None] = queue.SimpleQueue()
    latencies: list[float] = []
    wrong = itertools.count()

    def work() -> None:
        transport = httpx.HTTPTransport(uds=endpoint.removeprefix("unix://"))
        with httpx.Client(transport=transport, base_url="http://migrator", timeout=30) as client:
            while (job := due.get()) is not None:
                at, (method, path, body) = job
                answer = client.request(method, path, json=body)
                latencies.append(time.monotonic() - at)
                if answer.status_code >= 500:
                    next(wrong)

    workers = [threading.Thread(target=work, daemon=True) for _ in range(CLIENTS)]
    for worker in workers:
        worker.start()
    started = time.monotonic()
    for number, request in zip(range(PER_SECOND * SECONDS), itertools.cycle(requests)):
        at = started + number / PER_SECOND
        time.sleep(max(at - time.monotonic(), 0))
        due.put((at, request))
    for _ in workers:
        due.put(None)
    for worker in workers:
        worker.join(60)
    return latencies, next(wrong)
