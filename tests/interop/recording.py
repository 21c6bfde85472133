"""What a real Keras of today computes, written down: shared by `make_keras2.py` and `make_keras3.py`.

Each case is a folder: `model.json` (what `to_json()` prints), `data.npz` with the input `x`, the prediction `y` and
the arrays of every layer (`w<layer>_<array>`, in `get_weights()` order), the weight files and `facts.json`. A case that
was trained also has `target`, `trained` (the prediction after it) and, in `facts.json`, the losses of its steps, some
made before the whole model was saved and some after.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

STEPS = 3


@dataclass(frozen=True)
class Case:
    """A model to build, and what to do with it."""

    name: str
    build: Callable[[], Any]
    high: int = 0  # inputs are indices below it; normal numbers where 0
    masked: bool = False  # some steps at the end, and one in the middle, are zero
    train: dict[str, Any] | None = None  # what to compile it with
    whole: bool = False  # whether to keep the whole model too
    batch: int = 3
    shape: tuple[int, ...] = field(default=())  # of one sample, where the model leaves an axis open


def made(case: Case, shape: tuple[Any, ...], rng: np.random.Generator) -> np.ndarray:
    """Draw an input."""
    sample = case.shape or tuple(shape[1:])
    size = (shape[0] or case.batch, *sample)
    x = rng.integers(1, case.high, size).astype("float32") if case.high else rng.normal(size=size).astype("float32")
    if case.masked:
        for row in range(len(x)):
            x[row, len(x[row]) - 1 - row % 2 :] = 0.0
        x[0, 1] = 0.0
    return x


def shake(model: Any, rng: np.random.Generator) -> None:
    """Give every array numbers that show where it is used."""
    for layer in model.layers:
        arrays = []
        for weight, value in zip(layer.weights, layer.get_weights(), strict=True):
            name = getattr(weight, "path", weight.name)
            drawn = rng.normal(scale=0.4, size=value.shape)
            arrays.append((np.abs(drawn) + 0.5 if "variance" in name else drawn).astype(value.dtype))
        layer.set_weights(arrays)


def record(case: Case, root: Path, weights: str, whole: str, version: str) -> None:
    """Write one case down."""
    folder = root / case.name
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(zlib.crc32(case.name.encode()))
    model = case.build()
    shake(model, rng)
    x = made(case, model.input_shape, rng)
    facts: dict[str, Any] = {"keras": version, "parameters": int(model.count_params()), "class": type(model).__name__}
    arrays = {
        f"w{at:02}_{k:02}": array for at, each in enumerate(model.layers) for k, array in enumerate(each.get_weights())
    }
    data = {"x": x, "y": model.predict(x, verbose=0, batch_size=len(x))}
    model.save_weights(str(folder / weights))
    if case.train is not None:
        data["target"] = rng.normal(size=data["y"].shape).astype("float32")
        if "crossentropy" in str(case.train["loss"]):
            data["target"] = np.eye(data["y"].shape[-1], dtype="float32")[rng.integers(0, data["y"].shape[-1], len(x))]
        model.compile(**case.train)
        facts["losses"] = [float(model.train_on_batch(x, data["target"])) for _ in range(STEPS)]
        data["trained"] = model.predict(x, verbose=0, batch_size=len(x))
    text = model.to_json()
    if case.whole:
        model.save(str(folder / whole))
    if case.train is not None:
        facts["later_losses"] = [float(model.train_on_batch(x, data["target"])) for _ in range(STEPS)]
    (folder / "model.json").write_text(json.dumps(json.loads(text), indent=1) + "\n")
    (folder / "facts.json").write_text(json.dumps(facts, indent=1) + "\n")
    np.savez_compressed(folder / "data.npz", **data, **arrays)
    print(case.name, facts["parameters"], data["y"].shape)
