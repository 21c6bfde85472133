"""The numbers an operator watches, in Prometheus's form; each gateway has its own."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from core.counts import Counts

#: Askers that one look answered: by its sum and its count, how much is saved.
ASKERS = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500)


class Meters:
    """Counts what this gateway does, and writes it down beside what the database tells."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = self._counter("trainyard_requests", "Requests answered", "method", "route", "status")
        self.seconds = Histogram(
            "trainyard_request_seconds",
            "Time to answer, of requests that did not mean to wait",
            ["method", "route"],
            registry=self.registry,
        )
        self.looks = Histogram(
            "trainyard_look_askers",
            "Looks at watched jobs, by how many asked for each",
            buckets=ASKERS,
            registry=self.registry,
        )
        self.watchers = self._gauge("trainyard_watchers", "Event streams and long polls open here", "kind")
        self.jobs = self._gauge("trainyard_jobs", "Jobs that have not ended", "state")
        self.waiting = self._gauge("trainyard_queue_depth", "Jobs that wait for a worker", "kind")
        self.oldest = self._gauge("trainyard_queue_oldest_seconds", "Age of the job that waits longest", "kind")
        self.overdue = self._gauge("trainyard_leases_overdue", "Jobs whose worker has not renewed its lease in time")
        self.attempts = self._gauge(
            "trainyard_attempts_recent", "Attempts that ended in the last five minutes", "exit", "reason"
        )
        # A label set costs a lock and a tuple to find; of requests there are few kinds and many instances.
        self._known: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def _counter(self, name: str, help: str, *labels: str) -> Counter:
        return Counter(name, help, labels, registry=self.registry)

    def _gauge(self, name: str, help: str, *labels: str) -> Gauge:
        return Gauge(name, help, labels, registry=self.registry)

    def note(self, method: str, route: str, status: int, seconds: float | None) -> None:
        """Count one request; `None` seconds for one that meant to wait."""
        kind = (method, route, status)
        if kind not in self._known:
            self._known[kind] = self.requests.labels(method, route, str(status)), self.seconds.labels(method, route)
        requests, times = self._known[kind]
        requests.inc()
        if seconds is not None:
            times.observe(seconds)

    def looked(self, askers: int) -> None:
        """Count one look."""
        self.looks.observe(askers)

    def render(self, counts: Counts, watchers: Mapping[str, int]) -> tuple[bytes, str]:
        """Write everything down.

        Args:
            counts: How things stand in the database.
            watchers: Who waits here.
        """
        for kind, number in watchers.items():
            self.watchers.labels(kind).set(number)
        for state, number in counts.states.items():
            self.jobs.labels(state).set(number)
        for kind, queue in counts.queues.items():
            self.waiting.labels(kind).set(queue.depth)
            self.oldest.labels(kind).set(queue.oldest_seconds)
        self.overdue.set(counts.overdue)
        self.attempts.clear()
        for (exit, reason), number in counts.attempts.items():
            self.attempts.labels(exit, reason).set(number)
        return generate_latest(self.registry), CONTENT_TYPE_LATEST
