"""Killed at random points and resumed from random checkpoints, a run ends in the bits of one that nothing disturbs.

A point is a seed: it chooses the model, the batches after which a checkpoint is written, and the batches at which the
run is killed, up to three times. A few points are tried in the normal tests, and all hundred in the long ones.
"""

import random
from functools import cache

import numpy as np
import pytest

from tests.engine.yard import Notebook, sequential, training

POINTS, USUAL = 100, 12
RNG = np.random.default_rng(17)
DATA = {
    "x": RNG.random((90, 6), dtype=np.float32),
    "y": np.eye(3, dtype=np.float32)[RNG.integers(0, 3, 90)],
    "x_val": RNG.random((30, 6), dtype=np.float32),
    "y_val": np.eye(3, dtype=np.float32)[RNG.integers(0, 3, 30)],
    "steps": RNG.random((40, 5, 4), dtype=np.float32),
    "steps_val": RNG.random((16, 5, 4), dtype=np.float32),
    "images": RNG.random((48, 1, 6, 6), dtype=np.float32),
    "words": RNG.integers(1, 20, (60, 5)),
    "w": RNG.random(60, dtype=np.float32),
}
ADAM = {"class_name": "Adam", "config": {"lr": 0.02}}
CALLBACKS = [
    {"class_name": "EarlyStopping", "config": {"patience": 3}},
    {"class_name": "ReduceLROnPlateau", "config": {"patience": 0, "factor": 0.5, "epsilon": 0.05}},
]


def judged(optimizer, **fit):
    return {
        "compile": {"optimizer": optimizer, "loss": "categorical_crossentropy", "metrics": ["accuracy"]},
        "fit": fit,
    }


BODIES = {
    "batch normalization, dropout, two callbacks": {
        "model": sequential(
            ("Dense", {"output_dim": 12, "input_dim": 6, "activation": "relu"}),
            ("BatchNormalization", {}),
            ("Dropout", {"p": 0.4}),
            ("Dense", {"output_dim": 3, "activation": "softmax"}),
        ),
        **judged(
            ADAM,
            x="d/x",
            y="d/y",
            batch_size=16,
            nb_epoch=6,
            validation_data={"x": "d/x_val", "y": "d/y_val"},
            callbacks=CALLBACKS,
        ),
        "evaluate": {"x": "d/x_val", "y": "d/y_val", "batch_size": 7},
    },
    "a stateful LSTM": {
        "model": sequential(
            ("LSTM", {"output_dim": 6, "stateful": True, "batch_input_shape": [8, 5, 4], "dropout_W": 0.2}),
            ("Dense", {"output_dim": 3, "activation": "softmax"}),
        ),
        **judged(
            ADAM,
            x="d/steps",
            y="d/y40",
            batch_size=8,
            nb_epoch=5,
            shuffle=False,
            validation_data={"x": "d/steps_val", "y": "d/y16"},
            callbacks=CALLBACKS[1:],
        ),
        "evaluate": {"x": "d/steps_val", "y": "d/y16", "batch_size": 8},
    },
    "convolutions and noise": {
        "model": sequential(
            ("Convolution2D", {"nb_filter": 3, "nb_row": 3, "nb_col": 3, "input_shape": [1, 6, 6]}),
            ("BatchNormalization", {"axis": 1}),
            ("GaussianNoise", {"sigma": 0.1}),
            ("Flatten", {}),
            ("Dense", {"output_dim": 3, "activation": "softmax"}),
        ),
        "dim_ordering": "th",
        **judged("nadam", x="d/images", y="d/y48", batch_size=10, nb_epoch=5, validation_split=0.25, shuffle="batch"),
    },
    "augmented images": {
        "model": sequential(
            ("Convolution2D", {"nb_filter": 3, "nb_row": 3, "nb_col": 3, "input_shape": [1, 6, 6]}),
            ("Flatten", {}),
            ("Dense", {"output_dim": 3, "activation": "softmax"}),
        ),
        "dim_ordering": "th",
        **judged(
            "rmsprop",
            x={"array": "d/images", "scale": 2.0},
            y="d/y48",
            batch_size=10,
            nb_epoch=4,
            validation_split=0.25,
            augmentation={"rotation_range": 30, "zoom_range": 0.2, "horizontal_flip": True, "featurewise_center": True},
        ),
    },
    "words and a GRU, weighted": {
        "model": sequential(
            ("Embedding", {"input_dim": 20, "output_dim": 5, "input_length": 5, "mask_zero": True, "dropout": 0.1}),
            ("GRU", {"output_dim": 6}),
            ("Dense", {"output_dim": 3, "activation": "softmax"}),
        ),
        **judged("rmsprop", x="d/words", y="d/y60", batch_size=12, nb_epoch=5, sample_weight="d/w"),
    },
}
DATA |= {f"y{n}": DATA["y"][:n] for n in (16, 40, 48, 60)}


class Killed(Exception):
    pass


class Fate(Notebook):
    """A watcher that keeps a checkpoint after some batches, and kills the run at one."""

    def __init__(self, run, path, keeps, kill):
        super().__init__()
        self.run, self.path, self.keeps, self.kill, self.seen = run, path, keeps, kill, 0

    def batch(self):
        self.seen += 1
        if self.seen in self.keeps:
            self.run.save(self.path)
        if self.seen == self.kill:
            raise Killed


def run_of(name, seed=7):
    return training(DATA, seed, **BODIES[name])


def finish(run, watcher):
    """Fit and evaluate; tell all that has to be the same."""
    run.fit(watcher)
    judged = run.evaluate(watcher) if run.plan.evaluate else None
    return run.weights_sha256(), run.history, run.lr, judged, run.callback_states


@cache
def undisturbed(name):
    watcher = Notebook()
    counted = []
    watcher.on_batch = lambda: counted.append(1)
    return finish(run_of(name), watcher), len(counted)


def disturbed(name, path, draw):
    """Run it, killed up to three times; each new run has another seed until it takes the checkpoint's."""
    batches = undisturbed(name)[1]
    for _ in range(draw.randint(1, 3)):
        run = run_of(name, seed=99 if path.exists() else 7)
        if path.exists():
            run.restore(path)
        kill = draw.randint(1, batches)
        try:
            return finish(run, Fate(run, path, set(draw.sample(range(1, batches + 1), batches // 3)), kill))
        except Killed:
            continue
    run = run_of(name, seed=99 if path.exists() else 7)
    if path.exists():
        run.restore(path)
    return finish(run, Notebook())


@pytest.mark.parametrize(
    "point", [pytest.param(point, marks=[pytest.mark.slow] if point >= USUAL else []) for point in range(POINTS)]
)
def test_killed_at_a_random_point_a_run_ends_in_the_same_bits(point, tmp_path):
    name = list(BODIES)[point % len(BODIES)]

    assert disturbed(name, tmp_path / "checkpoint", random.Random(point)) == undisturbed(name)[0]


def test_the_points_see_callbacks_act_and_layers_remember():
    histories = {name: undisturbed(name)[0] for name in BODIES}

    assert histories["batch normalization, dropout, two callbacks"][2] < ADAM["config"]["lr"], "the rate was reduced"
    stateful = run_of("a stateful LSTM")
    stateful.fit(Notebook())
    assert any(each.any() for each in stateful.step.remembered(stateful.state).values())
