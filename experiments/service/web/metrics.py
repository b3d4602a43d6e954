"""Metrics: what Prometheus is told, from the store's counters and this process's own."""

import time
from collections import Counter
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from experiments.service.store.counters import SECONDS_BOUNDS, read_counters
from experiments.service.store.job import State
from experiments.service.web.service import Service

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_HTTP_BOUNDS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)
_WITH_LABELS = {
    "evaluations": (("method", "outcome"), "Finished evaluations."),
    "unstable_timings": ((), "Timings whose repeats did not agree."),
    "target_busy_seconds": (("target",), "Seconds that jobs took on a target."),
}


class Metrics:
    """Everything that `/metrics` shows."""

    def __init__(self, service: Service) -> None:
        """Use what a service counts."""
        self._service = service
        self._registry = CollectorRegistry()
        self.http_seconds = Histogram(
            "bitalloc_http_seconds",
            "Seconds from a request to the beginning of its answer.",
            ("method", "route", "status"),
            buckets=_HTTP_BOUNDS_S,
            registry=self._registry,
        )
        self._registry.register(self)

    def text(self) -> bytes:
        """Return everything as Prometheus reads it."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Yield what the store knows, as prometheus-client's registry asks for it."""
        counters = read_counters(self._service.database)
        for name, (labels, about) in _WITH_LABELS.items():
            family = CounterMetricFamily(f"bitalloc_{name}", about, labels=labels)
            for found, value in counters.get(name, []):
                family.add_metric([found[label] for label in labels], value)
            yield family
        yield _seconds(counters)
        yield from self._of_jobs()

    def _of_jobs(self) -> Iterator[Metric]:
        jobs = self._service.jobs.find(states=[state for state in State if not state.over])
        queued = Counter(job.target for job in jobs if job.state is not State.RUNNING)
        length = GaugeMetricFamily("bitalloc_queue_length", "Jobs that wait.", labels=["target"])
        busy = GaugeMetricFamily("bitalloc_target_busy", "1 while a job runs.", labels=["target"])
        running = {job.target for job in jobs if job.state is State.RUNNING}
        for target in sorted({*queued, *running}):
            length.add_metric([target], queued[target])
            busy.add_metric([target], float(target in running))
        yield length
        yield busy
        yield GaugeMetricFamily(
            "bitalloc_open_streams", "Open event streams.", self._service.streams.open
        )
        age_s = time.monotonic() - self._service.supervisor.last_look_s
        yield GaugeMetricFamily(
            "bitalloc_supervisor_age_seconds", "Since the supervisor looked last.", age_s
        )


def _seconds(counters: dict[str, list[tuple[dict[str, str], float]]]) -> Metric:
    found = {labels["le"]: value for labels, value in counters.get("evaluation_seconds_bucket", [])}
    bounds = [*map(str, SECONDS_BOUNDS), "+Inf"]
    ((_, total),) = counters.get("evaluation_seconds_sum", [({}, 0.0)])
    family = HistogramMetricFamily("bitalloc_evaluation_seconds", "Seconds of one evaluation.")
    family.add_metric([], [(bound, found.get(bound, 0.0)) for bound in bounds], total)
    return family
