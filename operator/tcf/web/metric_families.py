"""Makes the metrics of one name from what is known or was counted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from tcf.runtime.tallies import Histogram

Labels = Mapping[str, str]
Values = Iterable[tuple[Sequence[str], float]]
"""The values of labels, and the value of the metric with these."""


def gauge(name: str, about: str, labels: Labels, value: float) -> GaugeMetricFamily:
    """One value with these labels."""
    return gauges(name, about, tuple(labels), [(tuple(labels.values()), value)])


def gauges(name: str, about: str, labels: Sequence[str], values: Values) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, about, labels=labels)
    for each, value in values:
        family.add_metric(each, value)
    return family


def counters(name: str, about: str, labels: Sequence[str], values: Values) -> CounterMetricFamily:
    """`name`: without the `_total` at its end."""
    family = CounterMetricFamily(name, about, labels=labels)
    for each, value in values:
        family.add_metric(each, value)
    return family


def histograms(
    name: str, about: str, labels: Sequence[str], values: Iterable[tuple[Sequence[str], Histogram]]
) -> HistogramMetricFamily:
    family = HistogramMetricFamily(name, about, labels=labels)
    for each, times in values:
        so_far, buckets = 0, []
        for bound, count in zip((*times.bounds, "+Inf"), times.counts, strict=True):
            so_far += count
            buckets.append((str(bound), so_far))
        family.add_metric(each, buckets, times.total)
    return family
