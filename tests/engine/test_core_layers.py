"""Permute, RepeatVector, ActivityRegularization, and Dense's relatives."""

import numpy as np
import pytest
import torch

from engine.definition import read_model
from engine.errors import BadArgument, ShapeMismatch
from engine.gradients import largest
from tests.engine.yard import Notebook, sequential, training

RNG = np.random.default_rng(3)


def predictions(x, *layers, **weights):
    run = training({"x": x}, model=sequential(*layers), predict={"x": "d/x"})
    run.take({f"layer/{name}": value for name, value in weights.items()})
    return run.predict(Notebook())


def draw(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def model_of(*layers):
    return read_model(sequential(*layers))[0]


def test_permute_orders_the_axes_counted_from_1():
    x = draw(2, 3, 4, 5)
    out = predictions(x, ("Permute", {"dims": [3, 1, 2], "input_shape": [3, 4, 5]}))
    assert (out == x.transpose(0, 3, 1, 2)).all()
    assert model_of(("Permute", {"dims": [2, 1], "input_shape": [10, 64]})).placed[-1].output_shape == (None, 64, 10)


@pytest.mark.parametrize("dims", [[], [0, 1], [1, 1], [1, 3], [2]])
def test_permute_refuses_what_is_no_order(dims):
    with pytest.raises(BadArgument, match="once") as refusal:
        model_of(("Permute", {"dims": dims, "input_shape": [3, 4]}))
    assert refusal.value.where == "/config/0/config/dims"


def test_permute_refuses_another_number_of_axes():
    with pytest.raises(ShapeMismatch, match=r"3 axes.*\(None, 3, 4\)"):
        model_of(("Permute", {"dims": [3, 1, 2], "input_shape": [3, 4]}))


def test_s98_repeat_vector_makes_each_step_of_a_vector():
    x = draw(2, 128)
    out = predictions(x, ("RepeatVector", {"n": 16, "input_shape": [128]}))
    assert out.shape == (2, 16, 128)
    assert (out == x[:, None]).all()
    with pytest.raises(ShapeMismatch, match="2 axes"):
        model_of(("RepeatVector", {"n": 16, "input_shape": [128, 2]}))


def test_activity_regularization_adds_a_sum_over_the_batch_in_evaluation_too():
    x = draw(6, 3)
    run = training(
        {"x": x},
        model=sequential(("ActivityRegularization", {"l1": 0.5, "l2": 0.25, "input_shape": [3]})),
        compile={"optimizer": "sgd", "loss": "mse"},
        evaluate={"x": "d/x", "y": "d/x"},
    )
    wanted = 0.5 * np.abs(x).sum() + 0.25 * np.square(x).sum()
    assert run.evaluate(Notebook())["loss"] == pytest.approx(wanted, rel=1e-5)


def test_maxout_dense_takes_the_largest_of_its_layers():
    x, w, b = draw(4, 5), draw(3, 5, 2), draw(3, 2)
    out = predictions(x, ("MaxoutDense", {"name": "layer", "output_dim": 2, "nb_feature": 3, "input_dim": 5}), W=w, b=b)
    np.testing.assert_allclose(out, (np.einsum("ni,kio->nko", x, w) + b).max(1), atol=1e-5)


def test_all_who_share_a_maximum_get_its_whole_gradient():
    x = torch.tensor([[1.0, 2.0, 2.0]], requires_grad=True)
    y = largest(x, 1)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert y.tolist() == [2.0]
    assert gradient.tolist() == [[0.0, 1.0, 1.0]]


def test_highway_mixes_a_layer_with_its_input():
    x, w, carry, b, b_carry = draw(4, 3), draw(3, 3), draw(3, 3), draw(3), draw(3)
    layer = ("Highway", {"name": "layer", "activation": "tanh", "input_dim": 3})
    out = predictions(x, layer, W=w, W_carry=carry, b=b, b_carry=b_carry)
    gate = 1 / (1 + np.exp(-(x @ carry + b_carry)))
    np.testing.assert_allclose(out, gate * np.tanh(x @ w + b) + (1 - gate) * x, atol=1e-5)


def test_highway_starts_open_with_its_weights_in_keras_1s_order():
    run = training({"x": draw(1, 3)}, model=sequential(("Highway", {"input_dim": 3})), predict={"x": "d/x"})
    weights = run.weights()
    assert [key.partition("/")[2] for key in weights] == ["W", "W_carry", "b", "b_carry"]
    assert weights["highway_1/b_carry"].tolist() == [1, 1, 1]
    assert weights["highway_1/b"].tolist() == [0, 0, 0]


def test_time_distributed_dense_is_dense_at_every_step():
    x, w, b = draw(2, 4, 3), draw(3, 5), draw(5)
    config = {"name": "layer", "output_dim": 5, "activation": "tanh"}
    old = predictions(x, ("TimeDistributedDense", config | {"input_dim": 3, "input_length": 4}), W=w, b=b)
    new = predictions(x, ("Dense", config | {"input_shape": [4, 3]}), W=w, b=b)
    assert (old == new).all()


def test_a_sequence_of_another_length_is_refused():
    dense = ("TimeDistributedDense", {"output_dim": 5, "input_length": 7, "input_shape": [4, 3]})
    with pytest.raises(ShapeMismatch, match=r"`input_length` of 7.*\(None, 4, 3\)"):
        model_of(dense)


@pytest.mark.parametrize(
    ("layer", "weights"),
    [
        (("MaxoutDense", {"output_dim": 2, "input_dim": 3, "bias": False}), ["maxoutdense_1/W"]),
        (("Highway", {"input_dim": 3, "bias": False}), ["highway_1/W", "highway_1/W_carry"]),
        (
            ("TimeDistributedDense", {"output_dim": 2, "input_shape": [1, 3], "bias": False}),
            ["timedistributeddense_1/W"],
        ),
    ],
)
def test_dense_relatives_go_without_bias_and_punish_their_output(layer, weights):
    name, config = layer
    x = np.ones((2, 1, 3) if name == "TimeDistributedDense" else (2, 3), dtype=np.float32)
    run = training(
        {"x": x},
        model=sequential((name, config | {"activity_regularizer": {"name": "l1", "l": 2.0}})),
        compile={"optimizer": "sgd", "loss": "mse"},
        evaluate={
            "x": "d/x",
            "y": [[1.0] * 3] * 2 if name == "Highway" else [[[1.0] * 2]] * 2 if x.ndim == 3 else [[1.0] * 2] * 2,
        },
        predict={"x": "d/x"},
    )
    assert list(run.weights()) == weights
    out = run.predict(Notebook())
    wanted = np.square(out - 1).mean() + 2 * np.abs(out).sum()
    assert run.evaluate(Notebook())["loss"] == pytest.approx(wanted, rel=1e-5)
