"""How weights start: fans and spreads as Keras 1.2.2 recorded them."""

import json

import numpy as np
import pytest

from engine.initializations import INITIALIZATIONS, check_initialization, fans, initialize
from tests.engine.yard import GOLDEN

FACTS = json.loads((GOLDEN / "initializations" / "history.json").read_text())


def rng(seed: int = 3) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


@pytest.mark.parametrize(("shape", "dim_ordering", "recorded"), FACTS["fans"])
def test_fans_are_keras_1s(shape, dim_ordering, recorded):
    assert fans(tuple(shape), dim_ordering) == pytest.approx(tuple(recorded))


@pytest.mark.parametrize("recorded", sorted(FACTS["stats"]))
def test_a_spread_is_keras_1s(recorded):
    name, axes, dim_ordering = recorded.split(" ")
    shape = tuple(int(axis) for axis in axes.split("x"))
    theirs = FACTS["stats"][recorded]
    if isinstance(theirs, str):  # Keras 1 refused it
        assert check_initialization(name, shape)
        return

    ours = initialize(name, shape, rng(), dim_ordering)

    few = ours.size < 1000
    assert ours.shape == shape
    assert ours.dtype == np.float32
    assert ours.std() == pytest.approx(theirs["std"], rel=0.5 if few else 0.05, abs=1e-9)
    assert ours.mean() == pytest.approx(theirs["mean"], abs=6 * theirs["std"] / np.sqrt(ours.size) + 1e-9)


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("uniform", 0.05),
        ("glorot_uniform", np.sqrt(6 / 500)),
        ("he_uniform", np.sqrt(6 / 200)),
        ("lecun_uniform", np.sqrt(3 / 200)),
    ],
)
def test_s04_s64_an_even_draw_reaches_its_limit_and_not_beyond(name, limit):
    drawn = initialize(name, (200, 300), rng())
    assert np.abs(drawn).max() <= np.float32(limit)
    assert np.abs(drawn).max() > 0.99 * limit


def test_orthogonal_rows_are_perpendicular_and_of_length_1_1():
    drawn = initialize("orthogonal", (20, 50), rng()).astype(float)
    np.testing.assert_allclose(drawn @ drawn.T, 1.21 * np.eye(20), atol=1e-5)


def test_identity_zero_and_one_are_what_they_say():
    assert (initialize("identity", (3, 3), rng()) == np.eye(3)).all()
    assert (initialize("zero", (2, 2), rng()) == 0).all()
    assert (initialize("one", (2, 2), rng()) == 1).all()


def test_the_same_seed_draws_the_same_and_another_seed_does_not():
    for name in set(INITIALIZATIONS) - {"identity", "zero", "one"}:
        assert (initialize(name, (4, 4), rng(1)) == initialize(name, (4, 4), rng(1))).all()
        assert (initialize(name, (4, 4), rng(1)) != initialize(name, (4, 4), rng(2))).any()
