"""Data, models and comparisons that the tests of training share."""

import numpy as np

from trainyard.layers import Dense
from trainyard.models import Sequential

RNG = np.random.default_rng(0)
X, Y = RNG.random((64, 5), dtype=np.float32), np.eye(3)[RNG.integers(3, size=64)]


def make(*layers, optimizer="adam", metrics=("accuracy",), seed=7):
    """Compile a model, a small one if no layers are given."""
    model = Sequential(layers or [Dense(8, input_dim=5, activation="tanh"), Dense(3, activation="softmax")])
    model.seed = seed
    model.compile(optimizer, "categorical_crossentropy", list(metrics))
    return model


def equal(one, other):
    """Hold two lists of arrays to the same values."""
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)
