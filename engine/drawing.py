"""The weights that a model starts from: drawn with numpy, so that a client without torch draws the same."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.initializations import initialize
from engine.layer import Weight
from engine.spreads import Start

Array = NDArray[Any]


def draw(weights: Iterable[Weight], seed: int) -> dict[str, Array]:
    """Draw every weight of a model; each draw depends on the seed and the weight's place alone."""
    drawn = {}
    for index, each in enumerate(weights):
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 0, index])))
        parts = [_started(init, shape, rng, each) for init, shape in each.parts()]
        drawn[each.name] = np.concatenate(parts, -1) * np.float32(each.scale)
    return drawn


def _started(init: Start, shape: tuple[int, ...], rng: np.random.Generator, weight: Weight) -> Array:
    if isinstance(init, str):
        return initialize(init, shape, rng, weight.dim_ordering)
    if weight.filters_lead:
        filters, channels, *window = shape
        drawn = init.draw((*window, channels, filters), rng)
        drawn = np.moveaxis(drawn, (-1, -2), (0, 1))
    else:
        drawn = init.draw(shape, rng)
    return np.ascontiguousarray(drawn, dtype=np.float32)
