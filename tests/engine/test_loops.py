"""The loops written out by hand give the numbers and the gradients of plain steps."""

import pytest
import torch

from engine.activations import ACTIVATIONS
from engine.layers.cells import ACTS
from engine.layers.loops import GATES, Kind, by_hand, folded, plain_step, recur, step_by_step, with_bias

STATES = {"SimpleRNN": 1, "GRU": 1, "ResetAfterGRU": 1, "LSTM": 2}
#: How many biases it has, where it is not one: they lie one after the other.
BIASES = {"ResetAfterGRU": 2}
STEPS, N, D, H = 4, 3, 2, 3
MASK = torch.tensor([[0, 1, 1], [1, 1, 0], [0, 1, 0], [1, 1, 0]]).bool().unsqueeze(-1)


def tensors(cell, dtype=torch.float64):
    generator = torch.Generator().manual_seed(3)
    shapes = [(STEPS, N, D), (D, GATES[cell] * H), (H, GATES[cell] * H), (BIASES.get(cell, 1) * GATES[cell] * H,)]
    leaves = [torch.randn(shape, generator=generator, dtype=dtype).requires_grad_() for shape in shapes]
    states = tuple(torch.randn(N, H, generator=generator, dtype=dtype) for _ in range(STATES[cell]))
    return leaves, states


def by_loop(kind, x, *weights_states_mask):
    W, U, b, states, mask = weights_states_mask
    if kind.cell == "ResetAfterGRU":
        b, fed_back = b.chunk(2)
        U = with_bias(U, fed_back)
    W, U, b = folded(kind, W, U, b)
    return recur(kind, x @ W + b, U, states, mask)


def by_steps(kind, x, *weights_states_mask):
    W, U, b, states, mask = weights_states_mask
    b, fed_back = b.chunk(2) if kind.cell == "ResetAfterGRU" else (b, None)
    return step_by_step(plain_step(kind, U, None, fed_back), x @ W + b, states, mask)


@pytest.mark.parametrize("mask", [None, MASK], ids=["whole", "masked"])
@pytest.mark.parametrize("activation", sorted(ACTS))
@pytest.mark.parametrize("cell", sorted(GATES))
def test_a_loop_gives_what_plain_steps_give_and_their_gradients(cell, activation, mask):
    inner = {"tanh": "hard_sigmoid", "hard_sigmoid": "sigmoid"}.get(activation, activation)
    leaves, states = tensors(cell)
    kind = Kind(cell, activation, inner)
    ours, our_last = by_loop(kind, *leaves, states, mask)
    theirs, their_last = by_steps(kind, *leaves, states, mask)
    weights = torch.randn(ours.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for mine, yours in zip(
        (ours, *our_last, *torch.autograd.grad(ours, leaves, weights)),
        (theirs, *their_last, *torch.autograd.grad(theirs, leaves, weights)),
        strict=True,
    ):
        torch.testing.assert_close(mine, yours, rtol=1e-6, atol=1e-6)
    assert not any(each.requires_grad for each in our_last)


@pytest.mark.parametrize("mask", [None, MASK], ids=["whole", "masked"])
@pytest.mark.parametrize("cell", sorted(GATES))
def test_the_gradient_of_a_loop_is_the_slope_of_what_it_computes(cell, mask):
    leaves, states = tensors(cell)
    kind = Kind(cell, "tanh", "sigmoid")
    assert torch.autograd.gradcheck(lambda *leaves: by_loop(kind, *leaves, states, mask)[0], leaves)


@pytest.mark.parametrize("cell", sorted(GATES))
def test_a_loop_runs_in_single_precision_and_leaves_what_it_is_given_alone(cell):
    leaves, states = tensors(cell, torch.float32)
    before = [each.detach().clone() for each in (*leaves, *states)]
    kind = Kind(cell, "tanh", "hard_sigmoid")
    ys, _ = by_loop(kind, *leaves, states, MASK)
    first = torch.autograd.grad(ys.sum(), leaves, retain_graph=True)
    again = torch.autograd.grad(ys.sum(), leaves)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(before, (*leaves, *states), strict=True))
    torch.testing.assert_close(ys, by_steps(kind, *leaves, states, MASK)[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", sorted(ACTS))
def test_a_slope_is_that_of_the_activation_at_ties_too(name):
    z = torch.tensor([-3.0, -2.5, -1.0, -0.0, 0.0, 0.3, 2.5, 4.0], dtype=torch.float64, requires_grad=True)
    out = torch.empty_like(z)
    with torch.no_grad():
        ACTS[name].into(z, out)
    y = ACTIVATIONS[name](z)
    torch.testing.assert_close(out, y.detach())
    (slope,) = torch.autograd.grad(y.sum(), z)
    torch.testing.assert_close(ACTS[name].slope(z.detach(), out), slope)


@pytest.mark.parametrize("upper", [False, True], ids=["lower", "upper"])
@pytest.mark.parametrize(("inner", "bound"), [("hard_sigmoid", 2.5), ("keras3_hard_sigmoid", 3.0)])
def test_a_gate_at_the_bounds_of_hard_sigmoid_still_learns(inner, bound, upper):
    bias = bound if upper else -bound
    b = torch.full((4 * H,), bias, dtype=torch.float64, requires_grad=True)
    x, W, U = torch.ones(1, N, D).double(), torch.zeros(D, 4 * H).double(), torch.zeros(H, 4 * H).double()
    states = (torch.ones(N, H).double(), torch.ones(N, H).double())
    kind = Kind("LSTM", "softplus", inner)
    ours, theirs = (
        torch.autograd.grad(run(kind, x, W, U, b, states, None)[0].sum(), b)[0] for run in (by_loop, by_steps)
    )
    torch.testing.assert_close(ours, theirs)
    assert ours[:H].abs().min() > 0


def test_a_softmax_takes_plain_steps_gate_by_gate():
    kind = Kind("LSTM", "tanh", "softmax")
    assert not by_hand(kind)
    leaves, states = tensors("LSTM")
    ys, _ = by_steps(kind, *leaves, states, None)
    x, W, U, b = leaves
    z = (x[0] @ W + b + states[0] @ U).chunk(4, -1)
    o, i, f = (each.softmax(-1) for each in z[:3])
    cell = f * states[1] + i * z[3].tanh()
    torch.testing.assert_close(ys[0], o * cell.tanh())
