"""A training run in a test: its data in memory, its watcher a notebook."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from engine.plan import ArraySpec, Plan
from engine.training.loop import Training

GOLDEN = Path(__file__).parent.parent / "golden"
#: What the functions were whose bytecode a record holds: the place of the layer, and the text of each argument.
SOURCES = {
    "lambda_square": (1, {"function": "lambda x: x ** 2"}),
    "merge_lambda": (0, {"mode": "lambda ts: ts[0] - 2 * ts[1]", "output_shape": "lambda shapes: shapes[0]"}),
    "merge_lambda_tuple_shape": (0, {"mode": "lambda ts: K.concatenate([ts[0] * ts[1], ts[0]], axis=-1)"}),
}


class Notebook:
    """A watcher that writes down what it hears, and may be told to stop."""

    def __init__(self, on_batch: Callable[[], None] = lambda: None) -> None:
        self.on_batch = on_batch
        self.epochs: list[tuple[int, dict[str, float]]] = []
        self.artifacts: dict[str, Callable[[Path], None]] = {}
        self.warnings: list[str] = []

    def batch(self) -> None:
        self.on_batch()

    def epoch(self, epoch: int, logs: dict[str, float]) -> None:
        self.epochs.append((epoch, dict(logs)))

    def artifact(self, name: str, write: Callable[[Path], None]) -> None:
        self.artifacts[name] = write

    def warning(self, message: str) -> None:
        self.warnings.append(message)


def describing(data: dict[str, np.ndarray]) -> Callable[[str, str], ArraySpec]:
    def describe(dataset: str, array: str) -> ArraySpec:
        if array not in data:
            raise LookupError(f"There is no array {array!r} in dataset {dataset}.")
        return ArraySpec(data[array].shape, data[array].dtype.name)

    return describe


def plan_of(data: dict[str, np.ndarray], **body: Any) -> Plan:
    return Plan.read(body, describing(data))


def training(data: dict[str, np.ndarray], seed: int = 7, stop_on_nan: bool = True, **body: Any) -> Training:
    return Training(plan_of(data, **body), lambda _, array: data[array], seed, stop_on_nan=stop_on_nan)


def sequential(*layers: Any) -> dict[str, Any]:
    """Write a Sequential from pairs of class name and config."""
    return {
        "class_name": "Sequential",
        "config": [{"class_name": name, "config": config} for name, config in layers],
    }


#: Arguments that Keras 1 had, and forgot to write: by case, and by the layer's place.
UNWRITTEN: dict[str, dict[int, dict[str, Any]]] = {"prelu_shared": {1: {"shared_axes": [2, 3]}}}


#: Records whose evaluations were made without the weights of the fit; so were those of fits with a validation split.
JUDGED_WITHOUT_WEIGHTS = {"weights_sample_3d"}


class Golden:
    """One case that the real Keras 1.2.2 recorded."""

    def __init__(self, case: str) -> None:
        self.folder = GOLDEN / case
        self.facts = json.loads((self.folder / "history.json").read_text())
        self.data = self.table(case)
        self.recorded = json.loads((self.folder / "model.json").read_text())
        self.model = json.loads((self.folder / "model.json").read_text())
        for index, arguments in UNWRITTEN.get(case, {}).items():
            self.model["config"][index]["config"] |= arguments
        index, sources = SOURCES.get(case, (0, {}))
        for argument, source in sources.items():
            self.model["config"][index]["config"] |= {argument: {"source": source}, f"{argument}_type": "source"}

    @staticmethod
    def table(case: str) -> dict[str, np.ndarray]:
        with np.load(GOLDEN / case / "data.npz") as file:
            return {name: file[name] for name in file.files}

    def x(self, prefix: str = "") -> Any:
        """Refer to the input, or to each of several."""
        count = len([name for name in self.data if name.startswith(f"{prefix}x_")])
        return [f"d/{prefix}x_{index}" for index in range(count)] if count else f"d/{prefix}x"

    def body(self) -> dict[str, Any]:
        fit = {
            key: value for key, value in self.facts["fit"].items() if key not in ("sample_weight", "validation_data")
        }
        scored: dict[str, Any] = {"x": self.x(), "y": "d/y", "batch_size": fit["batch_size"]}
        if "called after every epoch" in self.facts["note"]:
            fit["reset_states"] = "epoch"
        evaluated = scored | {"reset_states": True}
        if self.facts["fit"]["sample_weight"]:
            scored["sample_weight"] = "d/sample_weight"
            if "validation_split" not in fit and self.folder.name not in JUDGED_WITHOUT_WEIGHTS:
                evaluated["sample_weight"] = "d/sample_weight"
        if self.facts["fit"]["validation_data"]:
            fit["validation_data"] = {
                name: f"d/val_{name}" for name in ("y", "sample_weight") if f"val_{name}" in self.data
            }
            fit["validation_data"]["x"] = self.x("val_")
        return {
            "model": self.model,
            "compile": self.facts["compile"],
            "fit": fit | scored,
            "evaluate": evaluated,
            "predict": {"x": self.x(), "batch_size": fit["batch_size"]},
            "dim_ordering": "th",  # what the records were made with
        }

    def training(self) -> Training:
        run = training(self.data, stop_on_nan=False, **self.body())
        run.load_weights(self.folder / "initial.h5", kernels="theano")
        return run
