"""Activations with parameters: their formulas, what they learn, which axes share it."""

import numpy as np
import pytest
import torch

from engine.definition import read_model
from engine.errors import BadArgument, ShapeMismatch
from engine.layer import LAYERS
from engine.run import Run
from tests.engine.yard import Notebook, sequential, training

RNG = np.random.default_rng(4)
X = RNG.normal(size=(5, 6)).astype(np.float32) * 3


def predictions(x, name, config=None, **weights):
    model = sequential((name, {"name": "layer", "input_shape": list(x.shape[1:]), **(config or {})}))
    run = training({"x": x}, model=model, predict={"x": "d/x"})
    run.take({f"layer/{key}": value.astype(np.float32) for key, value in weights.items()})
    return run.predict(Notebook())


@pytest.mark.parametrize(
    ("name", "config", "wanted"),
    [
        ("LeakyReLU", {}, np.where(X >= 0, X, 0.3 * X)),
        ("LeakyReLU", {"alpha": 0.1}, np.where(X >= 0, X, 0.1 * X)),
        ("ELU", {}, np.where(X > 0, X, np.expm1(X))),
        ("ELU", {"alpha": 0.5}, np.where(X > 0, X, 0.5 * np.expm1(X))),
        ("ThresholdedReLU", {"theta": 0.7}, np.where(X > 0.7, X, 0)),
        ("ParametricSoftplus", {}, 0.2 * np.log1p(np.exp(5 * X.astype(float)))),
        ("PReLU", {}, np.maximum(X, 0)),
    ],
)
def test_an_activation_follows_its_formula(name, config, wanted):
    np.testing.assert_allclose(predictions(X, name, config), wanted, rtol=1e-5, atol=1e-6)


def test_prelu_takes_a_slope_for_each_element():
    alphas = np.linspace(-1, 1, 6)
    np.testing.assert_allclose(
        predictions(X, "PReLU", alphas=alphas), np.where(X > 0, X, alphas * X), rtol=1e-5, atol=1e-6
    )


def test_parametric_softplus_starts_with_the_numbers_given():
    config = {"alpha_init": 0.5, "beta_init": 2.0}
    np.testing.assert_allclose(
        predictions(X, "ParametricSoftplus", config), 0.5 * np.log1p(np.exp(2 * X)), rtol=1e-5, atol=1e-6
    )


def test_srelu_is_the_identity_between_its_thresholds_and_a_line_outside():
    t_left, a_left = np.full(6, -1.0), np.full(6, 0.1)
    t_right, a_right = np.full(6, -2.5), np.full(6, 3.0)
    out = predictions(X, "SReLU", t_left=t_left, a_left=a_left, t_right=t_right, a_right=a_right)
    wanted = np.where(X >= 1.5, 1.5 + 3 * (X - 1.5), np.where(X <= -1, -1 + 0.1 * (X + 1), X))
    np.testing.assert_allclose(out, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("PReLU", ["alphas"]),
        ("ParametricSoftplus", ["alphas", "betas"]),
        ("SReLU", ["t_left", "a_left", "t_right", "a_right"]),
    ],
)
def test_shared_axes_hold_one_parameter_and_are_kept_in_the_definition(name, weights):
    model, _ = read_model(sequential((name, {"input_shape": [None, 4, 3], "shared_axes": [1, 3]})))
    assert [each.name.partition("/")[2] for each in model.all_weights] == weights
    assert {each.shape for each in model.all_weights} == {(1, 4, 1)}
    again, _ = read_model(model.definition())
    assert again == model
    x = RNG.normal(size=(2, 5, 4, 3)).astype(np.float32)
    assert predictions(x, name, {"shared_axes": [1, 3]}).shape == x.shape


def test_one_shared_axis_may_be_written_as_a_number():
    model, _ = read_model(sequential(("PReLU", {"input_shape": [5, 4], "shared_axes": 1})))
    assert model.all_weights[0].shape == (1, 4)


def test_an_axis_that_is_not_there_or_has_no_length_is_refused():
    with pytest.raises(BadArgument, match=r"1 to 2 here, but got \[0\]") as refusal:
        read_model(sequential(("PReLU", {"input_shape": [5, 4], "shared_axes": [0]})))
    assert refusal.value.where == "/config/0/config/shared_axes"
    with pytest.raises(ShapeMismatch, match="axis 1"):
        read_model(sequential(("PReLU", {"input_shape": [None, 4]})))


@pytest.mark.parametrize(("name", "slope"), [("LeakyReLU", 0.65), ("ELU", 1.0)])
def test_the_slope_at_zero_is_theanos(name, slope):
    x = torch.zeros(1, 1, requires_grad=True)
    (gradient,) = torch.autograd.grad(LAYERS[name]().call(x, {}, Run()).sum(), x)
    assert gradient.item() == pytest.approx(slope)
