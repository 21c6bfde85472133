"""What a runner does while nobody waits, so that the first step of a real training is fast."""

import contextlib
from typing import Any

import numpy as np

from core import attempts, stepping
from core.errors import LostLease
from core.unit import reading
from engine.limits import Limits
from engine.plan import ArraySpec, Plan
from engine.training.loop import Training
from worker.attempt import Tools
from worker.inputs import Inputs
from worker.patience import Patience

#: Every part that most jobs touch: matrices, a random draw, an optimizer with state, all phases.
_JOB: dict[str, Any] = {
    "model": {
        "class_name": "Sequential",
        "config": [
            {"class_name": "Dense", "config": {"output_dim": 4, "input_dim": 4, "activation": "tanh"}},
            {"class_name": "Dropout", "config": {"p": 0.5}},
            {"class_name": "Dense", "config": {"output_dim": 2, "activation": "softmax"}},
        ],
    },
    "compile": {
        "optimizer": {"class_name": "SGD", "config": {"momentum": 0.9, "nesterov": True}},
        "loss": "categorical_crossentropy",
        "metrics": ["accuracy"],
    },
    "fit": {"x": "ds_warm/x", "y": "ds_warm/y", "nb_epoch": 2, "batch_size": 4, "verbose": 0},
    "evaluate": {"x": "ds_warm/x", "y": "ds_warm/y"},
    "predict": {"x": "ds_warm/x"},
}
_ARRAYS = {"x": np.ones((8, 4), np.float32), "y": np.eye(2, dtype=np.float32)[[0, 1] * 4]}


class _Nobody:
    """Watches and does nothing."""

    def batch(self) -> None:
        """Go on."""

    def epoch(self, epoch: int, logs: dict[str, float]) -> None:
        """Go on."""

    def artifact(self, name: str, write: Any) -> None:
        """Keep nothing."""

    def warning(self, message: str) -> None:
        """Tell nobody."""


def rehearse_training(device: str) -> None:
    """Run every phase of a tiny training once."""
    plan = Plan.read(_JOB, lambda _, array: _spec(_ARRAYS[array]), Limits())
    training = Training(plan, lambda _, array: _ARRAYS[array], seed=0, device=device)
    watcher = _Nobody()
    training.fit(watcher)
    training.evaluate(watcher)
    training.predict(watcher)


def rehearse_queries(tools: Tools) -> None:
    """Ask what an attempt asks before its first step, about a job that is not there."""
    with contextlib.suppress(LookupError):
        Inputs(Patience(tools.sessions, 0.0), tools.cache, "prj_none").describe("ds_none", "x")
    with contextlib.suppress(LostLease), tools.sessions.begin() as session:
        attempts.report(session, "job_none", 0, "nobody", {}, {})
    with contextlib.suppress(LostLease), reading(tools.sessions) as session:
        stepping.following(session, "job_none", 0, "nobody", 0, 1)


def _spec(array: np.ndarray) -> ArraySpec:
    return ArraySpec(array.shape, array.dtype.name)
