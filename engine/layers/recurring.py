"""What recurrent layers share: their arguments, their masks, and what stateful ones remember."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, ClassVar, cast

from engine.arguments import Json, Shape
from engine.errors import BadModel, ShapeMismatch
from engine.layer import Layer, Memory, Weights, shape_text

if TYPE_CHECKING:
    from torch import Tensor

    from engine.run import Run

    States = tuple[Tensor, ...]


@dataclass(frozen=True, kw_only=True)
class Recurring(Layer):
    """A layer that goes through a sequence step by step and remembers.

    Args:
        return_sequences: Whether to give the output of every step; else that of the last step alone.
        go_backwards: Whether to go from the last step to the first; sequences stay in the order they are made in.
        stateful: Whether a batch goes on where the batch before it ended, sample by sample.
        zero_masked: Whether steps that do not count give zeros, as in later Keras's Bidirectional; else they repeat the
            output of the step before.
    """

    return_sequences: bool = False
    go_backwards: bool = False
    stateful: bool = False
    zero_masked: bool = False

    #: What it remembers from step to step; the first of them is its output.
    remembers: ClassVar[tuple[str, ...]] = ("h",)
    #: How many gates it has.
    gates: ClassVar[int] = 1

    def check_rank(self, input_shape: Shape) -> None:
        if len(input_shape) != self.input_rank:
            raise ShapeMismatch(
                f"Layer {self.name} ({type(self).__name__}) takes sequences, an input of {self.input_rank} axes with "
                f"the batch's, but gets {shape_text(input_shape)}. If a recurrent layer comes before it, give that one "
                "`return_sequences`: true."
            )

    def settled(self, input_shape: Shape) -> Layer:
        """Fill in the whole input shape where states need it, as Keras 1 does."""
        return replace(self, batch_input_shape=input_shape) if self.stateful else self

    def get_config(self) -> dict[str, Json]:
        config = super().get_config()
        if config.get("input_dtype", "") is None:
            del config["input_dtype"]  # a stateful layer that is not the first
        return config

    def masked(self, incoming: bool) -> bool:
        return incoming and self.return_sequences

    def state_shape(self, input_shape: Shape) -> Shape:
        """Return the shape of its states, batch axis included: that of one step's output."""
        raise NotImplementedError(f"{type(self).__name__} says what it remembers")

    def output_shape(self, input_shape: Shape) -> Shape:
        shape = self.state_shape(input_shape)
        if self.stateful and None in shape:
            raise BadModel(
                f"Layer {self.name} ({type(self).__name__}) is stateful, so all of the shape of its states must be "
                f"known, the number of samples in a batch included, but for an input of {shape_text(input_shape)} it "
                f"is {shape_text(shape)}. Give the model's first layer a `batch_input_shape` with the batch size in "
                "front, such as [32, 10, 64], instead of `input_shape`.",
                "/config/batch_input_shape",
            )
        return (shape[0], input_shape[1], *shape[1:]) if self.return_sequences else shape

    def values(self, input_shape: Shape) -> int:
        """Count its outputs and what training keeps of every step: gates before and after activation, and states."""
        steps = input_shape[1] or 1
        kept = (2 * self.gates + len(self.remembers)) * prod(axis or 1 for axis in self.state_shape(input_shape)[1:])
        return steps * kept + super().values(input_shape)

    def memories(self, input_shape: Shape) -> Iterator[Memory]:
        if self.stateful:
            shape = cast(tuple[int, ...], self.state_shape(input_shape))
            yield from (Memory(name, shape) for name in self.remembers)

    def sequence(self, x: Tensor, w: Weights, mask: Tensor | None, run: Run) -> tuple[Tensor, States]:
        """Go through all steps, in the order they come.

        Args:
            x: The input, `(steps, n, …)`.
            w: The weights and, where it is stateful, what it remembers.
            mask: Which steps count, `(steps, n)`; the others leave the states as they are.
            run: The pass.

        Returns:
            The output of every step, `(steps, n, …)`, and the states after the last.
        """
        raise NotImplementedError(f"{type(self).__name__} says how it goes through a sequence")

    def call(self, x: Tensor, w: Weights, run: Run) -> Tensor:
        order = [0] if self.go_backwards else []
        if run.mask is not None:  # a step that is an image counts if any value of it does
            run.mask = run.mask.reshape(*x.shape[:2], -1).any(-1)
        mask = None if run.mask is None else run.mask.transpose(0, 1).flip(order)
        steps = x.transpose(0, 1)
        ys, states = self.sequence(steps.flip(order) if order else steps, w, mask, run)
        if self.stateful:
            for name, state in zip(self.remembers, states, strict=True):
                run.update(name, state)
            if mask is not None:  # zeros before the first step that counts, whatever it remembers
                ys = ys * like_states(mask.cumsum(0) > 0, ys)
        if self.zero_masked and self.return_sequences and mask is not None:
            ys = ys * like_states(mask, ys)
        if self.return_sequences:
            return ys.transpose(0, 1)
        run.mask = None
        return ys[-1]

    def first_states(self, w: Weights, of: Tensor) -> States:
        """Return what it remembers at first: zeros like `of` unless it is stateful."""
        return tuple(w[name] if self.stateful else of.new_zeros(of.shape) for name in self.remembers)


def like_states(mask: Tensor, ys: Tensor) -> Tensor:
    """Give a mask, `(steps, n)`, as many axes as the outputs have."""
    return mask.reshape(*mask.shape, *(1,) * (ys.ndim - 2))
