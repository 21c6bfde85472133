"""Wrappers: a layer at every step of a sequence, and a recurrent layer in both directions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any

from engine.arguments import Shape, one_of
from engine.errors import BadArgument, BadModel, ShapeMismatch, within
from engine.layer import Layer, Memory, OneLayer, Part, Settle, Weight, Weights, by_layer, layer, shape_text

if TYPE_CHECKING:
    from torch import Tensor

    from engine.run import Run


def _inner_weights(inner: Layer, input_shape: Shape) -> Iterator[Weight]:
    for each in inner.weights(input_shape):
        yield replace(each, name=f"{inner.name}/{each.name}", trainable=each.trainable and inner.trainable)


def _run_inner(inner: Layer, x: Tensor, w: Weights, run: Run) -> Tensor:
    with run.scoped(inner.name):
        return inner.call(x, by_layer(w).get(inner.name, {}), run)


@layer()
class TimeDistributed(Layer):
    """Applies a layer to every step of a sequence; all steps share its weights.

    Args:
        layer: Any layer or model that keeps no state and takes one input.

    Shape:
        `(n, steps, ...) -> (n, steps, ...)`, the rest as the layer has it

    Weights:
        Those of the layer, under `layer/weight`.

    Raises:
        BadModel: The layer cannot stand at every step.
        ShapeMismatch: The input is no sequence, or its steps do not fit the layer.
    """

    layer: OneLayer

    holds = ("layer",)
    supports_masking = True

    def check_rank(self, input_shape: Shape) -> None:
        if len(input_shape) < 3:
            raise ShapeMismatch(
                f"Layer {self.name} (TimeDistributed) takes sequences, (n, steps, ...), but gets "
                f"{shape_text(input_shape)}."
            )

    def holding(self, input_shape: Shape | None, settle: Settle) -> Layer:
        with within("layer"):
            if self.layer.transparent or len(self.layer.inputs()) > 1:
                raise BadModel("TimeDistributed takes a layer of one input, not a Merge.")
            return replace(self, layer=settle(self.layer, _step(input_shape or ())))

    def output_shape(self, input_shape: Shape) -> Shape:
        with within("config", "layer"):
            step = _step(input_shape)
            self.layer.check_rank(step)
            self.layer.masked(False)
            if getattr(self.layer, "stateful", False):
                raise BadModel("TimeDistributed takes a layer that keeps no state: set `stateful` to false.")
            output = self.layer.output_shape(step)
            return (*input_shape[:2], *output[1:])

    def weights(self, input_shape: Shape) -> Iterator[Weight]:
        return _inner_weights(self.layer, _step(input_shape))

    def parts(self, input_shape: Shape) -> Iterator[Part]:
        yield Part("layer", self.layer, _step(input_shape))

    def call(self, x: Tensor, w: Weights, run: Run) -> Tensor:
        mask, run.mask = run.mask, None
        y = _run_inner(self.layer, x.flatten(0, 1), w, run)
        run.mask = mask
        return y.reshape(*x.shape[:2], *y.shape[1:])


def _step(input_shape: Shape) -> Shape:
    """Return the shape of one step, as a batch of any size."""
    return (None, *input_shape[2:])


@layer()
class Bidirectional(Layer):
    """Runs a recurrent layer over a sequence forwards, a second one backwards, and joins what they give.

    Args:
        layer: The recurrent layer that goes forwards; the second one is its twin.
        merge_mode: How the two are joined: along the last axis, added, multiplied or averaged.

    Shape:
        That of the layer, its last axis twice as long with "concat"

    Weights:
        Those of the two layers, under `forward_layer/weight` and `backward_layer/weight`.

    Raises:
        BadArgument: The layer is not recurrent, or `merge_mode` is null.
    """

    layer: OneLayer
    merge_mode: Annotated[str, one_of("concat", "sum", "mul", "ave")] = "concat"

    holds = ("layer",)
    supports_masking = True

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Bidirectional:
        """Make one from its JSON form."""
        if isinstance(config, Mapping) and "merge_mode" in config and config["merge_mode"] is None:
            raise BadArgument(
                '`merge_mode` null gives two outputs, which no layer of a Sequential takes. Give "concat", "sum", '
                '"mul" or "ave".',
                "/merge_mode",
            )
        return super().from_config(config)

    def check(self) -> None:
        if not hasattr(self.layer, "go_backwards"):
            raise BadArgument(f"Bidirectional takes a recurrent layer, but got {type(self.layer).__name__}.", "/layer")

    def holding(self, input_shape: Shape | None, settle: Settle) -> Layer:
        with within("layer"):
            settled: Any = settle(self.layer, input_shape)
        as_written = {"input_dim": self.layer.input_dim} if hasattr(self.layer, "input_dim") else {}
        return replace(self, layer=replace(settled, **as_written))

    @cached_property
    def _twins(self) -> tuple[Any, Any]:
        inner: Any = self.layer
        forward = replace(inner, name=f"forward_{inner.name}")
        backward = replace(inner, name=f"backward_{inner.name}", go_backwards=not inner.go_backwards)
        return forward, backward

    def check_rank(self, input_shape: Shape) -> None:
        with within("config", "layer"):
            self.layer.check_rank(input_shape)

    def output_shape(self, input_shape: Shape) -> Shape:
        with within("config", "layer"):
            shape = self.layer.output_shape(input_shape)
        return (*shape[:-1], (shape[-1] or 0) * 2) if self.merge_mode == "concat" else shape

    def weights(self, input_shape: Shape) -> Iterator[Weight]:
        for twin in self._twins:
            yield from _inner_weights(twin, input_shape)

    def parts(self, input_shape: Shape) -> Iterator[Part]:
        for role, twin in zip(("forward_layer", "backward_layer"), self._twins, strict=True):
            yield Part(role, twin, input_shape)

    def memories(self, input_shape: Shape) -> Iterator[Memory]:
        for twin in self._twins:
            for each in twin.memories(input_shape):
                yield replace(each, name=f"{twin.name}/{each.name}")

    def masked(self, incoming: bool) -> bool:
        return self.layer.masked(incoming)

    def call(self, x: Tensor, w: Weights, run: Run) -> Tensor:
        forward, backward = self._twins
        mask = run.mask
        one = _run_inner(forward, x, w, run)
        run.mask = mask
        other = _run_inner(backward, x, w, run)
        if forward.return_sequences:
            other = other.flip(1)
        return JOINS[self.merge_mode](one, other)


def _concatenated(one: Tensor, other: Tensor) -> Tensor:
    import torch

    return torch.cat([one, other], -1)


JOINS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "concat": _concatenated,
    "sum": lambda one, other: one + other,
    "mul": lambda one, other: one * other,
    "ave": lambda one, other: (one + other) / 2,
}
