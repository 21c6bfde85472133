import pytest

from tests.servers.topology import running

#: Hasty, so that what a fault interrupts goes on at once.
SETTINGS = {
    "TRAINYARD_LEASE_SECONDS": "10",
    "TRAINYARD_POLL_SECONDS": "0.5",
    "TRAINYARD_REAPER_SECONDS": "0.5",
    "TRAINYARD_RETRY_BACKOFF_SECONDS": "0.01",
    "TRAINYARD_MAX_ATTEMPTS": "20",
    "TRAINYARD_CHECKPOINT_EVERY_SECONDS": "0.4",
    "TRAINYARD_IDEMPOTENCY_RESERVE_SECONDS": "5",
    "TRAINYARD_SWEEP_SECONDS": "1",
    "TRAINYARD_ORPHAN_GRACE_SECONDS": "15",
}


@pytest.fixture(scope="session")
def yard():
    """One for all these tests, which therefore run in one process, by their group."""
    with running(gateways=2, workers=2, proxied=True, settings=SETTINGS) as topology:
        yield topology
