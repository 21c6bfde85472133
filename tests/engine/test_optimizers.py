"""What the golden runs do not show of the optimizers: decay over many steps, clips together, their JSON."""

import numpy as np
import pytest
import torch

from engine.arguments import kind_of
from engine.errors import BadArgument, UnknownName
from engine.optimizers import OPTIMIZERS, SGD, AnyOptimizer, Optimizer


def steps(optimizer: Optimizer, gradients: list[float], start: float = 1.0) -> list[float]:
    p = torch.tensor([start], dtype=torch.float64)
    slots = {name: torch.zeros_like(p) for name in optimizer.moments}
    slots |= {name: torch.ones((), dtype=torch.float64) for name in optimizer.scalars}
    path = []
    for k, gradient in enumerate(gradients):
        (g,) = optimizer.clip(torch.tensor([gradient], dtype=torch.float64))
        lr = torch.tensor(optimizer.lr, dtype=torch.float64)
        p, slots = optimizer.update(p, g, slots, lr, torch.tensor(float(k), dtype=torch.float64))
        path.append(p.item())
    return path


def test_s67_sgd_with_decay_and_nesterov_follows_its_formula():
    gradients = [0.5, -0.2, 0.3, 0.1]
    p, v, expected = 1.0, 0.0, []
    for k, g in enumerate(gradients):
        lr = 0.1 / (1 + 1e-2 * k)
        v = 0.9 * v - lr * g
        p = p + 0.9 * v - lr * g
        expected.append(p)
    assert steps(SGD(lr=0.1, decay=1e-2, momentum=0.9, nesterov=True), gradients) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", sorted(set(OPTIMIZERS) - {"Nadam"}))
def test_decay_slows_every_optimizer_that_has_it(name):
    cls = OPTIMIZERS[name]
    plain, slowed = steps(cls(), [1.0] * 5), steps(cls(decay=1.0), [1.0] * 5)
    assert plain[0] == pytest.approx(slowed[0])
    assert abs(1.0 - slowed[-1]) < abs(1.0 - plain[-1])


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_s36_every_optimizer_goes_downhill_with_keras_1s_defaults(name):
    assert steps(OPTIMIZERS[name](), [1.0] * 20)[-1] < 1.0


def test_clipnorm_is_one_norm_over_all_parameters_and_comes_before_clipvalue():
    both = SGD(clipnorm=1.0, clipvalue=0.7)
    np.testing.assert_allclose(both.clip(torch.tensor([3.0, 4.0]))[0], [0.6, 0.7], rtol=1e-6)
    np.testing.assert_allclose(SGD(clipnorm=10.0).clip(torch.tensor([3.0, 4.0]))[0], [3.0, 4.0])


@pytest.mark.parametrize(
    "written",
    [
        "sgd",
        "SGD",
        {"class_name": "SGD"},
        {"name": "SGD"},
        {"class_name": "sgd", "config": {"lr": 0.01}},
        {"name": "sgd", "lr": 0.01},
    ],
)
def test_s37_an_optimizer_is_a_name_or_an_object(written):
    kind = kind_of(AnyOptimizer)
    assert kind.read(written) == SGD()
    assert kind.write(kind.read(written)) == {
        "class_name": "SGD",
        "config": {"lr": 0.01, "momentum": 0.0, "decay": 0.0, "nesterov": False},
    }


def test_an_unknown_optimizer_or_argument_says_what_there_is():
    kind = kind_of(AnyOptimizer)
    with pytest.raises(UnknownName, match="Did you mean 'rmsprop'"):
        kind.read("rmspropp")
    with pytest.raises(BadArgument, match="Did you mean 'momentum'") as refusal:
        kind.read({"class_name": "SGD", "config": {"momentun": 0.9}})
    assert refusal.value.where == "/config/momentun"
