"""ConvLSTM2D: an LSTM whose steps are images."""

# ruff: noqa: N815  # `dropout_W` and `dropout_U` are Keras 1's names
from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from engine import activations
from engine.activations import ACTIVATIONS, check_activation
from engine.arguments import DimOrdering, Fraction, PositiveInt, Shape
from engine.layer import Weight, Weights, known_axis, layer
from engine.layers.core import dropped
from engine.layers.kernels import convolve
from engine.layers.recurring import Recurring, like_states
from engine.layers.windows import Border, KeepingBorder, Two, Windows, channels_back, channels_first
from engine.regularizers import Regularizer
from engine.spreads import Initialization

if TYPE_CHECKING:
    from torch import Tensor

    from engine.layers.recurring import States
    from engine.run import Run

GATES = ("i", "c", "f", "o")


@layer()
class ConvLSTM2D(Recurring):
    """An LSTM whose products are convolutions, and whose states are images.

    Args:
        nb_filter: Number of channels of the output.
        nb_row: How many rows the kernels see.
        nb_col: How many columns the kernels see.
        init: How the kernels `W` start; see `initializations`.
        inner_init: How the kernels `U` start.
        forget_bias_init: How the bias of the gate `f` starts; the others start at zero.
        activation: Applied to the new memory and to the output; see `activations`.
        inner_activation: Applied to the gates.
        dim_ordering: Where the channels are: "th" first, "tf" last.
        border_mode: "valid" takes whole windows of the input only, "same" keeps its size (divided by the step);
            "same_tf" is later Keras's "same".
        inner_border_mode: How the kernels `U` see what lies beyond the border: "same" or later Keras's, "same_tf".
        subsample: How far a window of the input lies from the next, in rows and columns.
        W_regularizer: Taken for compatibility; as in Keras 1.2.2 nothing is punished.
        U_regularizer: Taken for compatibility likewise.
        b_regularizer: Taken for compatibility likewise.
        dropout_W: Share of the inputs that each sequence drops while training, for each gate its own.
        dropout_U: Share of the fed-back output that each sequence drops likewise.

    Shape:
        th `(n, steps, channels, rows, columns) -> (n, nb_filter, new rows, new columns)`,
        tf `(n, steps, rows, columns, channels) -> (n, new rows, new columns, nb_filter)`; with `return_sequences`,
        the steps stay

    Weights:
        For each gate i, c, f, o: `W` th `(nb_filter, channels, nb_row, nb_col)`, tf `(nb_row, nb_col, channels,
        nb_filter)`; `U` with `nb_filter` channels; `b (nb_filter,)`.

    Raises:
        BadModel: A stateful layer does not know the batch size, or its images' size.
        ShapeMismatch: The input is no sequence of images, or the window does not fit.
    """

    nb_filter: PositiveInt
    nb_row: PositiveInt
    nb_col: PositiveInt
    init: Initialization = "glorot_uniform"
    inner_init: Initialization = "orthogonal"
    forget_bias_init: Initialization = "one"
    activation: activations.Activation = "tanh"
    inner_activation: activations.Activation = "hard_sigmoid"
    dim_ordering: DimOrdering = "default"
    border_mode: Border = "valid"
    subsample: Two = (1, 1)
    W_regularizer: Regularizer | None = None
    U_regularizer: Regularizer | None = None
    b_regularizer: Regularizer | None = None
    dropout_W: Fraction = 0.0
    dropout_U: Fraction = 0.0
    inner_border_mode: KeepingBorder = "same"

    input_rank = 5
    remembers = ("h", "c")
    gates = len(GATES)
    unwritten = frozenset(
        {
            "subsample",
            "W_regularizer",
            "U_regularizer",
            "b_regularizer",
            "dropout_W",
            "dropout_U",
            "inner_border_mode",
            "zero_masked",
        },
    )

    @property
    def windows(self) -> Windows:
        """The windows on the input."""
        return Windows((self.nb_row, self.nb_col), self.subsample, self.border_mode, self.dim_ordering)

    @property
    def inner_windows(self) -> Windows:
        """The windows on the fed-back output, which keep its size."""
        return Windows((self.nb_row, self.nb_col), (1, 1), self.inner_border_mode, self.dim_ordering)

    def channels(self, input_shape: Shape) -> int:
        """Return the number of channels of an image."""
        return known_axis(self, input_shape, 2 if self.dim_ordering == "th" else -1)

    def state_shape(self, input_shape: Shape) -> Shape:
        self.channels(input_shape)
        check_activation(self.activation, 4)
        check_activation(self.inner_activation, 4)
        return self.windows.shape(self, (input_shape[0], *input_shape[2:]), self.nb_filter)

    def weights(self, input_shape: Shape) -> Iterator[Weight]:
        for gate in GATES:
            bias = self.forget_bias_init if gate == "f" else "zero"
            yield self.kernel(f"W_{gate}", self.channels(input_shape), "init")
            yield self.kernel(f"U_{gate}", self.nb_filter, "inner_init")
            yield Weight(f"b_{gate}", (self.nb_filter,), bias, argument="forget_bias_init")

    def kernel(self, name: str, channels: int, argument: str) -> Weight:
        """Describe a kernel; as in Keras 1.2.2 it starts as if the channels came first, wherever they are."""
        size = (self.nb_row, self.nb_col)
        first = self.dim_ordering == "th"
        shape = (self.nb_filter, channels, *size) if first else (*size, channels, self.nb_filter)
        return Weight(name, shape, getattr(self, argument), flips=(2, 3) if first else (0, 1), argument=argument)

    def kernels(self, w: Weights, name: str) -> Tensor:
        """Return the kernels of all gates, `(4 * filters, channels, rows, columns)`, as torch has them."""
        from torch import cat

        whole = [w[f"{name}_{gate}"] for gate in GATES]
        return cat(whole if self.dim_ordering == "th" else [each.permute(3, 2, 0, 1) for each in whole])

    def sequence(self, x: Tensor, w: Weights, mask: Tensor | None, run: Run) -> tuple[Tensor, States]:
        from torch import cat

        from engine.layers.loops import step_by_step

        phi, sigma = ACTIVATIONS[self.activation], ACTIVATIONS[self.inner_activation]
        if self.dim_ordering == "tf":
            x = x.movedim(-1, 2)
        b = cat([w[f"b_{gate}"] for gate in GATES])
        drop = self.drop(x[0], self.dropout_W, run)
        z = convolved(x.flatten(0, 1), self.kernels(w, "W"), b, self.windows, drop)
        z = z.view(*x.shape[:2], *z.shape[1:])
        states = self.first_states(w, channels_back(z[0, :, : self.nb_filter], self.dim_ordering))
        drop, U = self.drop(z[0, :, : self.nb_filter], self.dropout_U, run), self.kernels(w, "U")

        def step(z: Tensor, states: States) -> States:
            h, c = states
            i, new, f, o = (z + convolved(h, U, None, self.inner_windows, drop)).chunk(4, 1)
            c = sigma(f) * c + sigma(i) * phi(new)
            return sigma(o) * phi(c), c

        kept = None if mask is None else like_states(mask, z)
        ys, after = step_by_step(step, z, tuple(channels_first(each, self.dim_ordering) for each in states), kept)
        back = tuple(channels_back(each, self.dim_ordering) for each in after)
        return (ys if self.dim_ordering == "th" else ys.movedim(2, -1)), back

    def drop(self, images: Tensor, p: float, run: Run) -> Tensor | None:
        """Draw what dropout multiplies images with, `(n, 4, channels, rows, columns)`, if it does anything."""
        if not run.training or not 0.0 < p < 1.0:
            return None
        ones = images.new_ones(len(images), len(GATES), *images.shape[1:])
        return dropped(ones, p, tuple(ones.shape), run)


def convolved(x: Tensor, kernels: Tensor, b: Tensor | None, windows: Windows, drop: Tensor | None) -> Tensor:
    """Convolve images, or steps of them, with the kernels of all gates, each after its own dropout."""
    if drop is None:
        return convolve(x, kernels, b, windows)
    each = (x.view(-1, len(drop), 1, *x.shape[1:]) * drop).flatten(0, 1).flatten(1, 2)
    return convolve(each, kernels, b, windows, groups=len(GATES))
