"""Noise acts in training alone, with the strength and the shape of Keras 1."""

import numpy as np
import pytest
import torch

from engine.definition import read_model
from engine.layer import LAYERS
from engine.run import Recorder, Run
from tests.engine.yard import sequential


def disturbed(name, x, **config):
    torch.manual_seed(1)
    return LAYERS[name](**config).call(x, {}, Run(Recorder("cpu")))


@pytest.mark.parametrize(
    ("name", "config", "rank"),
    [
        ("GaussianNoise", {"sigma": 0.5}, 2),
        ("GaussianDropout", {"p": 0.5}, 2),
        ("SpatialDropout1D", {"p": 0.5}, 3),
        ("SpatialDropout2D", {"p": 0.5}, 4),
        ("SpatialDropout3D", {"p": 0.5}, 5),
    ],
)
def test_s66_noise_is_silent_outside_training_and_at_strength_zero(name, config, rank):
    x = torch.rand([3] * rank)
    assert LAYERS[name](**config).call(x, {}, Run()) is x
    assert disturbed(name, x, **dict.fromkeys(config, 0.0)) is x
    assert not torch.equal(disturbed(name, x, **config), x)


def test_gaussian_noise_has_its_deviation():
    noise = disturbed("GaussianNoise", torch.full((100, 100), 3.0), sigma=0.5) - 3.0
    assert noise.mean().item() == pytest.approx(0.0, abs=0.02)
    assert noise.std().item() == pytest.approx(0.5, rel=0.02)


def test_gaussian_dropout_multiplies_with_variance_p_by_1_minus_p():
    out = disturbed("GaussianDropout", torch.full((100, 100), 2.0), p=0.2)
    assert out.mean().item() == pytest.approx(2.0, rel=0.02)
    assert (out / 2.0).var().item() == pytest.approx(0.25, rel=0.05)


@pytest.mark.parametrize(
    ("name", "config", "shape", "space"),
    [
        ("SpatialDropout1D", {}, (20, 5, 30), (1,)),
        ("SpatialDropout2D", {}, (20, 4, 5, 30), (1, 2)),
        ("SpatialDropout2D", {"dim_ordering": "tf"}, (20, 4, 5, 30), (1, 2)),
        ("SpatialDropout2D", {"dim_ordering": "th"}, (20, 30, 4, 5), (2, 3)),
        ("SpatialDropout3D", {}, (20, 2, 3, 4, 30), (1, 2, 3)),
        ("SpatialDropout3D", {"dim_ordering": "th"}, (20, 30, 2, 3, 4), (2, 3, 4)),
    ],
)
def test_spatial_dropout_drops_whole_channels_and_scales_the_rest(name, config, shape, space):
    out = disturbed(name, torch.ones(shape), p=0.25, **config)
    assert torch.equal(out.amin(space), out.amax(space))
    channels = out.amax(space)
    assert channels.shape == (20, 30)
    np.testing.assert_allclose(channels.unique().tolist(), [0.0, 1 / 0.75], rtol=1e-6)
    assert (channels == 0).float().mean().item() == pytest.approx(0.25, abs=0.06)


def test_a_dim_ordering_is_the_layers_own_or_the_jobs_and_is_written_down():
    model, _ = read_model(sequential(("SpatialDropout2D", {"p": 0.5, "dim_ordering": "th", "input_shape": [1, 2, 3]})))
    assert read_model(model.definition())[0] == model
    for job in ("th", "tf"):
        model, _ = read_model(sequential(("SpatialDropout2D", {"p": 0.5, "input_shape": [1, 2, 3]})), dim_ordering=job)
        assert model.definition()["config"][0]["config"]["dim_ordering"] == job
