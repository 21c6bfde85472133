"""ImageDataGenerator here and on the service, held to what Keras 1.2.2 itself made of the same images."""

import itertools
import json

import numpy as np
import pytest
import torch

from engine.errors import BadArgument
from engine.training.images import Images, transform
from tests.engine.test_augmentation import ARRAYS, EVERYTHING, RECORDED, as_drawn
from trainyard import backend
from trainyard.errors import TrainyardError
from trainyard.layers import Dense, Flatten
from trainyard.models import Sequential
from trainyard.preprocessing.image import ImageDataGenerator
from trainyard.preprocessing.moving import moved

RNG = np.random.default_rng(5)
IMAGES, LABELS = RNG.random((20, 8, 6, 3), dtype=np.float32), np.eye(2)[RNG.integers(2, size=20)]


def named(case):
    return json.dumps(case["arguments"])


def small():
    model = Sequential([Flatten(input_shape=(8, 6, 3)), Dense(2, activation="softmax")])
    model.seed = 7
    model.compile("sgd", "categorical_crossentropy")
    return model


@pytest.mark.parametrize("case", RECORDED["moves"], ids=named)
def test_images_are_moved_as_by_keras_1_and_as_on_the_service(case):
    before = ARRAYS[f"{case['key']}_before"]
    how, moves = as_drawn(case["arguments"], case["drawn"], before.shape[2:])

    ours = moved(before, moves, how)

    np.testing.assert_allclose(ours, ARRAYS[f"{case['key']}_after"], rtol=0, atol=1e-6)
    np.testing.assert_array_equal(ours, transform(torch.from_numpy(before), moves, how).numpy())
    assert ours.dtype == np.float32


@pytest.mark.parametrize("case", RECORDED["standards"], ids=named)
def test_images_are_standardized_as_by_keras_1(case):
    before, after = (ARRAYS[f"{case['key']}_{when}"] for when in ("before", "after"))
    generator = ImageDataGenerator(**case["arguments"])
    generator.fit(before)
    np.testing.assert_allclose(generator.standardize(before), after, rtol=2e-4, atol=2e-4)
    np.testing.assert_allclose(generator.standardize(before[0]), after[0], rtol=2e-4, atol=2e-4)


def test_a_function_comes_before_all_that_standardizes():
    generator = ImageDataGenerator(preprocessing_function=lambda image: image + 1, rescale=2)
    assert (generator.standardize(np.zeros((2, 2, 3))) == 2).all()
    with pytest.raises(TrainyardError, match="fit_generator"):
        small().fit(IMAGES, LABELS, augmentation=generator)


def test_batches_come_for_ever_each_round_in_an_order_of_its_own():
    x = np.arange(5.0).reshape(5, 1, 1, 1) * np.ones((1, 2, 2, 1))
    flow = ImageDataGenerator().flow(x, np.arange(5), 2, seed=3)
    batches = list(itertools.islice(flow, 6))

    assert [len(y) for _, y in batches] == [2, 2, 1, 2, 2, 1]
    assert all((images[:, 0, 0, 0] == y).all() for images, y in batches)
    rounds = [np.concatenate([y for _, y in batches[at : at + 3]]).tolist() for at in (0, 3)]
    assert [sorted(each) for each in rounds] == [[0, 1, 2, 3, 4]] * 2
    assert rounds[0] != rounds[1]
    alone = ImageDataGenerator().flow(x, batch_size=5, shuffle=False)
    assert np.array_equal(next(alone), x)


def test_the_same_seed_yields_the_same_and_numpy_s_seed_decides_where_none_is_given():
    generator = ImageDataGenerator(rotation_range=90, width_shift_range=0.3, horizontal_flip=True)
    one, other = (next(generator.flow(IMAGES, seed=3)) for _ in range(2))
    assert np.array_equal(one, other)
    again = []
    for _ in range(2):
        np.random.seed(8)
        again.append(next(generator.flow(IMAGES)))
    assert np.array_equal(*again)
    assert not np.array_equal(one, again[0])


def test_images_drawn_here_train_to_the_weights_of_the_same_augmentation_on_the_service(client):
    arguments = EVERYTHING | {"zca_whitening": False}
    generator = ImageDataGenerator(**arguments)
    generator.fit(IMAGES)
    here, there = small(), small()

    history = there.fit(IMAGES, LABELS, 5, 2, 0, shuffle=False, augmentation=generator)
    flow = generator.flow(IMAGES, LABELS, 5, shuffle=False, seed=7)
    here.fit_generator(flow, 20, 2, 0)

    job = client.jobs.get(history.job)["definition"]["fit"]
    assert job["augmentation"]["rotation_range"] == 20.0
    for one, other in zip(here.get_weights(), there.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_statistics_are_those_that_the_service_takes_of_moved_images_too():
    generator = ImageDataGenerator(featurewise_center=True, featurewise_std_normalization=True, horizontal_flip=True)
    with pytest.raises(TrainyardError, match=r"fit\(X\)"):
        next(generator.flow(IMAGES))
    generator.fit(IMAGES, augment=True, rounds=2, seed=1)
    assert generator.standardize(IMAGES).mean() == pytest.approx(0, abs=1e-5)
    assert Images(generator.described).learns


def test_channels_stand_where_the_backend_says(monkeypatch):
    monkeypatch.setitem(backend._settings, "image_dim_ordering", "th")
    assert ImageDataGenerator().described.dim_ordering == "th"
    with pytest.raises(ValueError, match="on axis 1"):
        ImageDataGenerator().flow(IMAGES)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: ImageDataGenerator(fill_mode="mirror"), "fill_mode"),
        (lambda: ImageDataGenerator(zoom_range=2), "zoom_range"),
    ],
)
def test_what_a_generator_does_not_take_is_named(call, match):
    with pytest.raises(BadArgument, match=match):
        call()


def test_what_does_not_fit_together_is_refused():
    with pytest.raises(ValueError, match="20 and 3"):
        ImageDataGenerator().flow(IMAGES, np.zeros(3))
    with pytest.raises(ValueError, match="4,096"):
        ImageDataGenerator(zca_whitening=True).fit(np.zeros((1, 40, 40, 3)))
    with pytest.raises(TrainyardError, match="ImageDataGenerator"):
        small().fit(IMAGES, LABELS, augmentation={"rotation_range": 3})
