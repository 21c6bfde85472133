"""Sequential: layers in a row, their shapes, weights and memories."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from engine import layers as _layers  # noqa: F401  # every layer registers itself
from engine.arguments import Json, Shape
from engine.errors import BadModel, within
from engine.layer import Input, Layer, Layers, Memory, Part, Weight, Weights, by_layer, layer

if TYPE_CHECKING:
    from torch import Tensor

    from engine.run import Run

NO_SHAPE = (
    "The first layer must declare the shape of its input: give it `input_shape` (without the batch axis), "
    "`batch_input_shape` (with it), or `input_dim` where it takes that."
)


@dataclass(frozen=True)
class Placed:
    """A layer in its place: what comes in, what goes out, what it learns."""

    layer: Layer
    input_shape: Shape
    output_shape: Shape
    weights: tuple[Weight, ...]

    def parameters(self, trainable: bool) -> int:
        """Count the numbers that are trained, or those that are not."""
        return sum(each.size for each in self.weights if each.trainable is trainable)


@layer()
class Sequential(Layer):
    """A linear stack: each layer's output is the next one's input.

    Args:
        layers: The layers, the first of which declares the input's shape.

    Shape:
        That of the first layer's input to that of the last one's output.

    Weights:
        Those of the layers, under `layer/weight`.

    Raises:
        BadModel: There is no layer, no input shape, or one name for two layers.
        ShapeMismatch: A layer cannot take what the one before it gives.
    """

    layers: Layers

    def first_shape(self) -> Shape | None:
        with within("config", 0):
            return self.layers[0].first_shape() if self.layers else None

    def inputs(self) -> tuple[Input, ...]:
        return self.layers[0].inputs()

    def to_json(self) -> Json:
        """Return Keras 1's form; a nested model's name, which Keras 1 passes over, is written beside its config."""
        beside: dict[str, Json] = {} if self.name is None else {"name": self.name}
        if not self.trainable:
            beside["trainable"] = False
        return {"class_name": "Sequential", **beside, "config": [each.to_json() for each in self.layers]}

    def definition(self) -> Json:
        """Return the model in Keras 1's JSON, every argument written out."""
        return self.to_json() | {"keras_version": "1.2.2"}

    def place(self, input_shape: Shape) -> tuple[Placed, ...]:
        """Put every layer in its place, with the shapes that meet there."""
        if input_shape not in self._places:
            self._places[input_shape] = tuple(self._walk(input_shape))
        return self._places[input_shape]

    @cached_property
    def _places(self) -> dict[Shape, tuple[Placed, ...]]:
        return {}

    def _walk(self, input_shape: Shape) -> Iterator[Placed]:
        shape = input_shape
        for index, each in enumerate(self.layers):
            with within("config", index):
                each.check_rank(shape)
                output = each.output_shape(shape)
                with within("config"):
                    weights = tuple(each.weights(shape))
                yield Placed(each, shape, output, tuple(_owned(each, weight) for weight in weights))
            shape = output

    @cached_property
    def placed(self) -> tuple[Placed, ...]:
        """The layers in their places, when the first one declares the input's shape."""
        shape = self.first_shape()
        if shape is None:
            raise BadModel(NO_SHAPE)
        return self.place(shape)

    def leaves(self, input_shape: Shape | None = None) -> Iterator[Placed]:
        """List the layers as Keras 1 does: those of a Merge's branches in its place."""
        for placed in self.placed if input_shape is None else self.place(input_shape):
            if placed.layer.transparent:
                yield from (leaf for branch in branches_of(placed.layer) for leaf in branch.leaves())
            else:
                yield placed

    def parts(self, input_shape: Shape) -> Iterator[Part]:
        for placed in self.leaves(input_shape):
            yield Part("layers", placed.layer, placed.input_shape)

    def output_shape(self, input_shape: Shape) -> Shape:
        return self.place(input_shape)[-1].output_shape

    def masked(self, incoming: bool) -> bool:
        for index, each in enumerate(self.layers):
            with within("config", index):
                incoming = each.masked(incoming)
        return incoming

    def weights(self, input_shape: Shape) -> Iterator[Weight]:
        seen: set[str] = set()  # a layer that stands twice in a model has one set of weights
        for placed in self.place(input_shape):
            for weight in placed.weights:
                if weight.name not in seen:
                    seen.add(weight.name)
                    yield replace(weight, trainable=weight.trainable and self.trainable)

    @cached_property
    def all_weights(self) -> tuple[Weight, ...]:
        """Every weight of a whole model, by its key `layer/weight`, in Keras 1's order."""
        return tuple(self.weights(self.placed[0].input_shape))

    def memories(self, input_shape: Shape) -> Iterator[Memory]:
        for placed in self.place(input_shape):
            for memory in placed.layer.memories(placed.input_shape):
                yield replace(memory, name=_key(placed.layer, memory.name))

    @cached_property
    def all_memories(self) -> tuple[Memory, ...]:
        """Everything that the stateful layers of a whole model keep, by its key `layer/memory`."""
        return tuple({each.name: each for each in self.memories(self.placed[0].input_shape)}.values())

    def call(self, x: Tensor | tuple[Tensor, ...], w: Weights, run: Run) -> Tensor:
        """Compute the output from one tensor, or from one for each input."""
        own = by_layer(w)
        for index, each in enumerate(self.layers):
            with within("config", index), nullcontext() if each.transparent else run.scoped(each.name):
                x = each.call(x, w if each.transparent else own.get(each.name, {}), run)  # type: ignore[arg-type]
        return x  # type: ignore[return-value]

    def summary(self) -> Json:
        """Describe the model for people: its layers, inputs, outputs and numbers of parameters."""
        trained = sum(each.size for each in self.all_weights if each.trainable)
        total = sum(each.size for each in self.all_weights)
        return {
            "layers": [_row(each) for each in self.placed],
            "inputs": [{"name": i.name, "shape": list(i.shape), "dtype": i.dtype} for i in self.inputs()],
            "outputs": [{"name": self.layers[-1].name, "shape": list(self.placed[-1].output_shape)}],
            "parameters": {"trainable": trained, "frozen": total - trained, "total": total},
        }


def branches_of(merge: Layer) -> Iterator[Sequential]:
    """List the models that a Merge joins, each only once."""
    seen: list[Layer] = []
    for branch in getattr(merge, "layers", ()):
        if isinstance(branch, Sequential) and branch not in seen:
            seen.append(branch)
            yield branch


def _key(owner: Layer, name: str) -> str:
    return name if owner.transparent else f"{owner.name}/{name}"


def _owned(owner: Layer, weight: Weight) -> Weight:
    return replace(weight, name=_key(owner, weight.name), trainable=weight.trainable and owner.trainable)


def _row(placed: Placed) -> Json:
    row: dict[str, Json] = {
        "name": placed.layer.name,
        "class_name": type(placed.layer).__name__,
        "input_shape": list(placed.input_shape),
        "output_shape": list(placed.output_shape),
        "parameters": placed.parameters(True) + placed.parameters(False),
    }
    if isinstance(placed.layer, Sequential):
        row["layers"] = [_row(each) for each in placed.layer.place(placed.input_shape)]
    if placed.layer.transparent:
        branches = [each for each in getattr(placed.layer, "layers", ()) if isinstance(each, Sequential)]
        row["input_shape"] = [list(each.placed[-1].output_shape) for each in branches]
        row["branches"] = [{"name": b.name, "layers": [_row(each) for each in b.placed]} for b in branches]
    return row
