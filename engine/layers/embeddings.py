"""Embedding: a learned row for each index."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.arguments import Fraction, PositiveInt, Shape
from engine.constraints import Constraint
from engine.errors import BadData, ShapeMismatch
from engine.layer import Layer, Weight, Weights, layer, shape_text
from engine.layers.core import dropped
from engine.regularizers import Regularizer
from engine.spreads import Initialization

if TYPE_CHECKING:
    from torch import Tensor

    from engine.run import Run

#: So many rows of data are looked through at a time.
BLOCK_ROWS = 65_536


@layer()
class Embedding(Layer):
    """Turns each index into a row of `W`; an index that a layer before it computes out of range gives NaN.

    Args:
        input_dim: How many indices there are: 0 to `input_dim - 1`.
        output_dim: Width of a row.
        init: How `W` starts; see `initializations`.
        input_length: How many indices a sample has; any number when absent.
        W_regularizer: Penalty on `W`.
        activity_regularizer: Penalty on the output, summed over the batch.
        W_constraint: Applied to `W` after every update.
        mask_zero: Whether index 0 marks steps to pass over; its row is learned and given out all the same.
        dropout: Share of the rows of `W` that each batch drops while training; the others are scaled up.

    Shape:
        `(n, input_length) -> (n, input_length, output_dim)`

    Weights:
        `W (input_dim, output_dim)`

    Raises:
        BadArgument: An argument is not of its kind.
        ShapeMismatch: Samples have another length than `input_length`.
        BadData: An index of the data is out of range.
    """

    input_dim: PositiveInt
    output_dim: PositiveInt
    init: Initialization = "uniform"
    input_length: PositiveInt | None = None
    W_regularizer: Regularizer | None = None
    activity_regularizer: Regularizer | None = None
    W_constraint: Constraint | None = None
    mask_zero: bool = False
    dropout: Fraction = 0.0

    input_rank = 2
    natural_dtype = "int32"

    def first_shape(self) -> Shape | None:
        if self.batch_input_shape is None and (self.input_shape is None or self.input_length is not None):
            return (None, self.input_length)
        return super().first_shape()

    def check_values(self, rows: NDArray[Any]) -> None:
        for start in range(0, len(rows), BLOCK_ROWS):
            block = np.asarray(rows[start : start + BLOCK_ROWS])
            good = (block > -1) & (block < self.input_dim)  # a fraction is cut off, and NaN is neither
            if not good.all():
                row, position = (int(each) for each in np.argwhere(~good)[0][:2])
                raise BadData(
                    f"Row {start + row} of the input holds {block[row, position]} at position {position}, but layer "
                    f"{self.name} (Embedding) takes indices from 0 to {self.input_dim - 1}. Give it a larger "
                    "`input_dim`, or the data smaller indices."
                )

    def output_shape(self, input_shape: Shape) -> Shape:
        length = input_shape[1]
        if length is not None and self.input_length is not None and length != self.input_length:
            raise ShapeMismatch(
                f"Layer {self.name} (Embedding) has an `input_length` of {self.input_length}, but gets "
                f"{shape_text(input_shape)}."
            )
        return (input_shape[0], length or self.input_length, self.output_dim)

    def masked(self, incoming: bool) -> bool:
        return self.mask_zero

    def weights(self, input_shape: Shape) -> Iterator[Weight]:
        shape = (self.input_dim, self.output_dim)
        yield Weight("W", shape, self.init, self.W_regularizer, self.W_constraint)

    def call(self, x: Tensor, w: Weights, run: Run) -> Tensor:
        from torch.nn.functional import embedding

        table = dropped(w["W"], self.dropout, (self.input_dim, 1), run)
        good = (x > -1) & (x < self.input_dim)  # layers before this one may compute what no check of the data sees
        if self.mask_zero:
            run.mask = x != 0
        rows = w.get("places", x.where(good, 0).long())  # of a large table, training hands in the batch's rows alone
        y = embedding(rows, table).where(good.unsqueeze(-1), float("nan"))
        if self.activity_regularizer is not None:
            run.penalise(self.activity_regularizer(y))
        return y
