"""Recurrence as one operation: a whole sequence forwards, and its gradient.

A step is one product and a few elementwise operations, on which torch's autograd spends as long again on its books.
`cells` therefore has the loops written out by hand, and here they become operations of torch: opaque ones, so that a
step of training that is traced and compiled holds one node for a sequence instead of thousands. What no loop is written
for, a softmax or dropout inside, takes plain steps.

Sequences have their steps first: `(steps, n, …)`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from engine.activations import ACTIVATIONS
from engine.layers import native
from engine.layers.cells import ACTS, CLIPPED, Cell, GatedCell, LongCell, ResetAfterCell, SimpleCell

States = tuple[Tensor, ...]


class Kind(NamedTuple):
    """Which cell it is, and its activations."""

    cell: str
    activation: str
    inner_activation: str


CELLS: dict[str, type[Cell]] = {
    "SimpleRNN": SimpleCell,
    "GRU": GatedCell,
    "ResetAfterGRU": ResetAfterCell,
    "LSTM": LongCell,
}

GATES = {"SimpleRNN": 1, "GRU": 3, "ResetAfterGRU": 3, "LSTM": 4}


def _cell(cell: str, activation: str, inner: str, z: Tensor, U: Tensor) -> Cell:
    """Choose the loop for a sequence: machine code where there is one for it."""
    compiled = cell in native.LOOPS and native.usable(activation, inner, z, U)
    return (native.LOOPS if compiled else CELLS)[cell](activation, inner)


_LIBRARY: Any = torch.library.Library("trainyard", "DEF")  # type: ignore[no-untyped-call]
_LIBRARY.define(
    "recur(str cell, str activation, str inner, Tensor z, Tensor U, Tensor[] states, Tensor? mask) -> Tensor[]"
)
_LIBRARY.define(
    "recur_backward(str cell, str activation, str inner, Tensor grad, Tensor U, Tensor[] saved, Tensor? mask) "
    "-> (Tensor, Tensor)"
)


def _recur(cell: str, activation: str, inner: str, z: Tensor, U: Tensor, states: list[Tensor], mask: Any) -> Any:
    return _cell(cell, activation, inner, z, U).forward(z, U, states, mask)


def _recur_backward(
    cell: str, activation: str, inner: str, grad: Tensor, U: Tensor, saved: list[Tensor], mask: Any
) -> tuple[Tensor, Tensor]:
    return _cell(cell, activation, inner, grad, U).backward(grad, U, saved, mask)


def _recur_shapes(cell: str, activation: str, inner: str, z: Tensor, U: Tensor, states: list[Tensor], mask: Any) -> Any:
    (steps, n, _), H = z.shape, states[0].shape[-1]
    held = [*(z.new_empty(steps + 1, n, H) for _ in states), torch.empty_like(z)]
    return held if cell == "SimpleRNN" else [*held, torch.empty_like(z), z.new_empty(steps, n, H)]


def _recur_backward_shapes(*arguments: Any) -> tuple[Tensor, Tensor]:
    grad, U = arguments[3:5]
    return grad.new_empty(len(grad), grad.shape[1], U.shape[1]), torch.empty_like(U)


_LIBRARY.impl("recur", _recur, "CompositeExplicitAutograd")
_LIBRARY.impl("recur_backward", _recur_backward, "CompositeExplicitAutograd")
torch.library.register_fake("trainyard::recur", _recur_shapes, lib=_LIBRARY)
torch.library.register_fake("trainyard::recur_backward", _recur_backward_shapes, lib=_LIBRARY)


class _Recurrence(torch.autograd.Function):
    """The outputs of all steps and the last states; a gradient goes through the outputs alone."""

    @staticmethod
    def forward(ctx: Any, kind: Kind, mask: Any, z: Any, U: Any, *states: Any) -> Any:
        saved = torch.ops.trainyard.recur(*kind, z, U, list(states), mask)
        ctx.kind = kind
        ctx.save_for_backward(U, mask, *saved)
        last = tuple(each[-1].clone() for each in saved[: len(states)])
        ctx.mark_non_differentiable(*last)
        return saved[0][1:], *last

    @staticmethod
    def backward(ctx: Any, grad: Any, *last: Any) -> Any:
        U, mask, *saved = ctx.saved_tensors
        dz, dU = torch.ops.trainyard.recur_backward(*ctx.kind, grad, U, saved, mask)
        return None, None, dz, dU, *(None for _ in last)


def by_hand(kind: Kind) -> bool:
    """Tell whether there is a loop written for it."""
    if torch.compiler.is_exporting():  # what is written for another program has to be in plain steps
        return False
    return kind.activation in ACTS and kind.inner_activation in ACTS


def folded(kind: Kind, W: Tensor, U: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Do the `0.2 * z + 0.5` of a hard_sigmoid inside on the weights, once, instead of in every step."""
    H = U.shape[1] // GATES[kind.cell]
    gates = U.shape[1] - H
    if kind.inner_activation not in CLIPPED or not gates:
        return W, U, b
    scale = torch.cat([b.new_full((gates,), CLIPPED[kind.inner_activation]), b.new_ones(H)])
    shift = torch.cat([b.new_full((gates,), 0.5), b.new_zeros(H)])
    return W * scale, U * scale, b * scale + shift


def with_bias(U: Tensor, fed_back: Tensor | None) -> Tensor:
    """Put the bias of a reset-after GRU's products with the state where its loop has it: in the last row of `U`."""
    return torch.cat([U, U.new_zeros(1, U.shape[1]) if fed_back is None else fed_back[None]])


def recur(kind: Kind, z: Tensor, U: Tensor, states: States, mask: Tensor | None) -> tuple[Tensor, States]:
    """Run a cell over a sequence by the loop written for it.

    Args:
        kind: The cell.
        z: `x @ W + b` of all steps with `folded` weights, `(steps, n, gates * H)`.
        U: Folded too, `(H, gates * H)`, with one more row where it is `with_bias`.
        states: What it remembers at first, each `(n, H)`.
        mask: `(steps, n, 1)`; where false, states pass unchanged.

    Returns:
        The output of every step, `(steps, n, H)`, and the states after the last.
    """
    ys, *last = _Recurrence.apply(kind, mask, z, U, *states)  # type: ignore[no-untyped-call]
    return ys, tuple(last)


# -- plain steps --------------------------------------------------------------------------------

Step = Callable[[Tensor, States], States]


def step_by_step(step: Step, z: Tensor, states: States, mask: Tensor | None) -> tuple[Tensor, States]:
    """Run any step over a sequence; the first of its states is its output."""
    ys = []
    for t, each in enumerate(z.unbind()):
        after = step(each, states)
        if mask is not None:
            after = tuple(new.where(mask[t], old) for new, old in zip(after, states, strict=True))
        ys.append(after[0])
        states = after
    return torch.stack(ys), states


def plain_step(kind: Kind, U: Tensor, drops: Sequence[Tensor] | None, fed_back: Tensor | None = None) -> Step:
    """Make the step of a cell for autograd.

    Args:
        kind: The cell.
        U: What the state is multiplied with, `(H, gates * H)`.
        drops: What each gate multiplies the state with before, if it does.
        fed_back: The bias of a reset-after GRU's products with the state.
    """
    gates = U.shape[1] // len(U)
    pieces = U.chunk(gates, -1)
    phi, sigma = ACTIVATIONS[kind.activation], ACTIVATIONS[kind.inner_activation]

    def inner(z: Sequence[Tensor], h: Tensor, gate: int) -> Tensor:
        return z[gate] + (h if drops is None else h * drops[gate]) @ pieces[gate]

    def simple(z: Tensor, states: States) -> States:
        return (phi(inner([z], states[0], 0)),)

    def gated(z: Tensor, states: States) -> States:
        (h,), zs = states, z.chunk(gates, -1)
        r, keep = (sigma(inner(zs, h, gate)) for gate in (0, 1))
        return (keep * h + (1.0 - keep) * phi(inner(zs, r * h, 2)),)

    def reset_after(z: Tensor, states: States) -> States:
        (h,), zs, zero = states, z.chunk(gates, -1), z.new_zeros(())
        back = [inner([zero] * gates, h, gate) for gate in range(gates)]
        if fed_back is not None:
            back = [each + b for each, b in zip(back, fed_back.chunk(gates), strict=True)]
        r, keep = (sigma(zs[gate] + back[gate]) for gate in (0, 1))
        return (keep * h + (1.0 - keep) * phi(zs[2] + r * back[2]),)

    def long(z: Tensor, states: States) -> States:
        (h, c), zs = states, z.chunk(gates, -1)
        o, i, f = (sigma(inner(zs, h, gate)) for gate in (0, 1, 2))
        c = f * c + i * phi(inner(zs, h, 3))
        return o * phi(c), c

    return {"SimpleRNN": simple, "GRU": gated, "ResetAfterGRU": reset_after, "LSTM": long}[kind.cell]
