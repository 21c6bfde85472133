"""Writes a trained model for other programs, and measures how far their predictions are from ours."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.definition import read_model
from engine.errors import NotExported, Unavailable
from engine.files import archive, hdf5, keras3_models
from engine.limits import Limits
from engine.training import weights
from engine.training.loop import Training
from engine.training.step import Step

#: What must be installed to write and to run ONNX.
NEEDED = ("onnx", "onnxscript", "onnxruntime")
#: A model that was trained is not refused for its size.
UNBOUNDED = Limits(max_layers=sys.maxsize, max_parameters=sys.maxsize)
#: So many samples are predicted to compare.
SAMPLES = 32

Arrays = tuple[Tensor, ...]
log = logging.getLogger(__name__)


def check(exports: list[str]) -> None:
    """Refuse what this worker has no tools for, before anything is trained.

    Raises:
        Unavailable: A package is missing.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if "onnx" in exports and missing:
        raise Unavailable(
            f"This worker cannot write ONNX: it lacks {', '.join(missing)}. Install Trainyard with its extra `onnx` "
            "there, or leave onnx out of `exports`.",
            "/exports",
        )


def export(training: Training, name: str, path: Path) -> float | None:
    """Write a model for a program.

    Returns:
        The largest difference between our predictions and the file's; None if none of them is a number.

    Raises:
        NotExported: It could not be written, or not run; what was trained is none the worse for it.
    """
    x = training.sample(SAMPLES)
    try:
        return _difference(_predicted(training, x), WRITERS[name](training, path, x))
    except (OSError, MemoryError):
        raise
    except Exception as error:  # of the many kinds that torch's exporter and onnxruntime have
        log.exception("%s could not be written", path.name)
        raise NotExported(f"{path.name} could not be written, and is left out: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    lines = [*str(error).strip().splitlines(), type(error).__name__]
    return lines[0][:200]


def _predicted(training: Training, x: Arrays) -> NDArray[Any]:
    """Predict from where stateful layers begin."""
    with torch.no_grad():
        return training.step.predict(training.state | training.step.forgotten(), x)[0].cpu().numpy()


def _of_weights(training: Training, arrays: weights.Weights, x: Arrays) -> NDArray[Any]:
    tensors = {key: torch.from_numpy(each).to(training.device) for key, each in arrays.items()}
    with torch.no_grad():
        return training.step.predict(training.step.start(tensors), x)[0].cpu().numpy()


def _keras1(training: Training, path: Path, x: Arrays) -> NDArray[Any]:
    training.save_model(path)
    return _of_weights(training, hdf5.read(path, training.plan.model), x)


def _keras3(training: Training, path: Path, x: Arrays) -> NDArray[Any]:
    keras3_models.write(path, training.plan.model, training.weights())
    config = json.loads(archive.read(path, archive.CONFIG, path.stat().st_size).read())
    model, _ = read_model(config, UNBOUNDED)
    step = Step(model, None, training.device)
    arrays = weights.initial(model, 0) | weights.load(path, model, "tensorflow", by_name=False, into=None)
    state = step.start({key: torch.from_numpy(each).to(training.device) for key, each in arrays.items()})
    with torch.no_grad():
        return step.predict(state, x)[0].cpu().numpy()


def _onnx(training: Training, path: Path, x: Arrays) -> NDArray[Any]:
    from engine.training import onnx_graph

    onnx_graph.write(path, training, x)
    return onnx_graph.run(path, x)


WRITERS: dict[str, Callable[[Training, Path, Arrays], NDArray[Any]]] = {
    "keras1": _keras1,
    "keras3": _keras3,
    "onnx": _onnx,
}


def _difference(ours: NDArray[Any], theirs: NDArray[Any]) -> float | None:
    if ours.shape != theirs.shape:
        raise RuntimeError(f"an export gives {theirs.shape} where we give {ours.shape}")
    apart = np.abs(ours.astype(np.float64) - theirs.astype(np.float64))
    numbers = apart[np.isfinite(apart)]
    return float(numbers.max()) if numbers.size else None
