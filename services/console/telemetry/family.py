"""Metric families from plain numbers, so that each metric is declared once, by name, help and labels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

Sample = tuple[tuple[str, ...], float]
"""Values of the labels, and the number."""


@dataclass(frozen=True)
class Family:
    """One metric."""

    name: str
    """By Prometheus's convention; a counter's ends with `_total`."""
    help: str
    """What it says."""
    labels: tuple[str, ...] = field(default=())
    """Names of its labels."""

    def of(self, samples: Iterable[Sample]) -> Metric:
        """The family with its samples."""
        kind = CounterMetricFamily if self.name.endswith("_total") else GaugeMetricFamily
        made = kind(self.name, self.help, labels=self.labels)
        for values, number in samples:
            made.add_metric(list(values), number)
        return made

    def at(self, number: float) -> Metric:
        """A family without labels."""
        return self.of([((), number)])
