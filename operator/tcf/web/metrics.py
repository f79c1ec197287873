"""`GET /metrics`, in the text format of Prometheus or, if the client asks for that, of OpenMetrics.

Most metrics show what is known at the moment of the scrape, so no series is left of what has gone.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from aiohttp import web
from prometheus_client import ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from tcf.core.model import PROTOCOL
from tcf.runtime.release import VERSION
from tcf.runtime.tallies import HUB_TALLY
from tcf.web.envelope import answer
from tcf.web.metric_families import counters, gauge, histograms
from tcf.web.server import HttpServer

if TYPE_CHECKING:
    from tcf.web.server_certificate import ServerCertificate

Source = Callable[[], Iterable[Metric]]
"""Returns metrics. If it returns an iterator, that runs in another thread, so it rests on copies only."""


class Metrics:
    """The metrics of a process. Each part of it adds a source before the first request."""

    def __init__(self) -> None:
        self._sources: list[Source] = [_of_process, self._of_servers]
        self._servers: list[HttpServer] = []

    def add(self, source: Source) -> None:
        self._sources.append(source)

    def count(self, server: HttpServer) -> HttpServer:
        """Show the requests to a listener, too. Returns it."""
        self._servers.append(server)
        return server

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer with all metrics."""
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        parts = [source() for source in self._sources]
        found = _Found(parts)
        # An operator may have thousands of series, and must not stand still while they are written.
        later = any(isinstance(part, Iterator) for part in parts)
        body = await asyncio.to_thread(encode, found) if later else encode(found)
        return answer(200, body, content_type)

    def _of_servers(self) -> list[Metric]:
        answered: Counter[tuple[str, str, int]] = Counter()
        for server in self._servers:
            answered += server.answered
        return [
            counters(
                "tcf_http_requests",
                "Requests of clients that were answered.",
                ("path", "method", "code"),
                (((path, method, str(code)), count) for (path, method, code), count in answered.items()),
            ),
            gauge(
                "tcf_http_connections",
                "Open connections of clients.",
                {},
                sum(server.connections for server in self._servers),
            ),
        ]


class _Found(Collector):
    def __init__(self, parts: Iterable[Iterable[Metric]]) -> None:
        self._parts = parts

    def collect(self) -> Iterator[Metric]:
        """All metrics. Those of one name belong together, even if several members have them."""
        merged: dict[str, Metric] = {}
        for part in self._parts:
            for metric in part:
                known = merged.setdefault(metric.name, metric)
                if known is not metric:
                    known.samples += metric.samples
        yield from merged.values()


_PROCESS = ProcessCollector(registry=None)


def _of_process() -> list[Metric]:
    build = {"version": VERSION, "protocol": str(PROTOCOL)}
    return [
        gauge("tcf_build_info", "The version of the program.", build, 1),
        *_PROCESS.collect(),
        counters(
            "tcf_hub_requests",
            "Requests to the Kubernetes API, by the HTTP status of the answer (empty without an answer).",
            ("verb", "resource", "code"),
            HUB_TALLY.requests.items(),
        ),
        histograms(
            "tcf_hub_request_duration_seconds",
            "Time until the Kubernetes API began to answer.",
            ("verb", "resource"),
            HUB_TALLY.seconds.items(),
        ),
    ]


def certificate_metrics(certificate: ServerCertificate) -> list[Metric]:
    """When the certificate of this process expires."""
    expires = certificate.expires
    if expires is None:
        return []
    about = "When the certificate of this process expires (Unix time)."
    return [gauge("tcf_certificate_expiry_timestamp_seconds", about, {}, expires.timestamp())]
