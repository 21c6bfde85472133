"""Sessions for tests: steps of every kind, how to send and read them, and what comes of them where nothing happens."""

import json

import numpy as np
import pytest
from safetensors.numpy import load

from core import attempts, steps
from core.ids import DEFAULT_PROJECT
from core.steps import Sent
from engine.limits import Limits
from engine.plan import Plan
from engine.steps import read_step
from engine.training.loop import Training
from engine.training.session import Stepping
from tests.worker.small import COMPILE, SOFTMAX, arrays
from worker import session as sitting

ADAM = COMPILE | {"optimizer": "adam"}
#: All that a step may depend on: states, running means, random draws, an optimizer's moments.
STATEFUL = {
    "class_name": "Sequential",
    "config": [
        {
            "class_name": "LSTM",
            "config": {"output_dim": 8, "stateful": True, "batch_input_shape": [8, 6, 4], "dropout_U": 0.2},
        },
        {"class_name": "BatchNormalization", "config": {}},
        {"class_name": "Dropout", "config": {"p": 0.3}},
        {"class_name": "Dense", "config": {"output_dim": 3, "activation": "softmax"}},
    ],
}
RNG = np.random.default_rng(9)
BATCHES = [
    {"x": RNG.normal(size=(8, 6, 4)).round(3).tolist(), "y": np.eye(3)[RNG.integers(0, 3, 8)].tolist()}
    for _ in range(12)
]
ROWS = {"x": arrays(8)["x"].tolist(), "y": arrays(8)["y"].tolist()}
TRAIN, CLOSE = {"train": ROWS}, {"close": {}}


def mixed(count):
    """Steps of every kind, so many, in an order that is always the same."""
    kinds = [
        lambda batch: {"train": batch},
        lambda batch: {"train": batch | {"class_weight": {"0": 1.0, "1": 2.0, "2": 0.5}}},
        lambda batch: {"predict": {"x": batch["x"], "batch_size": 8}},
        lambda batch: {"train": batch | {"y": {"to_categorical": [9] * 8, "nb_classes": 3}}},
        lambda batch: {"evaluate": batch | {"batch_size": 8}},
        lambda batch: {"set": {"lr": 0.002}},
        lambda batch: {"train": batch},
        lambda batch: {"reset_states": {"layer": "lstm_1"}},
        lambda batch: {"save": {"name": "kept.safetensors"}},
    ]
    return [kinds[index % len(kinds)](BATCHES[index % len(BATCHES)]) for index in range(count)]


class Silent:
    def artifact(self, name, write):
        pass


def undisturbed(given, seed=7):
    """What comes of steps in one process, without a service: results or classes of failures, and the end."""
    body = {"model": STATEFUL, "compile": ADAM, "session": {}}
    plan = Plan.read(body, lambda *_: None)
    training = Training(plan, lambda *_: None, seed)
    doing, told = Stepping(training, Silent(), Limits()), []
    for step in given:
        try:
            told.append(doing.do(read_step(step, plan.model, plan.compile, lambda *_: None)))
        except Exception as error:
            told.append(error.class_)
    return told, training


@pytest.fixture
def make_session(make_job):
    def make_session(model=SOFTMAX, compiled=COMPILE, idle_seconds=600, **more):
        return make_job({"model": model, "compile": compiled, "session": {"idle_seconds": idle_seconds}} | more)

    return make_session


@pytest.fixture
def send(sessions, read):
    """Send steps after those that are there; return their numbers."""

    def send(job_id, *given):
        first = read(job_id).steps_sent + 1
        sent = [Sent(next(iter(each)), json.dumps(each).encode()) for each in given]
        with sessions.begin() as session:
            steps.append(session, DEFAULT_PROJECT, job_id, first, sent)
        return range(first, first + len(given))

    return send


@pytest.fixture
def told(sessions):
    """Read the steps of a session."""

    def told(job_id):
        with sessions.begin() as session:
            return list(steps.pages(session, [(job_id, 0, 10_000)])[job_id, 0, 10_000].steps)

    return told


def results(rows):
    return [row.error["class"] if row.state == "failed" else row.result for row in rows]


def as_stored(value):
    return json.loads(json.dumps(value))


@pytest.fixture
def when_idle(monkeypatch):
    """Do something once nothing is left to do, and again whenever that is so."""

    def when_idle(*acts):
        left = list(acts)
        pause = sitting.Sitting._pause

        def act(self):
            if left:
                left.pop(0)()
            pause(self)

        monkeypatch.setattr(sitting.Sitting, "_pause", act)

    return when_idle


@pytest.fixture
def kept(sessions):
    """The checkpoints of a session, newest first."""

    def kept(job_id):
        with sessions.begin() as session:
            return [(row.attempt, row.step) for row in attempts.checkpoints(session, job_id)]

    return kept


def ends_as(wanted, training, rows, blob_of, job_id):
    assert results(rows)[:-1] == as_stored(wanted)
    assert json.loads(blob_of(job_id, "receipt.json"))["weights_sha256"] == training.weights_sha256()
    states = load(blob_of(job_id, "states.safetensors"))
    assert all((states[key] == training.state[key].numpy()).all() for key in states)


@pytest.fixture
def hurried(monkeypatch):
    """Have a second without a step pass at once."""
    monkeypatch.setattr(sitting.Sitting, "_idle_seconds", lambda self: 1e6)
