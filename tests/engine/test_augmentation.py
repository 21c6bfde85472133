"""ImageDataGenerator as an option of fit, held to what Keras 1.2.2 itself made of the same images and draws."""

import json

import numpy as np
import pytest
import torch

from engine.augmentation import Augmentation, Moves, draw
from engine.errors import BadArgument, EngineError
from engine.training.data import Column, Feed
from engine.training.images import Images, transform
from tests.engine.yard import GOLDEN, Notebook, plan_of, sequential, training

RECORDED = json.loads((GOLDEN / "images.json").read_text())
with np.load(GOLDEN / "images.npz") as file:
    ARRAYS = {name: file[name] for name in file.files}
RNG = np.random.default_rng(3)
DATA = {
    "x": RNG.random((50, 8, 6, 3), dtype=np.float32),
    "y": np.eye(2, dtype=np.float32)[RNG.integers(0, 2, 50)],
    "x_val": RNG.random((20, 8, 6, 3), dtype=np.float32) + 3,
    "y_val": np.eye(2, dtype=np.float32)[RNG.integers(0, 2, 20)],
    "five": RNG.random((50, 8, 6, 5), dtype=np.float32),
    "cubes": RNG.random((50, 8, 6), dtype=np.float32),
    "large": np.broadcast_to(np.float32(0), (50, 40, 40, 3)),
}
EVERYTHING = {
    "featurewise_center": True,
    "featurewise_std_normalization": True,
    "zca_whitening": True,
    "rotation_range": 20.0,
    "width_shift_range": 0.2,
    "height_shift_range": 0.1,
    "shear_range": 0.2,
    "zoom_range": [0.8, 1.1],
    "channel_shift_range": 0.1,
    "fill_mode": "reflect",
    "horizontal_flip": True,
    "vertical_flip": True,
}


def model(shape=(8, 6, 3)):
    return sequential(
        ("Flatten", {"input_shape": list(shape)}),
        ("Dropout", {"p": 0.3}),
        ("Dense", {"output_dim": 2, "activation": "softmax"}),
    )


def body(augmentation, x="d/x", shape=(8, 6, 3), **fit):
    return {
        "model": model(shape),
        "compile": {"optimizer": "adam", "loss": "categorical_crossentropy", "metrics": ["accuracy"]},
        "fit": {"x": x, "y": "d/y", "batch_size": 16, "nb_epoch": 3, "augmentation": augmentation} | fit,
    }


def as_drawn(arguments, drawn, size):
    """Put Keras's draws, which it makes in this order and only where it needs them, into moves."""
    how = Augmentation.from_config(arguments)
    rows, columns = size
    shape = len(drawn), 3
    moves = {name: np.zeros(shape[0]) for name in ("theta", "tx", "ty", "shear", "mirrored", "upside_down")}
    moves |= {"zx": np.ones(shape[0]), "zy": np.ones(shape[0]), "channel": np.zeros(shape)}
    for image, numbers in enumerate(drawn):
        left = iter(numbers)
        for name, asked, unit in (
            ("theta", how.rotation_range, np.pi / 180),
            ("tx", how.height_shift_range, rows),
            ("ty", how.width_shift_range, columns),
            ("shear", how.shear_range, 1),
        ):
            moves[name][image] = next(left) * unit if asked else 0
        if how.zoom_range != (1.0, 1.0):
            moves["zx"][image], moves["zy"][image] = next(left), next(left)
        if how.channel_shift_range:
            moves["channel"][image] = [next(left) for _ in range(3)]
        moves["mirrored"][image] = how.horizontal_flip and next(left) < 0.5
        moves["upside_down"][image] = how.vertical_flip and next(left) < 0.5
        assert list(left) == []
    flags = {name: moves[name].astype(bool) for name in ("mirrored", "upside_down")}
    return how, Moves(**moves | flags)


@pytest.mark.parametrize("case", RECORDED["moves"], ids=lambda case: json.dumps(case["arguments"]))
def test_images_are_moved_as_by_keras_1(case):
    before, after = (torch.from_numpy(ARRAYS[f"{case['key']}_{when}"]) for when in ("before", "after"))
    how, moves = as_drawn(case["arguments"], case["drawn"], before.shape[2:])

    moved = transform(before, moves, how)

    torch.testing.assert_close(moved, after, rtol=0, atol=1e-6)
    assert not torch.equal(moved, before)


@pytest.mark.parametrize("case", RECORDED["standards"], ids=lambda case: json.dumps(case["arguments"]))
def test_images_are_standardized_as_by_keras_1(case):
    before, after = (ARRAYS[f"{case['key']}_{when}"] for when in ("before", "after"))
    images = Images(Augmentation.from_config(case["arguments"]))
    feed = Feed([Column(before, torch.float32, torch.device("cpu"))], None, None, range(len(before)))

    images.learn(feed)
    batch = images.standing(next(feed.batches(len(before))))

    np.testing.assert_allclose(batch.x[0].numpy(), after, rtol=2e-4, atol=2e-4)


def test_draws_follow_from_seed_and_step_alone_and_keep_to_their_ranges():
    how = Augmentation.from_config(EVERYTHING)
    one, again, next_step, other = (
        draw(how, seed, step, 500, (8, 6, 3)) for seed, step in ((7, 3), (7, 3), (7, 4), (8, 3))
    )

    assert np.array_equal(one.theta, again.theta)
    assert not np.array_equal(one.theta, next_step.theta)
    assert not np.array_equal(one.theta, other.theta)
    assert 0.3 < np.abs(one.theta).max() <= np.pi / 9
    assert 0.7 < np.abs(one.tx).max() <= 0.8
    assert 1.1 < np.abs(one.ty).max() <= 1.2
    assert 0.8 <= one.zx.min() < 0.82 < 1.08 < one.zx.max() <= 1.1
    assert 200 < one.mirrored.sum() < 300
    assert (one.mirrored != one.upside_down).any()


def test_batches_that_lie_together_are_moved_as_each_by_itself():
    images = Images(Augmentation.from_config({"rotation_range": 30, "dim_ordering": "tf"}))
    feed = Feed([Column(DATA["x"], torch.float32, torch.device("cpu"))], None, None, range(48))

    together = images.moved(next(feed.batches(16, together=3)), 7, 5)
    apart = [images.moved(batch, 7, 5 + index) for index, batch in enumerate(feed.batches(16))]

    assert torch.equal(together.x[0], torch.cat([batch.x[0] for batch in apart]))
    assert together.steps == 3


def test_an_option_that_is_absent_changes_nothing_and_one_that_idles_neither():
    plain, idle = (training(DATA, **body(augmentation)) for augmentation in (None, {}))
    moving = training(DATA, **body({"width_shift_range": 0.4}))
    for run in (plain, idle, moving):
        run.fit(Notebook())

    assert plain.weights_sha256() == idle.weights_sha256() != moving.weights_sha256()


class Killed(Exception):
    pass


@pytest.mark.parametrize("kill", [2, 4, 6, 9])
@pytest.mark.parametrize("stream", [{}, {"samples_per_epoch": 40, "shuffle": False}], ids=["epochs", "a stream"])
def test_a_run_killed_in_mid_epoch_ends_in_the_bits_of_an_undisturbed_one(kill, stream, tmp_path):
    whole = body(EVERYTHING, **stream) | {"evaluate": {"x": "d/x_val", "y": "d/y_val"}}
    undisturbed = training(DATA, **whole)
    undisturbed.fit(Notebook())
    judged = undisturbed.evaluate(Notebook())
    run, seen = training(DATA, **whole), []

    def one_batch():
        seen.append(1)
        if len(seen) == kill:
            run.save(tmp_path / "checkpoint")
            raise Killed

    with pytest.raises(Killed):
        run.fit(Notebook(one_batch))
    resumed = training(DATA, seed=99, **whole)
    resumed.restore(tmp_path / "checkpoint")
    resumed.fit(Notebook())

    assert resumed.weights_sha256() == undisturbed.weights_sha256()
    assert resumed.history == undisturbed.history
    assert resumed.evaluate(Notebook()) == judged


def test_a_run_that_is_resumed_after_its_fit_standardizes_what_it_judges(tmp_path):
    whole = body({"featurewise_center": True}) | {"evaluate": {"x": "d/x_val", "y": "d/y_val"}}
    run = training(DATA, **whole)
    run.fit(Notebook())
    run.save(tmp_path / "checkpoint")
    resumed = training(DATA, **whole)
    resumed.restore(tmp_path / "checkpoint")

    resumed.fit(Notebook())

    assert resumed.evaluate(Notebook()) == run.evaluate(Notebook())


def test_validation_evaluation_and_prediction_are_standardized_by_the_training_images_and_not_moved():
    mean = DATA["x"][:40].mean((0, 1, 2))
    data = DATA | {"x_ready": DATA["x_val"] - mean}
    judged = {"evaluate": {"x": "d/x_val", "y": "d/y_val"}, "predict": {"x": "d/x_val"}}
    run = training(data, **body({"featurewise_center": True, "rotation_range": 90}, validation_split=0.2), **judged)
    run.fit(Notebook())
    bare = training(
        data, **body(None) | {"evaluate": {"x": "d/x_ready", "y": "d/y_val"}, "predict": {"x": "d/x_ready"}}
    )
    bare.take(run.weights())

    assert run.evaluate(Notebook()) == pytest.approx(bare.evaluate(Notebook()), abs=1e-5)
    np.testing.assert_allclose(run.predict(Notebook()), bare.predict(Notebook()), atol=1e-5)
    assert "val_loss" in run.history["series"]


def test_channels_lie_where_the_job_has_them_unless_told():
    first = plan_of(DATA, **body({}) | {"dim_ordering": "th"}).fit.augmentation
    told = plan_of(DATA, **body({"dim_ordering": "th"})).fit.augmentation
    usual = plan_of(DATA, **body({})).fit.augmentation

    assert (first.channel_axis, told.channel_axis, usual.channel_axis) == (1, 1, 3)


def test_the_definition_reads_back_to_the_same_plan():
    plan = plan_of(DATA, **body(EVERYTHING))
    again = plan_of(DATA, **json.loads(json.dumps(plan.definition)))

    assert again.fit == plan.fit
    assert "standardize" in plan.warnings[0]["detail"]
    assert plan_of(DATA, **body({"rotation_range": 3})).warnings == ()


@pytest.mark.parametrize(
    ("where", "says", "changes"),
    [
        ("/fit/augmentation/rotation", "rotation_range", {"augmentation": {"rotation": 3}}),
        ("/fit/augmentation/rotation_range", "0 or more", {"augmentation": {"rotation_range": -3}}),
        ("/fit/augmentation/fill_mode", "'nearest'", {"augmentation": {"fill_mode": "mirror"}}),
        ("/fit/augmentation/zoom_range", "two factors", {"augmentation": {"zoom_range": [1, 2, 3]}}),
        ("/fit/augmentation/zoom_range", "above 0", {"augmentation": {"zoom_range": 1}}),
        ("/fit/augmentation/zoom_range", "lower one first", {"augmentation": {"zoom_range": [2, 1]}}),
        ("/fit/augmentation/preprocessing_function", "no argument", {"augmentation": {"preprocessing_function": "f"}}),
        ("/fit/augmentation", "must be an object", {"augmentation": True}),
        ("/fit/augmentation", "of images", {"augmentation": {}, "x": "d/cubes", "shape": (8, 6)}),
        (
            "/fit/augmentation/dim_ordering",
            "have 8",
            {"augmentation": {"featurewise_center": True, "dim_ordering": "th"}},
        ),
        (
            "/fit/augmentation/dim_ordering",
            "have 5",
            {"augmentation": {"zca_whitening": True}, "x": "d/five", "shape": (8, 6, 5)},
        ),
        (
            "/fit/augmentation/zca_whitening",
            "4,096",
            {"augmentation": {"zca_whitening": True}, "x": "d/large", "shape": (40, 40, 3)},
        ),
    ],
)
def test_a_bad_augmentation_is_refused_and_pointed_at(where, says, changes):
    with pytest.raises(EngineError, match=says) as refusal:
        plan_of(DATA, **body(**changes))
    assert refusal.value.where == where


def test_python_callers_pass_through_the_same_check():
    with pytest.raises(BadArgument, match="0 or more"):
        Augmentation(shear_range=-1.0)
