"""The loops in machine code give the numbers of those in torch, and of nothing else's memory."""

import pytest
import torch

from engine.activations import ACTIVATIONS
from engine.layers import loops, native
from engine.layers.loops import CELLS, GATES

STEPS = 5
#: Sizes that fill whole tiles, leave some over, and are smaller than any.
SIZES = [(16, 32), (21, 13), (1, 1), (37, 8)]
ACTIVATIONS_AND_THOSE_INSIDE = [*((each, each) for each in native.ACTIVATIONS[:-1]), ("tanh", "keras3_hard_sigmoid")]
BOUNDS = torch.tensor([-100.0, -2.5, -1.0, -1e-4, -0.0, 0.0, 1e-4, 0.7, 1.0, 2.5, 100.0])


@pytest.fixture(autouse=True)
def compiled():
    if native.library() is None:
        pytest.skip("this machine has no C compiler")


def drawn(cell, n, width):
    generator = torch.Generator().manual_seed(n)
    wide, rows = GATES[cell] * width, width + (cell == "ResetAfterGRU")
    z, U = torch.randn(STEPS, n, wide, generator=generator), torch.randn(rows, wide, generator=generator) / 4
    states = [torch.randn(n, width, generator=generator) for _ in range(2 if cell == "LSTM" else 1)]
    mask = torch.rand(STEPS, n, 1, generator=generator) > 0.3
    return z, U, states, mask, torch.randn(STEPS, n, width, generator=generator)


def both(cell, activation, inner, *drawn):
    z, U, states, mask, grad = drawn
    results = []
    for kinds in (native.LOOPS, CELLS):
        loop = kinds[cell](activation, inner)
        saved = loop.forward(z, U, states, mask)
        results.append([*saved, *loop.backward(grad, U, saved, mask)])
    return zip(*results, strict=True)


@pytest.mark.parametrize(("n", "width"), SIZES)
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
@pytest.mark.parametrize("cell", sorted(GATES))
def test_a_compiled_loop_gives_what_the_loop_in_torch_gives(cell, masked, n, width):
    z, U, states, mask, grad = drawn(cell, n, width)
    for ours, theirs in both(cell, "tanh", "hard_sigmoid", z, U, states, mask if masked else None, grad):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("cell", sorted(GATES))
def test_it_reads_tensors_however_they_lie_in_memory(cell):
    z, U, states, mask, grad = drawn(cell, 5, 3)
    turned = [each.transpose(0, 1).contiguous().transpose(0, 1) for each in (z, U, mask, grad)]
    turned_states = [each.t().contiguous().t() for each in states]
    for ours, theirs in zip(
        both(cell, "tanh", "sigmoid", z, U, states, mask, grad),
        both(cell, "tanh", "sigmoid", *turned[:2], turned_states, *turned[2:]),
        strict=True,
    ):
        assert torch.equal(ours[0], theirs[0])


@pytest.mark.parametrize(("activation", "inner"), ACTIVATIONS_AND_THOSE_INSIDE)
@pytest.mark.parametrize("cell", sorted(GATES))
def test_so_it_does_with_every_activation(cell, activation, inner):
    z, U, states, mask, grad = drawn(cell, 3, 4)
    for ours, theirs in both(cell, activation, inner, z / 4, U, states, mask, grad):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("activation", native.ACTIVATIONS[:-1])
def test_an_activation_and_its_slope_hold_at_ties_near_0_and_far_out(activation):
    z, none = BOUNDS.view(1, -1, 1), [torch.zeros(len(BOUNDS), 1)]
    loop = native.LOOPS["SimpleRNN"](activation, activation)
    saved = loop.forward(z, torch.zeros(1, 1), none, None)
    dz, _ = loop.backward(torch.ones_like(z), torch.zeros(1, 1), saved, None)
    exact = BOUNDS.double().requires_grad_()
    y = ACTIVATIONS[activation](exact)
    torch.testing.assert_close(saved[0][1:].flatten().double(), y.detach(), rtol=3e-7, atol=1e-38)
    (slope,) = torch.autograd.grad(y.sum(), exact)
    torch.testing.assert_close(dz.flatten().double(), slope, rtol=1e-6, atol=3e-7)


def test_a_sample_gets_the_same_bits_wherever_it_lies_in_a_batch():
    z, U, states, _, grad = drawn("LSTM", 21, 13)
    loop = native.LOOPS["LSTM"]("tanh", "sigmoid")
    whole = loop.forward(z, U, states, None)
    alone = loop.forward(z[:, 20:], U, [each[20:] for each in states], None)
    assert all(torch.equal(a[:, 20:], b) for a, b in zip(whole, alone, strict=True))
    slopes = loop.backward(grad, U, whole, None)[0], loop.backward(grad[:, 20:], U, alone, None)[0]
    assert torch.equal(slopes[0][:, 20:], slopes[1])


@pytest.mark.parametrize("cell", sorted(GATES))
def test_what_is_not_a_number_stays_so(cell):
    z, U, states, _, _ = drawn(cell, 2, 3)
    z[1, 0] = float("nan")
    outputs = native.LOOPS[cell]("tanh", "sigmoid").forward(z, U, states, None)[0][1:]
    assert outputs[1:, 0].isnan().all()
    assert not outputs[:, 1].isnan().any()


def test_only_what_it_is_made_for_goes_to_it():
    z, U = torch.zeros(3, 2, 4), torch.zeros(4, 4)
    assert native.usable("tanh", "hard_sigmoid", z, U)
    assert native.usable("tanh", "keras3_hard_sigmoid", z, U)
    assert not native.usable("keras3_hard_sigmoid", "sigmoid", z, U)
    assert not native.usable("softplus", "hard_sigmoid", z, U)
    assert not native.usable("tanh", "elu", z, U)
    assert not native.usable("tanh", "hard_sigmoid", z.double(), U.double())
    assert not native.usable("tanh", "hard_sigmoid", torch.zeros(1, 320_000, 4), U)


@pytest.mark.parametrize("cell", sorted(GATES))
def test_a_sequence_on_the_processor_goes_through_it(cell):
    z, U, *_ = drawn(cell, 5, 3)
    assert type(loops._cell(cell, "tanh", "sigmoid", z, U)) is native.LOOPS[cell]
    assert type(loops._cell(cell, "tanh", "sigmoid", z.double(), U.double())) is CELLS[cell]


@pytest.mark.parametrize("compiler", ["/bin/false", "/no/such/compiler"])
def test_without_a_compiler_the_loops_are_those_in_torch(monkeypatch, tmp_path, compiler):
    monkeypatch.setenv("CC", compiler)
    monkeypatch.setattr(native, "cache_folder", lambda: tmp_path)
    native.library.cache_clear()
    try:
        assert native.library() is None
        assert not native.usable("tanh", "tanh", torch.zeros(1, 1, 1), torch.zeros(1, 1))
        assert list(tmp_path.iterdir()) == []
    finally:
        native.library.cache_clear()
