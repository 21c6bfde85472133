"""How weights start in later Keras: fans by its rule, spreads with arguments."""

import numpy as np
import pytest

from engine.definition import read_model
from engine.errors import BadArgument
from engine.spreads import SPREADS, fans
from engine.training.weights import initial
from tests.engine.yard import sequential


def drawn(name: str, shape: tuple[int, ...], **config: object) -> np.ndarray:
    return SPREADS[name].from_config(config).draw(shape, np.random.default_rng(3))


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((5,), (5, 5)), ((4, 6), (4, 6)), ((3, 3, 4, 6), (36, 54)), ((2, 1, 4, 6), (8, 12)), ((2, 2, 2, 4, 6), (32, 48))],
)
def test_fans_count_every_axis_of_the_window(shape, expected):
    assert fans(shape) == expected


@pytest.mark.parametrize("mode", ["fan_in", "fan_out", "fan_avg"])
@pytest.mark.parametrize("distribution", ["truncated_normal", "untruncated_normal", "uniform"])
def test_a_scaled_variance_is_what_it_says(mode, distribution):
    fan = {"fan_in": 100, "fan_out": 300, "fan_avg": 200}[mode]
    values = drawn("VarianceScaling", (100, 300), scale=2.0, mode=mode, distribution=distribution)

    assert values.std() == pytest.approx(np.sqrt(2.0 / fan), rel=0.02)
    assert abs(values.mean()) < 0.01
    if distribution == "truncated_normal":
        assert np.abs(values).max() <= 2 * np.sqrt(2.0 / fan) / 0.8796
    if distribution == "uniform":
        assert np.abs(values).max() <= np.sqrt(6.0 / fan)


def test_the_others_have_their_arguments():
    normal = drawn("RandomNormal", (200, 200), mean=1.0, stddev=0.2)
    assert (normal.mean(), normal.std()) == (pytest.approx(1.0, abs=0.01), pytest.approx(0.2, rel=0.02))
    even = drawn("RandomUniform", (200, 200), minval=1.0, maxval=2.0)
    assert 1.0 <= even.min() < 1.01 < 1.99 < even.max() <= 2.0
    cut = drawn("TruncatedNormal", (200, 200), stddev=0.5)
    assert 0.95 < np.abs(cut).max() <= 1.0
    assert (drawn("Constant", (3, 2), value=0.5) == 0.5).all()
    assert (drawn("Identity", (3, 2), gain=2.0) == 2.0 * np.eye(3, 2)).all()


def test_an_orthogonal_kernel_joins_the_axes_before_the_last():
    values = drawn("Orthogonal", (3, 3, 4, 6), gain=2.0).reshape(36, 6)
    np.testing.assert_allclose(values.T @ values, 4.0 * np.eye(6), atol=1e-6)


@pytest.mark.parametrize("ordering", ["tf", "th"])
def test_a_kernel_starts_alike_wherever_its_filters_lie(ordering):
    shape = [8, 8, 60] if ordering == "tf" else [60, 8, 8]
    init = {"name": "VarianceScaling", "scale": 1.0, "mode": "fan_in", "distribution": "untruncated_normal"}
    config = {"nb_filter": 20, "nb_row": 3, "nb_col": 2, "init": init, "dim_ordering": ordering, "input_shape": shape}
    model, _ = read_model(sequential(("Convolution2D", config)))

    kernel = initial(model, 1)["convolution2d_1/W"]

    assert kernel.std() == pytest.approx(np.sqrt(1.0 / (60 * 6)), rel=0.05)
    assert model.layers[0].get_config()["init"] == init


@pytest.mark.parametrize(
    ("init", "where"),
    [
        ({"name": "VarianceScaling", "mode": "fan"}, "/init/mode"),
        ({"name": "VarianceScaling", "scale": -1}, "/init/scale"),
        ({"name": "Uniform"}, "/init"),
        ({"name": "Constant", "surprise": 1}, "/init/surprise"),
        ({"value": 1}, "/init"),
    ],
)
def test_a_spread_that_makes_no_sense_is_refused_at_its_place(init, where):
    with pytest.raises(Exception, match=r".") as refusal:
        read_model(sequential(("Dense", {"output_dim": 2, "input_dim": 2, "init": init})))
    assert refusal.value.where == "/config/0/config" + where


def test_a_reset_after_gru_needs_gates_side_by_side():
    with pytest.raises(BadArgument, match="gpu") as refusal:
        read_model(sequential(("GRU", {"output_dim": 2, "input_shape": [3, 2], "reset_after": True})))
    assert refusal.value.where == "/config/0/config/consume_less"
