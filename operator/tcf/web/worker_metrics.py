"""What a worker shows of its member in /metrics."""

from __future__ import annotations

from prometheus_client.metrics_core import Metric

from tcf.core.holds import HoldState
from tcf.core.model import Application, Role
from tcf.core.reading import Reading
from tcf.web.event_stream import EventFeed
from tcf.web.metric_families import gauge, gauges
from tcf.worker.renewal import Worker


def worker_metrics(worker: Worker, feed: EventFeed) -> list[Metric]:
    """The metrics of the moment."""
    member = worker.knowledge.member
    labels = {"namespace": member.namespace, "federation": member.federation, "cluster": member.cluster}
    return [*_role(worker, labels), *_applications(worker, labels), *_streams(feed, labels)]


def _role(worker: Worker, labels: dict[str, str]) -> list[Metric]:
    knowledge = worker.knowledge
    now = knowledge.clock.now()
    known = knowledge.answer(now.boot)
    reading = known if isinstance(known, Reading) else None
    role = reading.role if reading else None
    found: list[Metric] = [
        gauge(
            "tcf_is_active",
            "1 if this worker answers /tcf/is_active with 200, otherwise 0.",
            labels,
            role is Role.ACTIVE,
        ),
        gauge(
            "tcf_role_known", "1 if this worker is certain of its role, otherwise 0.", labels, bool(reading)
        ),
        gauges(
            "tcf_role",
            "1 for the role of the member, 0 for all others. All are 0 while the role is not certain.",
            (*labels, "role"),
            (((*labels.values(), each), each is role) for each in Role),
        ),
    ]
    if reading:
        found += [
            gauge("tcf_term", "The term of the roles by which this worker answers.", labels, reading.term),
            gauge(
                "tcf_valid_for_seconds",
                "For how long this worker may go on answering without renewing.",
                labels,
                reading.valid_for(now.boot),
            ),
        ]
    if knowledge.renewed_at is not None:
        ago = now.boot - knowledge.renewed_at
        found.append(
            gauge(
                "tcf_hub_last_success_timestamp_seconds",
                "When this worker last began a renewal that succeeded (Unix time).",
                labels,
                now.wall.timestamp() - ago,
            )
        )
    return found


def _applications(worker: Worker, labels: dict[str, str]) -> list[Metric]:
    states = [row.state for row in worker.holders.rows()]
    found: list[Metric] = [
        gauges(
            "tcf_holds",
            "Holders of this worker, by state.",
            (*labels, "state"),
            (((*labels.values(), state), states.count(state)) for state in HoldState),
        )
    ]
    report = worker.knowledge.state.cover.holds.application(worker.knowledge.clock.boot())
    if report is not None:
        found.append(
            gauge(
                "tcf_application_healthy",
                "1 if the holders of this worker report a healthy application, 0 if an unhealthy one.",
                labels,
                report is Application.HEALTHY,
            )
        )
    return found


def _streams(feed: EventFeed, labels: dict[str, str]) -> list[Metric]:
    return [gauge("tcf_event_streams", "Open streams of /tcf/events.", labels, len(feed.listeners))]
