import shutil
import threading

import numpy as np
import pytest

from core import leases
from core.blobs import Blobs, dataset_key, weights_key
from core.database import make_engine, make_sessions
from core.datasets import Datasets
from core.formats import inspect
from core.ids import DEFAULT_PROJECT, new_id
from core.jobs import Jobs
from core.models import Weights
from core.settings import Settings
from core.tables import Dataset, Job, WeightsFile
from tests.worker.processes import calm, large, live, yard  # noqa: F401
from tests.worker.sessions import hurried, kept, make_session, send, told, when_idle  # noqa: F401
from tests.worker.small import SOFTMAX, arrays, training
from worker.attempt import Attempt, Tools
from worker.protocol import Assignment


@pytest.fixture
def settings(tmp_path, empty_database):
    folder = tmp_path / "yard"
    folder.mkdir()
    shutil.copy(empty_database, folder / "trainyard.db")
    return Settings(
        _env_file=None,
        data_dir=folder,
        lease_seconds=30,
        heartbeat_seconds=0.2,
        poll_seconds=0.1,
        reaper_seconds=0.1,
        retry_backoff_seconds=0.0,
    )


@pytest.fixture
def sessions(settings):
    engine = make_engine(settings.database_url)
    yield make_sessions(engine)
    engine.dispose()


@pytest.fixture
def blobs(settings):
    return Blobs(settings.storage_url)


@pytest.fixture
def read(sessions):
    """Look at a job, or at what hangs on it, as it now is."""

    def read(job_id, what="get", *arguments):
        with sessions.begin() as session:
            return getattr(Jobs(session, DEFAULT_PROJECT), what)(job_id, *arguments)

    return read


@pytest.fixture
def make_dataset(sessions, blobs, tmp_path):
    """Upload arrays as a dataset of the default project."""

    def make(**arrays):
        dataset_id = new_id("ds")
        path = tmp_path / f"{dataset_id}.npz"
        np.savez(path, **arrays)
        key = dataset_key(DEFAULT_PROJECT, dataset_id)
        size, sha256 = blobs.put_file(key, path)
        row = Dataset(id=dataset_id, project_id=DEFAULT_PROJECT, name="data", format="npz", state="ready")
        row.bytes, row.sha256, row.blob, row.arrays = size, sha256, key, inspect(path, "npz")
        with sessions.begin() as session:
            Datasets(session, DEFAULT_PROJECT).add(row)
        return dataset_id

    return make


@pytest.fixture
def make_weights(sessions, blobs):
    """Upload a file of weights to the default project."""

    def make(path, format="hdf5", kernels="tensorflow"):
        row = WeightsFile(id=new_id("wts"), project_id=DEFAULT_PROJECT, kernels=kernels, format=format)
        row.blob = weights_key(DEFAULT_PROJECT, row.id)
        row.bytes, row.sha256 = blobs.put_file(row.blob, path)
        with sessions.begin() as session:
            return Weights(session, DEFAULT_PROJECT).add(row).id

    return make


@pytest.fixture
def make_job(sessions):
    """Queue a job; without a definition, one that no runner has to read."""

    def make(definition=None, kind="training", seed=7):
        row = Job(id=new_id("job"), project_id=DEFAULT_PROJECT, kind=kind, labels={}, seed=seed)
        row.definition = definition or {"model": SOFTMAX}
        with sessions.begin() as session:
            return Jobs(session, DEFAULT_PROJECT).add(row).id

    return make


@pytest.fixture
def claim(sessions):
    def claim(worker="me", lease_seconds=30.0, kinds=("training",)):
        with sessions.begin() as session:
            return leases.claim(session, worker, lease_seconds, kinds)

    return claim


@pytest.fixture
def blob_of(blobs, read):
    """The bytes of an artifact."""
    return lambda job_id, name: blobs.read(read(job_id, "artifact", name).blob)


@pytest.fixture
def assign(claim, tmp_path):
    """Claim the oldest job, as a supervisor does, for an attempt in this process."""

    def assign(kind="training", wish=None):
        taken = claim(kinds=(kind,))
        return Assignment(
            job_id=taken.job_id,
            project_id=taken.project_id,
            kind=taken.kind,
            attempt=taken.attempt,
            worker="me",
            definition=taken.definition,
            seed=taken.seed,
            wish=wish or taken.wish,
            resume=taken.checkpoint is not None,
            folder=str(tmp_path / f"run-{taken.attempt}"),
        )

    return assign


@pytest.fixture
def tools(settings, sessions):
    return Tools(settings, sessions, "cpu")


class Watched(Attempt):
    """An attempt that does something after a given number of batches."""

    def at(self, number, act):
        self._left, self._act = number, act
        return self

    def batch(self):
        super().batch()
        self._left = getattr(self, "_left", 0) - 1
        if self._left == 0:
            self._next_report = 0.0
            self._act()


@pytest.fixture
def run(tools, assign):
    """Claim and run the oldest job here, doing something after some batches."""

    def run(after=0, act=None, kind="training", wish=None, stop=None):
        attempt = Watched(assign(kind, wish), tools, stop or threading.Event(), lambda *words: None)
        return attempt.at(after, act).run()

    return run


@pytest.fixture
def dataset(make_dataset):
    return make_dataset(**arrays())


@pytest.fixture
def undisturbed(run, make_job, dataset, blob_of):
    """The weights of `training(dataset)` when nothing happens to it."""
    job_id = make_job(training(dataset))
    run()
    return blob_of(job_id, "weights.h5")
