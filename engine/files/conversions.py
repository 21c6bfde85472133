"""From Keras 1's arrays to those of Keras 2 and 3: which are joined, which turned, and what each is called.

Both later versions have the same arrays. Kernels have the filters last wherever the channels are; the gates of a
recurrent layer lie side by side; a convolution over steps has no axis of one column.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.arguments import Shape
from engine.files.slots import Slot
from engine.layer import Layer, Weight
from engine.layers.convolutional_variants import Deconvolution2D
from engine.layers.kernels import Convolving, ConvolvingSteps

#: The gates of a recurrent layer, in the order in which they lie side by side.
GATES = {"LSTM": "ifco", "GRU": "zrh", "ConvLSTM2D": "ifco"}

#: What they call the weights of any layer; others keep their names.
NAMES = {
    "W": "kernel",
    "U": "recurrent_kernel",
    "b": "bias",
    "alphas": "alpha",
    "running_mean": "moving_mean",
    "running_std": "moving_variance",
}


def modern(layer: Layer, input_shape: Shape, prefix: str) -> Iterator[Slot]:
    """List the arrays that Keras 2 and 3 have for a layer, whose weights' keys begin with `prefix`."""
    parts = list(layer.parts(input_shape))
    for part in parts:
        yield from modern(part.layer, part.input_shape, f"{prefix}{part.layer.name}/")
    if not parts:
        yield from own(layer, input_shape, prefix)


def own(layer: Layer, input_shape: Shape, prefix: str) -> Iterator[Slot]:
    """List the arrays of a layer that is not made of others."""
    weights = {each.name: each for each in layer.weights(input_shape)}
    gates = GATES.get(type(layer).__name__, "")
    for name in ("W", "U", "b"):
        if gates and f"{name}_{gates[0]}" in weights:
            of_gates = [weights.pop(f"{name}_{gate}") for gate in gates]
            yield _slot(layer, name, of_gates, prefix)
    for each in weights.values():
        yield _slot(layer, each.name, [each], prefix)


def _slot(layer: Layer, name: str, weights: list[Weight], prefix: str) -> Slot:
    part = weights[0].shape
    axes = _axes(layer, part)
    turned = [part[axis] for axis in axes]
    turned[-1:] = [turned[-1] * len(weights)]
    if isinstance(layer, ConvolvingSteps) and len(part) == 4:
        del turned[1]
    called = "embeddings" if type(layer).__name__ == "Embedding" else NAMES.get(name, name)
    return Slot(called, tuple(prefix + each.name for each in weights), part, tuple(turned), axes)


def _axes(layer: Layer, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Say in which order they have the axes of an array of that shape."""
    rank = len(shape)
    first = getattr(layer, "dim_ordering", "tf") == "th"
    if rank < 4 or not (isinstance(layer, Convolving) or type(layer).__name__ == "ConvLSTM2D"):
        return tuple(range(rank))
    if isinstance(layer, Deconvolution2D):
        return (2, 3, 0, 1) if first else (0, 1, 3, 2)
    return (*range(2, rank), 1, 0) if first else tuple(range(rank))
