"""SimpleRNN, GRU and LSTM: layers that go through a sequence step by step."""

# ruff: noqa: N815  # `dropout_W` and `dropout_U` are Keras 1's names
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from engine import activations
from engine.arguments import Fraction, Json, PositiveInt, Shape, one_of
from engine.errors import BadArgument, BadModel, ShapeMismatch
from engine.layer import Layer, Weight, Weights, known_axis, layer, shape_text
from engine.layers.core import dropped
from engine.layers.recurring import Recurring, like_states
from engine.regularizers import Regularizer
from engine.spreads import Initialization, Start

if TYPE_CHECKING:
    from torch import Tensor

    from engine.layers.recurring import States
    from engine.run import Run

#: Arguments that Keras 1 lacks, on all recurrent layers.
EXTENSIONS = frozenset({"bias", "zero_masked"})
ConsumeLess = Annotated[str, one_of("cpu", "mem", "gpu")]


@dataclass(frozen=True, kw_only=True)
class OfVectors(Recurring):
    """A recurrent layer whose steps are vectors.

    Args:
        unroll: Taken for compatibility: the result is the same, but the number of steps must be known.
        consume_less: How weights lie and what dropout shares: "gpu" joins the weights of all gates in one matrix,
            "cpu" and "mem" do not. The result is the same.
        input_dim: Width of the input; for a first layer. Loses against `batch_input_shape`, wins over `input_shape`.
        input_length: Number of steps of the input; for a first layer with `input_dim`.
    """

    unroll: bool = False
    consume_less: ConsumeLess = "cpu"
    input_dim: PositiveInt | None = None
    input_length: PositiveInt | None = None

    input_rank = 3

    def first_shape(self) -> Shape | None:
        if self.batch_input_shape is None and self.input_dim is not None:
            return (None, self.input_length, self.input_dim)
        return super().first_shape()

    def settled(self, input_shape: Shape) -> Layer:
        """Fill in `input_dim`, or where states need it the whole input shape, as Keras 1 does."""
        self.check_steps(input_shape)
        if self.stateful:
            whole = replace(self, input_dim=None, input_length=None)
            return replace(whole, batch_input_shape=input_shape)
        return replace(self, input_dim=input_shape[-1])

    def get_config(self) -> dict[str, Json]:
        config = super().get_config()
        if self.stateful and self.batch_input_shape is not None:
            del config["input_dim"], config["input_length"]
        return config

    def check_steps(self, input_shape: Shape) -> None:
        """Refuse a number of steps that the arguments do not allow."""
        steps = input_shape[1]
        if self.unroll and steps is None:
            raise BadModel(
                f"Layer {self.name} ({type(self).__name__}) can only be unrolled over a known number of steps, but "
                f"gets {shape_text(input_shape)}. Give the steps in `input_shape`, or leave `unroll` false: the "
                "result is the same.",
                "/config/unroll",
            )
        if self.input_length is not None and steps is not None and steps != self.input_length:
            raise ShapeMismatch(
                f"Layer {self.name} ({type(self).__name__}) has an `input_length` of {self.input_length}, but gets "
                f"{shape_text(input_shape)}.",
                "/config/input_length",
            )


class Gated(OfVectors):
    """How SimpleRNN, GRU and LSTM compute; their gates differ."""

    output_dim: int
    init: Start
    inner_init: Start
    activation: str
    W_regularizer: Any
    U_regularizer: Any
    b_regularizer: Any
    dropout_W: float
    dropout_U: float
    bias: bool

    #: The gates in the order of a file, where each has weights of its own; none where there is but one matrix.
    apart: ClassVar[tuple[str, ...]] = ()
    #: The gates in the order of the joined matrices.
    joined: ClassVar[tuple[str, ...]] = ("h",)
    #: The gates in the order of the cell that computes.
    computed: ClassVar[tuple[str, ...]] = ("h",)

    def state_shape(self, input_shape: Shape) -> Shape:
        known_axis(self, input_shape)
        return (input_shape[0], self.output_dim)

    def bias_init(self, gate: str) -> Start:
        """Name how a gate's bias starts."""
        return getattr(self, "forget_bias_init", "zero") if gate == "f" else "zero"

    @property
    def cell(self) -> str:
        """The cell that computes, as `loops` calls it."""
        return "ResetAfterGRU" if getattr(self, "reset_after", False) else type(self).__name__

    @property
    def are_apart(self) -> bool:
        """Whether each gate has weights of its own."""
        return bool(self.apart) and self.consume_less != "gpu"

    def weights(self, input_shape: Shape) -> Iterator[Weight]:
        d, H = known_axis(self, input_shape), self.output_dim
        if not self.are_apart:
            width = len(self.joined) * H
            biases = tuple(self.bias_init(gate) for gate in self.joined)
            yield Weight("W", (d, width), self.init, self.W_regularizer)
            yield Weight("U", (H, width), self.inner_init, self.U_regularizer, argument="inner_init")
            if self.bias:
                rows = (2, width) if getattr(self, "reset_after", False) else (width,)
                yield Weight("b", rows, biases, self.b_regularizer, argument="forget_bias_init")
            return
        for gate in self.apart:  # as in Keras 1.2.2, U starts and is punished as W is
            bias = self.bias_init(gate)
            yield Weight(f"W_{gate}", (d, H), self.init, self.W_regularizer)
            yield Weight(f"U_{gate}", (H, H), self.init, self.W_regularizer)
            if self.bias:
                yield Weight(f"b_{gate}", (H,), bias, self.b_regularizer, argument="forget_bias_init")

    def packed(self, w: Weights) -> tuple[Tensor, Tensor, Tensor]:
        """Return W, U and b with the gates side by side, in the order of the cell."""
        from torch import cat

        def pack(name: str) -> Tensor:
            if self.are_apart:
                return cat([w[f"{name}_{gate}"] for gate in self.computed], -1)
            if self.joined == self.computed:
                return w[name]
            pieces = dict(zip(self.joined, w[name].chunk(len(self.joined), -1), strict=True))
            return cat([pieces[gate] for gate in self.computed], -1)

        W = pack("W")
        return W, pack("U"), pack("b") if self.bias else W.new_zeros(W.shape[-1])

    def sequence(self, x: Tensor, w: Weights, mask: Tensor | None, run: Run) -> tuple[Tensor, States]:
        from engine.layers import loops

        kind = loops.Kind(self.cell, self.activation, getattr(self, "inner_activation", "linear"))
        W, U, b = self.packed(w)
        b, fed_back = b if b.ndim == 2 else (b, None)
        drops = self.drops_of_states(x, run)
        written = drops is None and loops.by_hand(kind)
        if written:
            U = loops.with_bias(U, fed_back) if kind.cell == "ResetAfterGRU" else U
            W, U, b = loops.folded(kind, W, U, b)
        z = self.projected(x, W, b, run)
        states = self.first_states(w, z[0, :, : self.output_dim])
        kept = None if mask is None else like_states(mask, z)
        if written:
            return loops.recur(kind, z, U, states, kept)
        return loops.step_by_step(loops.plain_step(kind, U, drops, fed_back), z, states, kept)

    def projected(self, x: Tensor, W: Tensor, b: Tensor, run: Run) -> Tensor:
        """Return `x @ W + b` of all steps; a sequence has one mask of dropout for all its steps."""
        from torch import addmm, cat

        def product(x: Tensor, W: Tensor, b: Tensor) -> Tensor:
            return addmm(b, x.reshape(-1, x.shape[-1]), W).view(*x.shape[:2], -1)

        shape = tuple(x.shape[1:])
        if not self.are_apart:
            heeded = bool(self.apart) or self.consume_less == "cpu"  # SimpleRNN forgets it elsewhere
            return product(dropped(x, self.dropout_W, shape, run) if heeded else x, W, b)
        if not run.training or not 0.0 < self.dropout_W < 1.0:
            return product(x, W, b)
        gates = zip(W.chunk(len(self.computed), -1), b.chunk(len(self.computed)), strict=True)
        return cat([product(dropped(x, self.dropout_W, shape, run), *each) for each in gates], -1)

    def drops_of_states(self, x: Tensor, run: Run) -> list[Tensor] | None:
        """Draw what dropout multiplies the state with, for each gate, if it does anything."""
        if not run.training or not 0.0 < self.dropout_U < 1.0:
            return None
        ones = x.new_ones(x.shape[1], self.output_dim)
        count = len(self.computed) if self.are_apart else 1
        masks = [dropped(ones, self.dropout_U, tuple(ones.shape), run) for _ in range(count)]
        return masks if self.are_apart else masks * len(self.computed)


@layer()
class SimpleRNN(Gated):
    """Feeds its output back: `h = activation(x @ W + b + h @ U)`.

    Args:
        output_dim: Width of the output.
        init: How `W` starts; see `initializations`.
        inner_init: How `U` starts.
        activation: Applied to each step's result; see `activations`.
        W_regularizer: Penalty on `W`.
        U_regularizer: Penalty on `U`.
        b_regularizer: Penalty on `b`.
        dropout_W: Share of the inputs that each sequence drops while training; heeded only with `consume_less` "cpu".
        dropout_U: Share of the fed-back outputs that each sequence drops while training.
        bias: Whether to add `b`.

    Shape:
        `(n, steps, input_dim) -> (n, output_dim)`; with `return_sequences`, `(n, steps, output_dim)`

    Weights:
        `W (input_dim, output_dim)`, `U (output_dim, output_dim)`, `b (output_dim,)`

    Raises:
        BadModel: A stateful layer does not know the batch size, or an unrolled one the number of steps.
        ShapeMismatch: The input is no sequence of vectors of known width.
    """

    output_dim: PositiveInt
    init: Initialization = "glorot_uniform"
    inner_init: Initialization = "orthogonal"
    activation: activations.Activation = "tanh"
    W_regularizer: Regularizer | None = None
    U_regularizer: Regularizer | None = None
    b_regularizer: Regularizer | None = None
    dropout_W: Fraction = 0.0
    dropout_U: Fraction = 0.0
    bias: bool = True

    unwritten = EXTENSIONS


@layer()
class GRU(Gated):
    """Keeps a state behind two gates.

    `z = inner(x @ W_z + h @ U_z + b_z)`, `r = inner(x @ W_r + h @ U_r + b_r)`,
    `h = z * h + (1 - z) * activation(x @ W_h + (r * h) @ U_h + b_h)`.

    Args:
        output_dim: Width of the output.
        init: How `W` starts, and `U` unless `consume_less` is "gpu"; see `initializations`.
        inner_init: How `U` starts where `consume_less` is "gpu".
        activation: Applied to the new state; see `activations`.
        inner_activation: Applied to the gates.
        W_regularizer: Penalty on `W`, and on `U` unless `consume_less` is "gpu".
        U_regularizer: Penalty on `U` where `consume_less` is "gpu".
        b_regularizer: Penalty on `b`.
        dropout_W: Share of the inputs that each sequence drops while training, for each gate its own unless
            `consume_less` is "gpu".
        dropout_U: Share of the fed-back state that each sequence drops likewise.
        bias: Whether to add `b`.
        reset_after: Whether `r` acts after the product, as by default in Keras 3: `r * (h @ U_h + c_h)`, where the
            fed-back products have a bias `c` of their own. `consume_less` must be "gpu".

    Shape:
        `(n, steps, input_dim) -> (n, output_dim)`; with `return_sequences`, `(n, steps, output_dim)`

    Weights:
        For each gate z, r, h: `W (input_dim, output_dim)`, `U (output_dim, output_dim)`, `b (output_dim,)`; with
        `consume_less` "gpu", one of each with the gates side by side. With `reset_after` `b` has two rows, the second
        of which is `c`.

    Raises:
        BadArgument: `reset_after` without `consume_less` "gpu".
        BadModel: A stateful layer does not know the batch size, or an unrolled one the number of steps.
        ShapeMismatch: The input is no sequence of vectors of known width.
    """

    output_dim: PositiveInt
    init: Initialization = "glorot_uniform"
    inner_init: Initialization = "orthogonal"
    activation: activations.Activation = "tanh"
    inner_activation: activations.Activation = "hard_sigmoid"
    W_regularizer: Regularizer | None = None
    U_regularizer: Regularizer | None = None
    b_regularizer: Regularizer | None = None
    dropout_W: Fraction = 0.0
    dropout_U: Fraction = 0.0
    bias: bool = True
    reset_after: bool = False

    unwritten = EXTENSIONS | {"reset_after"}
    gates = 3
    apart = ("z", "r", "h")
    joined = ("z", "r", "h")
    computed = ("r", "z", "h")

    def check(self) -> None:
        if self.reset_after and self.are_apart:
            raise BadArgument('`reset_after` needs `consume_less` "gpu": its gates lie side by side.', "/consume_less")


@layer()
class LSTM(Gated):
    """Keeps a long memory `c` behind three gates.

    `i`, `f` and `o` are `inner(x @ W + h @ U + b)`, each with weights of its own;
    `c = f * c + i * activation(x @ W_c + h @ U_c + b_c)`, `h = o * activation(c)`.

    Args:
        output_dim: Width of the output.
        init: How `W` starts, and `U` unless `consume_less` is "gpu"; see `initializations`.
        inner_init: How `U` starts where `consume_less` is "gpu".
        forget_bias_init: How the bias of the gate `f` starts; the others start at zero.
        activation: Applied to the new memory and to the output; see `activations`.
        inner_activation: Applied to the gates.
        W_regularizer: Penalty on `W`, and on `U` unless `consume_less` is "gpu".
        U_regularizer: Penalty on `U` where `consume_less` is "gpu".
        b_regularizer: Penalty on `b`.
        dropout_W: Share of the inputs that each sequence drops while training, for each gate its own unless
            `consume_less` is "gpu".
        dropout_U: Share of the fed-back output that each sequence drops likewise.
        bias: Whether to add `b`.

    Shape:
        `(n, steps, input_dim) -> (n, output_dim)`; with `return_sequences`, `(n, steps, output_dim)`

    Weights:
        For each gate i, c, f, o: `W (input_dim, output_dim)`, `U (output_dim, output_dim)`, `b (output_dim,)`; with
        `consume_less` "gpu", one of each with the gates side by side in the order i, f, c, o.

    Raises:
        BadModel: A stateful layer does not know the batch size, or an unrolled one the number of steps.
        ShapeMismatch: The input is no sequence of vectors of known width.
    """

    output_dim: PositiveInt
    init: Initialization = "glorot_uniform"
    inner_init: Initialization = "orthogonal"
    forget_bias_init: Initialization = "one"
    activation: activations.Activation = "tanh"
    inner_activation: activations.Activation = "hard_sigmoid"
    W_regularizer: Regularizer | None = None
    U_regularizer: Regularizer | None = None
    b_regularizer: Regularizer | None = None
    dropout_W: Fraction = 0.0
    dropout_U: Fraction = 0.0
    bias: bool = True

    unwritten = EXTENSIONS
    gates = 4
    apart = ("i", "c", "f", "o")
    joined = ("i", "f", "c", "o")
    computed = ("o", "i", "f", "c")
    remembers = ("h", "c")
