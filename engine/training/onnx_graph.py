"""A model as a graph of ONNX: torch traces our own computation, so that every layer is written as it computes."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.training.loop import Training
from engine.training.step import State, Step

OPSET = 18


class Predicting(torch.nn.Module):
    """A step's prediction as torch's exporter takes it: the state as buffers, the inputs as arguments."""

    def __init__(self, step: Step, state: State) -> None:
        super().__init__()
        self._step, self._keys = step, list(state)
        for number, key in enumerate(self._keys):
            self.register_buffer(f"state_{number}", state[key])

    def forward(self, x: tuple[Tensor, ...]) -> Tensor:
        """Predict."""
        state = {key: getattr(self, f"state_{number}") for number, key in enumerate(self._keys)}
        with torch.no_grad():
            return self._step.predict(state, x)[0]


def write(path: Path, training: Training, x: tuple[Tensor, ...]) -> None:
    """Write the model for any number of samples, or for its own where that is fixed."""
    model = training.plan.model
    step = Step(model, None)
    # Its own weights lie whole, whatever tables a training had.
    kept = {key: value.detach().cpu().contiguous() for key, value in training.step.weights(training.state).items()}
    state = step.start({each.name: kept[each.name] for each in model.all_weights})
    rows = torch.export.Dim("samples")
    shapes = [{} if given.shape[0] is not None else {0: rows} for given in model.inputs()]
    # A single sample would be traced as if there were never more.
    pairs = zip(x, shapes, strict=True)
    x = tuple(torch.cat([each, each]) if free and len(each) == 1 else each for each, free in pairs)
    with _quiet():
        program = torch.onnx.export(
            Predicting(step, state).eval(),
            (tuple(each.cpu() for each in x),),
            dynamo=True,
            dynamic_shapes={"x": tuple(shapes)},
            input_names=[given.name for given in model.inputs()],
            output_names=[str(model.layers[-1].name)],
            opset_version=OPSET,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch has written no graph")
    program.save(path)


def run(path: Path, x: tuple[Tensor, ...]) -> NDArray[Any]:
    """Predict with a graph."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]
    values = {name: each.cpu().numpy() for name, each in zip(names, x, strict=True)}
    result: NDArray[Any] = session.run(None, values)[0]
    return result


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep to itself what the exporter says of its own inner life."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [each.level for each in loggers]
    for each in loggers:
        each.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for each, level in zip(loggers, levels, strict=True):
            each.setLevel(level)
