"""How weights start: fans and spreads as Keras 1.2.2 recorded them."""

import json

import numpy as np
import pytest

from engine.definition import read_model
from engine.initializations import INITIALIZATIONS, check_initialization, fans, initialize
from engine.training.weights import initial
from tests.engine.yard import GOLDEN, sequential

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


#: The layers whose weights Keras 1 recorded, by the name of the record.
RECORDED = {
    "batchnorm": ("BatchNormalization", {"input_shape": [9]}),
    "conv1d": ("Convolution1D", {"nb_filter": 20, "filter_length": 5, "input_shape": [10, 30]}),
    "conv2d": ("Convolution2D", {"nb_filter": 20, "nb_row": 3, "nb_col": 3, "input_shape": [10, 8, 8]}),
    "deconv": (
        "Deconvolution2D",
        {"nb_filter": 10, "nb_row": 3, "nb_col": 3, "output_shape": [None, 10, 10, 10], "input_shape": [5, 8, 8]},
    ),
    "dense": ("Dense", {"output_dim": 80, "input_dim": 90}),
    "embedding": ("Embedding", {"input_dim": 90, "output_dim": 40}),
    "gru": ("GRU", {"output_dim": 40, "input_dim": 30}),
    "gru_gpu": ("GRU", {"output_dim": 40, "input_dim": 30, "consume_less": "gpu"}),
    "highway": ("Highway", {"input_dim": 60}),
    "local1d": ("LocallyConnected1D", {"nb_filter": 10, "filter_length": 3, "input_shape": [9, 20]}),
    "local2d": ("LocallyConnected2D", {"nb_filter": 10, "nb_row": 3, "nb_col": 3, "input_shape": [5, 6, 6]}),
    "lstm": ("LSTM", {"output_dim": 40, "input_dim": 30}),
    "lstm_gpu": ("LSTM", {"output_dim": 40, "input_dim": 30, "consume_less": "gpu"}),
    "maxout": ("MaxoutDense", {"output_dim": 40, "nb_feature": 4, "input_dim": 60}),
    "prelu": ("PReLU", {"input_shape": [9]}),
    "psoftplus": ("ParametricSoftplus", {"input_shape": [9]}),
    "simplernn": ("SimpleRNN", {"output_dim": 40, "input_dim": 30}),
    "srelu": ("SReLU", {"input_shape": [100]}),
}
OF_LAYERS = json.loads((GOLDEN / "init_layers" / "history.json").read_text())["layers"]


@pytest.mark.parametrize("recorded", sorted(OF_LAYERS))
def test_the_weights_of_a_layer_start_as_keras_1s(recorded):
    class_name, config = RECORDED[recorded]
    model, _ = read_model(sequential((class_name, config | {"name": "layer"})), dim_ordering="th")

    ours = initial(model, seed=1)

    names = [each["name"].removeprefix(class_name.lower()).split("_", 2)[2] for each in OF_LAYERS[recorded]]
    assert list(ours) == [f"layer/{name}" for name in names]
    assert [each.trainable for each in model.all_weights] == [each["trainable"] for each in OF_LAYERS[recorded]]
    for array, theirs in zip(ours.values(), OF_LAYERS[recorded], strict=True):
        few = array.size < 1000
        assert list(array.shape) == theirs["shape"]
        assert array.std() == pytest.approx(theirs["std"], rel=0.5 if few else 0.05, abs=1e-7)
        assert array.mean() == pytest.approx(theirs["mean"], abs=8 * theirs["std"] / np.sqrt(array.size) + 1e-7)
        assert array.max() == pytest.approx(theirs["max"], rel=0.3, abs=1e-7)
