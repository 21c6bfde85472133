"""Jobs written into MLflow, whose client is stood in for by one that writes down what it is told."""

import json
import math
import sys
from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

import trainyard.mlflow
from tests.trainyard.small import X, Y, make
from trainyard.callbacks import Callback
from trainyard.errors import Detached, JobCancelled, JobFailed, Missing, TrainyardError
from trainyard.history import History
from trainyard.optimizers import SGD


@dataclass(frozen=True)
class Metric:
    key: str
    value: float
    timestamp: int
    step: int


@dataclass(frozen=True)
class Param:
    key: str
    value: str


class Tracking:
    """As much of `mlflow.MlflowClient` as is called, with its names of arguments and its bounds."""

    def __init__(self, tracking_uri=None):
        self.store = STORES[tracking_uri]

    def get_experiment_by_name(self, name):
        return self.store.experiments.get(name)

    def create_experiment(self, name):
        assert name not in self.store.experiments
        self.store.experiments[name] = SimpleNamespace(experiment_id=f"e{len(self.store.experiments)}")
        return self.store.experiments[name].experiment_id

    def create_run(self, experiment_id, start_time=None, tags=None, run_name=None):
        run = SimpleNamespace(experiment=experiment_id, start=start_time, tags=tags, name=run_name, params={})
        run.metrics, run.status, run.files = defaultdict(list), "RUNNING", {}
        run_id = f"r{len(self.store.runs)}"
        self.store.runs[run_id] = run
        return SimpleNamespace(info=SimpleNamespace(run_id=run_id))

    def log_batch(self, run_id, metrics=(), params=(), tags=()):
        assert len(metrics) <= 1000
        assert len(params) <= 100
        run = self.store.runs[run_id]
        assert run.status == "RUNNING"
        for each in params:
            assert isinstance(each.value, str)
            assert len(each.value) <= 500
            run.params[each.key] = each.value
        for each in metrics:
            assert isinstance(each.value, float)
            run.metrics[each.key].append((each.step, each.value, each.timestamp))

    def set_tag(self, run_id, key, value):
        self.store.runs[run_id].tags[key] = value

    def log_artifact(self, run_id, local_path, artifact_path=None):
        assert self.store.runs[run_id].status == "RUNNING"
        path = Path(local_path)
        self.store.runs[run_id].files[path.name] = path.read_bytes()

    def set_terminated(self, run_id, status=None, end_time=None):
        self.store.runs[run_id].status, self.store.runs[run_id].end = status, end_time


STORES = defaultdict(lambda: SimpleNamespace(experiments={}, runs={}))


@pytest.fixture
def store(monkeypatch):
    STORES.clear()
    module, entities = ModuleType("mlflow"), ModuleType("mlflow.entities")
    module.MlflowClient, entities.Metric, entities.Param = Tracking, Metric, Param
    monkeypatch.setitem(sys.modules, "mlflow", module)
    monkeypatch.setitem(sys.modules, "mlflow.entities", entities)
    return STORES["file:here"]


def test_a_fit_becomes_a_run_with_its_parameters_and_every_number(client, store):
    model = make(optimizer=SGD(lr=0.1))
    history = model.fit(X, Y, 16, 3, 0, validation_split=0.25, name="mine", labels={"team": "a"})

    run_id = trainyard.mlflow.log(history, "file:here", "trials")

    run = store.runs[run_id]
    assert (run.name, run.status) == ("mine", "FINISHED")
    assert run.experiment == store.experiments["trials"].experiment_id
    assert run.tags == {"trainyard.job": history.job, "team": "a"}
    assert run.params["optimizer"] == "SGD"
    assert {key: float(run.params[key]) for key in ("optimizer.lr", "batch_size", "seed", "validation_split")} == {
        "optimizer.lr": 0.1, "batch_size": 16, "seed": 7, "validation_split": 0.25,
    }  # fmt: skip
    assert {name: [value for _, value, _ in each] for name, each in run.metrics.items()} == history.history
    assert [epoch for epoch, _, _ in run.metrics["val_loss"]] == [0, 1, 2]
    assert run.start <= run.end == run.metrics["loss"][0][2]
    assert set(run.files) == {"model.json", "weights.h5", "receipt.json"}
    assert json.loads(run.files["receipt.json"])["job"] == history.job


def test_a_long_fit_is_written_in_several_parts_and_into_the_experiment_that_is_there(client, store):
    history = make().fit(X, Y, 64, 600, 0)
    for job in (history, history.job):
        run = store.runs[trainyard.mlflow.log(job, "file:here")]
        assert [value for _, value, _ in run.metrics["loss"]] == history.history["loss"]
    assert len(store.experiments) == 1
    assert len(store.runs) == 2


def test_an_evaluation_and_a_failure_are_told_as_such(client, store):
    model = make()
    history = model.fit(X, Y, 16, 2, 0)
    definition = client.jobs.get(history.job)["definition"]
    both = {key: definition[key] for key in ("model", "compile", "fit")}
    judged = client.jobs.create(both | {"evaluate": {key: definition["fit"][key] for key in ("x", "y")}})
    list(client.watch(judged["id"]))
    metrics = store.runs[trainyard.mlflow.log(judged["id"], "file:here")].metrics
    assert [each[:2] for each in metrics["evaluation_loss"]] == [
        (1, client.jobs.get(judged["id"])["evaluation"]["loss"])
    ]

    with pytest.raises(JobFailed) as failure:
        make().fit(np.full_like(X, math.inf), Y, nb_epoch=1, verbose=0)
    assert store.runs[trainyard.mlflow.log(failure.value.job["id"], "file:here")].status == "FAILED"


def test_a_training_is_written_while_it_goes_on(client, store):
    seen = []

    class Peeking(Callback):
        def on_epoch_end(self, epoch, logs=None):
            (run,) = store.runs.values()
            seen.append((run.status, len(run.metrics["loss"]), run.tags["trainyard.job"], run.params["batch_size"]))

    logger = trainyard.mlflow.Logger("file:here", "trials", "mine", {"team": "a"}, ["history.json"])
    model = make()
    history = model.fit(X, Y, 16, 3, 0, validation_split=0.25, callbacks=[logger, Peeking()])

    run = store.runs[logger.run_id]
    assert seen == [("RUNNING", number, history.job, "16") for number in (1, 2, 3)]
    assert (run.name, run.status, set(run.files)) == ("mine", "FINISHED", {"history.json"})
    assert run.tags == {"team": "a", "trainyard.job": history.job}
    assert {name: [value for _, value, _ in each] for name, each in run.metrics.items()} == history.history
    whole = store.runs[trainyard.mlflow.log(history, "file:here", artifacts=None)]
    assert whole.params == run.params
    assert set(whole.files) == {each["name"] for each in client.jobs.artifacts(history.job)["items"]}


def test_a_training_on_batches_drawn_here_is_written_while_it_goes_on(client, store):
    logger, model, jobs = trainyard.mlflow.Logger("file:here", artifacts=()), make(), []

    class Peeking(Callback):
        def on_epoch_end(self, epoch, logs=None):
            (run,) = store.runs.values()
            jobs.append(run.tags["trainyard.job"])

    history = model.fit_generator(iter([(X[:32], Y[:32])] * 4), 64, 2, 0, callbacks=[logger, Peeking()])
    run = store.runs[logger.run_id]
    assert jobs == [history.job] * 2
    assert (run.name, run.status, run.tags["trainyard.job"]) == (model.name, "FINISHED", history.job)
    assert [epoch for epoch, _, _ in run.metrics["loss"]] == [0, 1]
    assert run.files == {}
    assert run.params["optimizer"] == "Adam"


@pytest.mark.parametrize(
    ("error", "status"), [(JobFailed, "FAILED"), (JobCancelled, "KILLED"), (Detached, "RUNNING"), (OSError, "FAILED")]
)
def test_a_run_ends_as_its_training_does(client, store, error, status):
    class Breaking(Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise Detached(self.job) if error is Detached else error({"id": self.job, "state": "failed"})

    logger = trainyard.mlflow.Logger("file:here")
    with pytest.raises(error):
        make().fit(X, Y, nb_epoch=1, verbose=0, callbacks=[logger, Breaking()])
    assert store.runs[logger.run_id].status == status


def test_a_run_has_failed_when_the_generator_has(client, store):
    logger = trainyard.mlflow.Logger("file:here")
    with pytest.raises(TrainyardError, match="ended after 32 of 64"), closing(make()) as model:
        model.fit_generator(iter([(X[:32], Y[:32])]), 64, 1, 0, callbacks=[logger])
    assert store.runs[logger.run_id].status == "FAILED"


def test_a_logger_without_a_run_has_no_id(store):
    with pytest.raises(TrainyardError, match="among `callbacks`"):
        trainyard.mlflow.Logger().run_id  # noqa: B018


def test_what_has_not_ended_or_is_no_job_is_refused(client, store, monkeypatch):
    history = make().fit(X, Y, nb_epoch=1, verbose=0)
    running = client.jobs.get(history.job) | {"state": "running", "finished_at": None}
    monkeypatch.setattr(type(client.jobs), "get", lambda self, job_id: running)
    with pytest.raises(TrainyardError, match="is running; it can be logged once it has ended"):
        trainyard.mlflow.log(history.job, "file:here")
    with pytest.raises(TrainyardError, match="has no job"):
        trainyard.mlflow.log(History(), "file:here")
    assert not store.runs


def test_without_mlflow_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(Missing, match=r"needs mlflow.*pip install '\.\[mlflow\]'"):
        trainyard.mlflow.log("job_1")
    with pytest.raises(Missing, match="needs mlflow"):
        make().fit(X, Y, callbacks=[trainyard.mlflow.Logger()])


def test_what_a_generator_has_trained_is_a_run_with_all_of_its_epochs(client, store):
    def batches():
        while True:
            yield X, Y

    history = make().fit_generator(batches(), 64, 3, 0)
    run = store.runs[trainyard.mlflow.log(history, "file:here")]
    assert [(step, value) for step, value, _ in run.metrics["loss"]] == list(enumerate(history.history["loss"]))
    assert run.tags["trainyard.job"] == history.job
