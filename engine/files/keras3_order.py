"""The order in which Keras 3 has the layers of a model with branches: those farthest from the output first."""

from __future__ import annotations

from collections.abc import Iterator

from engine.errors import BadModel
from engine.files.keras3_layers import translated
from engine.model import Placed, Sequential


def order(model: Sequential) -> dict[str | None, int]:
    """Number the layers of a model that branches, by their names."""
    depths: dict[str | None, int] = {}
    for name, depth in _walk(model, 0):
        depths[name] = max(depth, depths.get(name, 0))
    names = sorted(depths, key=lambda name: -depths[name])
    return {name: number for number, name in enumerate(names)}


def _walk(model: Sequential, depth: int) -> Iterator[tuple[str | None, int]]:
    """List the layers from the output backwards, each with its distance from there."""
    for placed in reversed(model.placed):
        if placed.layer.transparent:
            for branch in getattr(placed.layer, "layers", ()):
                yield from _walk(branch if isinstance(branch, Sequential) else Sequential((branch,)), depth + 1)
            return
        behind, whole = _steps(placed)
        yield placed.layer.name, depth + behind
        depth += whole


def _steps(placed: Placed) -> tuple[int, int]:
    """Count the layers that Keras 3 makes of one: those behind the one with its name, and all."""
    if isinstance(placed.layer, Sequential):
        return 0, 1
    try:
        names = [each["config"]["name"] for each in translated(placed.layer, placed.input_shape)]
    except BadModel:
        return 0, 1
    at = names.index(placed.layer.name) if placed.layer.name in names else 0
    return len(names) - 1 - at, len(names)
