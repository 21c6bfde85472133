"""A tiny training that nobody asked for: it makes the first step of a real one fast."""

from typing import Any

import numpy as np

from engine.limits import Limits
from engine.plan import ArraySpec, Plan
from engine.training.loop import Training

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


def warm_up(device: str) -> None:
    """Run every phase once."""
    plan = Plan.read(_JOB, lambda _, array: _spec(_ARRAYS[array]), Limits())
    training = Training(plan, lambda _, array: _ARRAYS[array], seed=0, device=device)
    watcher = _Nobody()
    training.fit(watcher)
    training.evaluate(watcher)
    training.predict(watcher)


def _spec(array: np.ndarray) -> ArraySpec:
    return ArraySpec(array.shape, array.dtype.name)
