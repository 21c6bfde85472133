"""Load the models that `write_exports.py` wrote with real Keras 3, and compare its predictions with ours.

In an environment with Keras 3 and a backend: `KERAS_BACKEND=tensorflow python load_keras3.py FOLDER [ANSWERS]`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import keras
import numpy as np


def main(root: Path, answers: Path | None) -> None:
    """Tell for each case how far Keras 3's predictions are from ours."""
    told = {"keras": keras.__version__, "max_difference": {}}
    for path in sorted((root / "keras3").glob("*/model.keras")):
        with np.load(path.parent / "data.npz") as data:
            count = len([name for name in data.files if name.startswith("x_")])
            x = [data[f"x_{number}"] for number in range(count)] if count else data["x"]
            model = keras.models.load_model(path)
            size = None if count else model.input_shape[0]
            difference = float(np.abs(model.predict(x, verbose=0, batch_size=size or 32) - data["ours"]).max())
        told["max_difference"][path.parent.name] = difference
        print(f"{path.parent.name:32} {difference:.2e}")
    if answers:
        answers.write_text(json.dumps(told, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
