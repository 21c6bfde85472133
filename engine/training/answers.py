"""From what a model gives to what a prediction asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray


def answer(y: NDArray[Any], method: str, warn: Callable[[str], None]) -> NDArray[Any]:
    """Return the outputs as Keras 1's method of that name does; say where they are no probabilities but should be."""
    if method == "predict_classes":
        return classes_of(y)
    if method == "predict_proba" and not ((y >= 0.0) & (y <= 1.0)).all():
        warn(
            f"The model gives values from {y.min()} to {y.max()}, which are no probabilities. Does its last layer "
            "lack a softmax or a sigmoid?"
        )
    return y


def classes_of(y: NDArray[Any]) -> NDArray[Any]:
    """Turn outputs into classes as Keras 1 does: `(n, classes)` into `(n,)`, and `(n, 1)` into zeros and ones."""
    return y.argmax(-1) if y.shape[-1] > 1 else (y > 0.5).astype(np.int32)
