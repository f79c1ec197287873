"""What an operator shows of its federations in /metrics."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client.metrics_core import Metric

from tcf.coordinator.dispatcher import Dispatcher
from tcf.coordinator.federation_tally import FederationTally
from tcf.core.model import Federation, Now, age_of
from tcf.runtime.clock import Clock
from tcf.web.metric_families import counters, gauge, gauges, histograms

_STATUSES = ("True", "False", "Unknown")
_OF = ("namespace", "federation")
_OF_MEMBER = (*_OF, "cluster")


def operator_metrics(dispatcher: Dispatcher, clock: Clock) -> Iterator[Metric]:
    """The metrics of the moment. The iterator may run in another thread."""
    now, known = clock.now(), dispatcher.federations()
    counted = [*_counted(known, now), _events(dispatcher), _peers(dispatcher)]
    federations = [federation for federation, _ in known]

    def all_of_them() -> Iterator[Metric]:
        yield from counted
        yield gauge("tcf_federations", "Federations that this operator looks after.", {}, len(federations))
        yield from _of_federations(federations)
        yield from _of_members(federations, now)

    return all_of_them()


def _counted(federations: Sequence[tuple[Federation, FederationTally]], now: Now) -> list[Metric]:
    """What was counted, copied."""
    known = [((each.namespace, each.name), tally) for each, tally in federations]
    return [
        counters(
            "tcf_switchovers",
            "Requests that have ended, by what has caused them and by their outcome.",
            (*_OF, "trigger", "outcome"),
            [((*of, *how), count) for of, tally in known for how, count in tally.ended.items()],
        ),
        histograms(
            "tcf_switchover_duration_seconds",
            "Time from the request until the new member was active, of requests that have succeeded.",
            (*_OF, "trigger"),
            [((*of, trigger), times) for of, tally in known for trigger, times in tally.durations.items()],
        ),
        counters(
            "tcf_without_active_seconds",
            "Time for which no member was active, whether by intention or not.",
            _OF,
            [(of, tally.without_active(now.boot)) for of, tally in known],
        ),
        counters(
            "tcf_decisions",
            "How often the operator has decided what to do for a federation, also if that was nothing.",
            _OF,
            [(of, tally.decisions) for of, tally in known],
        ),
        counters(
            "tcf_conflicts",
            "Writes that were refused because another program had changed the object first.",
            _OF,
            [(of, tally.conflicts) for of, tally in known],
        ),
    ]


def _events(dispatcher: Dispatcher) -> Metric:
    about = "Events that the watches have delivered."
    counted = [((resource,), count) for resource, count in dispatcher.events.items()]
    return counters("tcf_watch_events", about, ("resource",), counted)


def _peers(dispatcher: Dispatcher) -> Metric:
    about = "Other operators that look after the same namespace, as far as this one knows."
    known = [((namespace,), count) for namespace, count in dispatcher.roster.peers().items()]
    return gauges("tcf_peers", about, ("namespace",), known)


def _of_federations(federations: Sequence[Federation]) -> Iterator[Metric]:
    yield gauges(
        "tcf_federation_condition",
        "1 for the present status of each condition, 0 for the other statuses.",
        (*_OF, "type", "status"),
        (
            ((each.namespace, each.name, condition.type, status), condition.status == status)
            for each in federations
            if each.status
            for condition in each.status.conditions
            for status in _STATUSES
        ),
    )
    yield gauges(
        "tcf_paused",
        "1 if spec.paused is true, otherwise 0.",
        _OF,
        (((each.namespace, each.name), each.spec.paused) for each in federations),
    )


def _of_members(federations: Sequence[Federation], now: Now) -> Iterator[Metric]:
    rows = [
        ((each.namespace, each.name, row.id), row)
        for each in federations
        if each.status
        for row in each.status.clusters
    ]
    active = {(each.namespace, each.name, each.status.active_cluster) for each in federations if each.status}
    yield gauges(
        "tcf_federation_active",
        "1 for the member that is active, otherwise 0.",
        _OF_MEMBER,
        ((of, of in active) for of, _ in rows),
    )
    yield gauges(
        "tcf_member_workers",
        "Workers of a member that are live, and that are silent.",
        (*_OF_MEMBER, "state"),
        (
            ((*of, state), count)
            for of, row in rows
            for state, count in (("live", row.live_workers), ("silent", row.workers - row.live_workers))
        ),
    )
    yield gauges(
        "tcf_member_silent_seconds",
        "For how long a member has had no live worker; 0 if it has one.",
        _OF_MEMBER,
        ((of, age_of(row.silent_since or "", now.wall) or 0.0) for of, row in rows),
    )
