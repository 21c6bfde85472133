"""Sequential: layers in a row, their names, shapes and weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any

from engine import layers as _layers  # noqa: F401  # every layer registers itself
from engine.arguments import Json, Kind, Shape, Wrong
from engine.errors import BadArgument, BadModel, ShapeMismatch, TooLarge, pointer, within
from engine.layer import LAYERS, Input, Layer, Weight, Weights, layer, shape_text
from engine.limits import Limits
from engine.registry import shown

if TYPE_CHECKING:
    from torch import Tensor

    from engine.run import Run

Note = dict[str, str]


def _layers_of(value: Any) -> tuple[Layer, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(each, Layer) for each in value):
        raise Wrong
    return tuple(value)


Layers = Annotated[tuple[Layer, ...], Kind("a list of layers", _layers_of, list)]


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
        return self.layers[0].first_shape() if self.layers else None

    def inputs(self) -> tuple[Input, ...]:
        return self.layers[0].inputs()

    def to_json(self) -> Json:
        return {"class_name": "Sequential", "config": [each.to_json() for each in self.layers]}

    def definition(self) -> Json:
        """Return the model in Keras 1's JSON, every argument written out."""
        return self.to_json() | {"keras_version": "1.2.2"}

    def place(self, input_shape: Shape) -> Iterator[Placed]:
        """Walk through the layers with the shapes that meet there."""
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
        return tuple(self.place(shape))

    def output_shape(self, input_shape: Shape) -> Shape:
        shape = input_shape
        for placed in self.place(input_shape):
            shape = placed.output_shape
        return shape

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

    def call(self, x: Tensor, w: Weights, run: Run) -> Tensor:
        own = by_layer(w)
        for each in self.layers:
            with run.scoped(each.name):
                x = each.call(x, own.get(each.name, {}), run)
        return x

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


NO_SHAPE = (
    "The first layer must declare the shape of its input: give it `input_shape` (without the batch axis), "
    "`batch_input_shape` (with it), or `input_dim` where it takes that."
)


def _owned(owner: Layer, weight: Weight) -> Weight:
    return replace(weight, name=f"{owner.name}/{weight.name}", trainable=weight.trainable and owner.trainable)


def by_layer(w: Weights) -> dict[str | None, dict[str, Tensor]]:
    """Sort weights by their layer, under their own names there: in one pass, for every step of a training asks it."""
    own: dict[str | None, dict[str, Tensor]] = {}
    for key, value in w.items():
        owner, _, name = key.partition("/")
        own.setdefault(owner, {})[name] = value
    return own


def _row(placed: Placed) -> Json:
    row = {
        "name": placed.layer.name,
        "class_name": type(placed.layer).__name__,
        "input_shape": list(placed.input_shape),
        "output_shape": list(placed.output_shape),
        "parameters": placed.parameters(True) + placed.parameters(False),
    }
    if isinstance(placed.layer, Sequential):
        row["layers"] = [_row(each) for each in placed.layer.place(placed.input_shape)]
    return row


# -- from a stranger's JSON to a settled model ---------------------------------------------------


def read_model(value: Any, limits: Limits | None = None, dim_ordering: str = "tf") -> tuple[Sequential, list[Note]]:
    """Read a model's JSON, name its layers and check every shape and size.

    Args:
        value: The JSON.
        limits: How large it may be.
        dim_ordering: What "default" stands for: "th" has the channels of an image first, "tf" last.

    Returns:
        The model in its normal form, and what was translated on the way there.

    Raises:
        DefinitionError: It is no model, or too large a one; `where` points at the spot.
    """
    limits = limits or Limits()
    model = _Reader(limits).model(value, 0)
    if not isinstance(model, Sequential):
        raise BadModel("A model must be a Sequential.", "/class_name")
    settled = _Settler(dim_ordering).settle(model, None)
    _check_size(settled, limits)
    return settled, _translations(model, settled)


class _Reader:
    """Turns JSON into layers, counting them."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.count = 0

    def model(self, value: Any, depth: int) -> Layer:
        if not isinstance(value, Mapping) or not isinstance(value.get("class_name"), str):
            raise BadModel(f'A model or layer must be {{"class_name": …, "config": …}}, but got {shown(value)}.')
        for key in value:
            if key not in ("class_name", "config") and (depth or key != "keras_version"):
                raise BadArgument(f"A model or layer has no key {shown(key)}.", pointer(key))
        name, config = value["class_name"], value.get("config", {})
        if name == "Sequential":
            with within("config"):
                return self.sequential(config, depth)
        if not depth:
            raise BadModel(f"A model must be a Sequential, but got {shown(name)}.", "/class_name")
        with within("class_name"):
            cls = LAYERS[name]
        with within("config"):
            return cls.from_config(config)

    def sequential(self, config: Any, depth: int) -> Sequential:
        if depth >= self.limits.max_depth:
            raise TooLarge(f"Models may be nested {self.limits.max_depth} deep.")
        if not isinstance(config, list) or not config:
            raise BadModel(f"The config of a Sequential must be a list of at least one layer, but got {shown(config)}.")
        self.count += len(config)
        if self.count > self.limits.max_layers:
            raise TooLarge(f"A model may have {self.limits.max_layers:,} layers, but this one has {self.count:,}.")
        layers = []
        for index, each in enumerate(config):
            with within(index):
                layers.append(self.model(each, depth + 1))
        return Sequential(tuple(layers))


class _Settler:
    """Gives every layer a name and its place."""

    def __init__(self, dim_ordering: str) -> None:
        self.dim_ordering = dim_ordering
        self.counts: dict[str, int] = {}

    def settle(self, model: Sequential, incoming: Shape | None) -> Sequential:
        taken = {each.name for each in model.layers if each.name}
        seen: dict[str | None, Layer] = {}
        done: list[Layer] = []
        shape = incoming
        for index, each in enumerate(model.layers):
            with within("config", index):
                settled = self.in_place(self.named(each, taken), shape, first=index == 0)
                if seen.setdefault(settled.name, settled) != settled:
                    raise BadModel(
                        f"Two different layers are named {settled.name!r}. Rename one; a layer that shall stand "
                        "twice must be written the same both times.",
                        "/config/name",
                    )
                done.append(settled)
                shape = settled.output_shape(_input_of(settled, shape))
        whole = Sequential(tuple(done), name=model.name, trainable=model.trainable)
        tuple(whole.placed)
        return whole

    def named(self, each: Layer, taken: set[str]) -> Layer:
        if each.name is not None:
            return each
        prefix = type(each).__name__.lower()
        while True:
            self.counts[prefix] = self.counts.get(prefix, 0) + 1
            name = f"{prefix}_{self.counts[prefix]}"
            if name not in taken:
                return replace(each, name=name)

    def in_place(self, each: Layer, shape: Shape | None, first: bool) -> Layer:
        if isinstance(each, Sequential):
            declared = each.first_shape()
            if shape is not None and declared is not None:
                _check_meeting(each, declared, shape)
            return self.settle(each, shape if declared is None else None)
        if first:
            if shape is not None and each.first_shape() is None:
                each = replace(each, batch_input_shape=shape)
            each = each.as_first()
            shape = each.first_shape()
        else:
            each = each.as_later()
        if shape is None:
            raise BadModel(NO_SHAPE, "/config")
        each.check_rank(shape)
        return each.ordered(self.dim_ordering).settled(shape)


def _input_of(settled: Layer, shape: Shape | None) -> Shape:
    own = settled.first_shape()
    if isinstance(settled, Sequential) or shape is None:
        if own is None:
            raise BadModel(NO_SHAPE, "/config")
        return own
    return shape


def _check_meeting(model: Sequential, declared: Shape, shape: Shape) -> None:
    fits = len(declared) == len(shape) and all(
        a is None or b is None or a == b for a, b in zip(declared, shape, strict=True)
    )
    if not fits:
        raise ShapeMismatch(
            f"Model {model.name} declares an input of {shape_text(declared)}, but gets {shape_text(shape)}."
        )


def _check_size(model: Sequential, limits: Limits) -> None:
    total = 0
    for index, placed in enumerate(model.placed):
        total += placed.parameters(True) + placed.parameters(False)
        if total > limits.max_parameters:
            raise TooLarge(
                f"A model may have {limits.max_parameters:,} parameters, but this one has {total:,} by layer "
                f"{placed.layer.name}.",
                pointer("config", index),
            )


def _translations(given: Sequential, settled: Sequential) -> list[Note]:
    """Say where a declaration was replaced by what the layers before it really give."""
    notes = []
    for index, (before, after) in enumerate(zip(given.layers, settled.layers, strict=True)):
        said = before.first_shape()
        real = settled.placed[index].input_shape
        if index and said is not None and said[1:] != real[1:]:
            notes.append(
                {
                    "pointer": pointer("config", index, "config"),
                    "detail": f"Layer {after.name} declares an input of {shape_text(said)}, which Keras 1 does not "
                    f"heed after the first layer; it gets {shape_text(real)}.",
                }
            )
    return notes
