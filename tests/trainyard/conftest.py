import numpy as np
import pytest

from tests.trainyard.yards import UpCommand
from trainyard import session
from trainyard.http import Client


@pytest.fixture(scope="session")
def yard(tmp_path_factory):
    """One yard for all tests that only talk to it."""
    up = UpCommand(tmp_path_factory.mktemp("yard") / "data")
    assert up.url
    yield up
    up.end()


@pytest.fixture
def make_yard(tmp_path):
    """A yard of the test's own, which may be killed."""
    started = []

    def make(*arguments, folder="own"):
        started.append(UpCommand(tmp_path / folder, *arguments))
        return started[-1]

    yield make
    for up in started:
        up.end()


@pytest.fixture
def data_file(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 4)).astype(np.float32)
    path = tmp_path / "points.npz"
    np.savez(path, x=x, y=(x[:, :3].argmax(1)))
    return path


@pytest.fixture
def client(yard, monkeypatch):
    """The service that every model of a test is trained by."""
    with Client(yard.url) as client:
        monkeypatch.setitem(session._current, "client", client)
        yield client
