"""What a worker tells Prometheus, on a port of its own."""

from prometheus_client import Counter, Histogram, start_http_server

from core.settings import Settings

CLAIMS = Counter("trainyard_worker_claims", "Jobs this worker has claimed.", ["kind"])
ATTEMPTS = Counter("trainyard_worker_attempts", "Attempts that have ended here, by how.", ["outcome"])
EXPIRIES = Counter("trainyard_worker_lease_expiries", "Leases that were found to be over, and taken.")
REFUSED = Counter("trainyard_worker_refused_writes", "Attempts that were refused a write, having lost their lease.")
EPOCH_SECONDS = Histogram(
    "trainyard_worker_epoch_seconds",
    "How long epochs take, validation included.",
    buckets=(0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0, 3_000.0),
)


def serve(settings: Settings) -> None:
    """Serve them, if the operator has named a port."""
    if settings.worker_metrics_port is not None:
        start_http_server(settings.worker_metrics_port, addr=settings.host)
