"""Merge: several models joined into one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, reduce
from typing import TYPE_CHECKING, Annotated, Any

from engine.arguments import Json, Kind, Shape, Wrong
from engine.errors import BadArgument, BadModel, ShapeMismatch, within
from engine.expressions.arrangements import batch_product
from engine.expressions.forms import Arguments, OutputShape, agreed, with_types
from engine.expressions.shapes import infer
from engine.expressions.table import real
from engine.expressions.tree import Expression
from engine.expressions.written import Function, Written, is_text
from engine.gradients import larger
from engine.layer import Input, Layer, Layers, Memory, Settle, Weight, Weights, layer, shape_text
from engine.numbers import EPSILON

if TYPE_CHECKING:
    from torch import Tensor

    from engine.run import Run

MODES = ("sum", "mul", "concat", "ave", "cos", "dot", "max")


def _mode(value: Any) -> str | Function:
    if isinstance(value, str) and not is_text(value):
        if value not in MODES:
            raise Wrong("a function cannot be found by its name")
        return value
    return Function.read(value)


def _written(value: Any) -> Json:
    return value.to_json() if isinstance(value, Written) else value


def _output_mask(value: Any) -> Any:
    return value if value is None or isinstance(value, bool) else Function.read(value)


def _nothing(value: Any) -> None:
    if value is not None:
        raise Wrong("only Keras 1's functional models have nodes")


def _dot_axes(value: Any) -> int | tuple[int, int]:
    pair = value if isinstance(value, list | tuple) else [value]
    if any(isinstance(each, bool) or not isinstance(each, int) for each in pair):
        raise Wrong
    if isinstance(value, int):
        return value
    if len(pair) != 2:
        raise Wrong
    return (pair[0], pair[1])


Mode = Annotated[
    str | Function,
    Kind(
        f"one of {', '.join(map(repr, MODES))}, or a function of a list of tensors in Python, such as "
        '{"source": "lambda x: x[0] - x[1]"}',
        _mode,
        _written,
    ),
]
OutputMask = Annotated[bool | Function | None, Kind("a function, true, false or null", _output_mask, _written)]
Nothing = Annotated[None, Kind("null", _nothing)]
DotAxes = Annotated[
    int | tuple[int, int],
    Kind("an integer, or a list of two", _dot_axes, lambda value: list(value) if isinstance(value, tuple) else value),
]


@layer()
class Merge(Layer):
    """Joins the outputs of several models, its branches; it begins a model that takes the inputs of all of them.

    Inputs are in the order of the branches, depth first. Two branches that are written the same, names included, are
    one branch, whose input is taken once.

    Args:
        layers: Two branches or more: models, or layers that declare the shape of their input.
        mode: How they are joined: added, multiplied, joined along an axis, averaged, by the cosine of the angle
            between them, by their product along an axis, by their maximum, or by a function of the list of them, given
            as Python source text, which is read and never run as Python.
        concat_axis: For "concat": along which axis, the batch's included.
        dot_axes: For "dot" and "cos": over which axis, the batch's included; or one for each branch.
        declared_shape: For a function: the shape of what it gives, without the batch axis, or a function of the list of
            whole shapes; it need not be given, and is only checked.
        output_mask: For a function, in Keras 1: what mask it gives; without effect, for branches hand over no masks.
        arguments: Numbers for a function's other parameters.
        node_indices: Taken for compatibility, as null.
        tensor_indices: Taken for compatibility, as null.

    Shape:
        `(n, ...), (n, ...) -> (n, ...)`, as the mode has it; "dot" and "cos" of two vectors give `(n, 1)`

    Weights:
        Those of the branches' layers, under `layer/weight`.

    Raises:
        BadModel: There are fewer than two branches.
        BadArgument: An axis is none of the branches', or a function's text does more than it may.
        ShapeMismatch: The branches' outputs do not go together.
    """

    layers: Layers
    mode: Mode = "sum"
    concat_axis: int = -1
    dot_axes: DotAxes = -1
    declared_shape: OutputShape | None = None
    output_mask: OutputMask = None
    arguments: Arguments = None
    node_indices: Nothing = None
    tensor_indices: Nothing = None

    called = {"declared_shape": "output_shape"}
    formerly = {"dot_axis": "dot_axes"}
    unwritten = frozenset({"node_indices", "tensor_indices"})
    holds = ("layers",)
    transparent = True
    ignored = frozenset({"mode_type", "output_shape_type", "output_mask_type"})

    def check(self) -> None:
        if len(self.layers) < 2:
            raise BadModel(f"A Merge joins two layers or more, but gets {len(self.layers)}.", "/layers")
        if self.mode in ("dot", "cos") and len(self.layers) != 2:
            raise BadModel(f'A Merge of mode "{self.mode}" joins two layers, but gets {len(self.layers)}.', "/layers")
        with within("mode"):
            self.expression  # noqa: B018  # refuses what it may not hold

    @cached_property
    def expression(self) -> Expression | None:
        """What a function as mode computes."""
        return self.mode.expression(self.arguments or (), many=True) if isinstance(self.mode, Function) else None

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Merge:
        """Make one from its JSON form; the old `dot_axis` stands for `dot_axes`."""
        if isinstance(config, Mapping) and "dot_axis" in config:
            if "dot_axes" in config:
                raise BadArgument("`dot_axis` and `dot_axes` mean the same; give one.", "/dot_axis")
            config = {"dot_axes" if key == "dot_axis" else key: value for key, value in config.items()}
        return super().from_config(config)

    def get_config(self) -> dict[str, Json]:
        config = with_types(super().get_config(), self, "mode", "output_shape", "output_mask")
        del config["trainable"]
        return config

    # -- its branches -------------------------------------------------------------------------

    @cached_property
    def shapes(self) -> tuple[Shape, ...]:
        """The shape of each branch's output."""
        return tuple(self._each("config", "layers", lambda each: each.output_shape(_declared(each))))

    def _each(self, *steps: Any) -> Iterator[Any]:
        *path, ask = steps
        for index, each in enumerate(self.layers):
            with within(*path, index):
                yield ask(each)

    def first_shape(self) -> Shape | None:
        """Return the shape of what the branches give together."""
        return self.joined

    def inputs(self) -> tuple[Input, ...]:
        found: dict[str, Input] = {}
        for each in self.layers:
            found |= {one.name: one for one in each.inputs()}
        return tuple(found.values())

    def holding(self, input_shape: Shape | None, settle: Settle) -> Layer:
        return replace(self, layers=tuple(self._each("config", "layers", lambda each: settle(each, None))))

    def masked(self, incoming: bool) -> bool:
        """Tell that there is no mask: as in Keras 1, those of the branches end here."""
        tuple(self._each("config", "layers", lambda each: each.masked(False)))
        return False

    def weights(self, input_shape: Shape) -> Iterator[Weight]:
        found: dict[str, Weight] = {}
        for each in self.layers:
            for weight in each.weights(_declared(each)):
                found.setdefault(weight.name, weight)  # branches may share a layer
        return iter(found.values())

    def memories(self, input_shape: Shape) -> Iterator[Memory]:
        for each in self.layers:
            yield from each.memories(_declared(each))

    def call(self, x: Tensor | tuple[Tensor, ...], w: Weights, run: Run) -> Tensor:
        given = dict(zip((each.name for each in self.inputs()), x if isinstance(x, tuple) else (x,), strict=True))
        outputs = []
        for index, each in enumerate(self.layers):
            taken = tuple(given[one.name] for one in each.inputs())
            run.mask = None
            with within("config", "layers", index):
                outputs.append(real(each.call(taken if len(taken) > 1 else taken[0], w, run)))  # type: ignore[arg-type]
        run.mask = None
        return self._join(outputs)

    # -- how they are joined ------------------------------------------------------------------

    @cached_property
    def joined(self) -> Shape:
        """The shape of the output."""
        if self.expression is not None:
            return self._computed_shape(self.expression)
        if self.mode == "concat":
            return self._concat_shape()
        if self.mode == "dot":
            return self._dot_shape()
        first = self.shapes[0]
        for shape in self.shapes[1:]:
            if shape != first:
                raise self._clash(shape, f'Mode "{self.mode}" takes equal shapes.')
        return self._dot_shape() if self.mode == "cos" else first

    def _computed_shape(self, expression: Expression) -> Shape:
        place = self.mode.place if isinstance(self.mode, Function) else ()
        with within("config"):
            with within("mode", *place):
                inferred = infer(expression, self.shapes, many=True)
            return agreed(inferred, self.declared_shape, self.shapes, f"Layer {self.name} (Merge)")

    def _clash(self, shape: Shape, rule: str) -> ShapeMismatch:
        index = self.shapes.index(shape)
        return ShapeMismatch(
            f"Layer {self.name} (Merge) gets {shape_text(self.shapes[0])} from {self.layers[0].name} and "
            f"{shape_text(shape)} from {self.layers[index].name}. {rule}"
        )

    def _concat_shape(self) -> Shape:
        rank = len(self.shapes[0])
        axis = self._axis(self.concat_axis, rank, "concat_axis")
        for shape in self.shapes[1:]:
            if len(shape) != rank or any(
                a != b for at, (a, b) in enumerate(zip(shape, self.shapes[0], strict=True)) if at != axis
            ):
                raise self._clash(shape, f'Mode "concat" takes shapes that are equal but for axis {axis}.')
        lengths = [shape[axis] for shape in self.shapes]
        total = None if None in lengths else sum(each or 0 for each in lengths)
        return (*self.shapes[0][:axis], total, *self.shapes[0][axis + 1 :])

    def _axis(self, axis: int, rank: int, argument: str) -> int:
        found = axis + rank if axis < 0 else axis
        if not 0 < found < rank:
            raise BadArgument(
                f"`{argument}` must be an axis from 1 to {rank - 1} (0 is the batch's), or counted from the end, but "
                f"got {axis}.",
                f"/config/{argument}",
            )
        return found

    @cached_property
    def _summed(self) -> tuple[int, int]:
        """The axis of each branch that a product is summed over."""
        a, b = self.dot_axes if isinstance(self.dot_axes, tuple) else (self.dot_axes, self.dot_axes)
        left, right = self.shapes
        return self._axis(a, len(left), "dot_axes"), self._axis(b, len(right), "dot_axes")

    def _dot_shape(self) -> Shape:
        (a, b), (left, right) = self._summed, self.shapes
        if left[a] != right[b]:
            raise self._clash(right, f"Their axes {a} and {b} are multiplied and must be equally long.")
        shape = (*left[:a], *left[a + 1 :], *right[1:b], *right[b + 1 :])
        return shape if len(shape) > 1 else (*shape, 1)

    def _join(self, outputs: Sequence[Tensor]) -> Tensor:
        import torch

        if self.expression is not None:
            with within("config", "mode", "source"):
                return self.expression.of(tuple(outputs))
        if self.mode == "concat":
            return torch.cat(list(outputs), self.concat_axis)
        if self.mode == "dot":
            return batch_product(outputs[0], outputs[1], *self._summed)
        if self.mode == "cos":
            return self._cosine(outputs[0], outputs[1])
        total = reduce(JOINS[str(self.mode)], outputs)
        return total / len(outputs) if self.mode == "ave" else total

    def _cosine(self, left: Tensor, right: Tensor) -> Tensor:
        axes = self._summed
        squares = batch_product(left, left, *axes) * batch_product(right, right, *axes)
        return batch_product(left, right, *axes) / squares.clamp(min=EPSILON**2).sqrt()


JOINS: Mapping[str, Any] = {
    "sum": lambda left, right: left + right,
    "ave": lambda left, right: left + right,
    "mul": lambda left, right: left * right,
    "max": larger,
}


def _declared(branch: Layer) -> Shape:
    shape = branch.first_shape()
    if shape is None:
        raise BadModel(
            f"Branch {branch.name} of a Merge must declare the shape of its input: give its first layer `input_shape`."
        )
    return shape
