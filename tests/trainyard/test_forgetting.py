"""When stateful layers forget, said in Python."""

import numpy as np
import pytest

from engine.errors import BadArgument
from trainyard.layers import LSTM, Dense
from trainyard.models import Sequential
from trainyard.optimizers import SGD

X, Y = np.random.default_rng(2).random((8, 3, 5)), np.ones((8, 1))


def remembering():
    model = Sequential([LSTM(2, stateful=True, batch_input_shape=(4, 3, 5)), Dense(1)])
    model.compile(SGD(lr=0.0), "mse")
    return model


@pytest.mark.parametrize(("when", "alike"), [("never", False), ("epoch", True), ("fit", False)])
def test_states_last_over_epochs_unless_they_are_reset_after_each(client, when, alike):
    history = remembering().fit(X, Y, 4, 2, 0, shuffle=False, reset_states=when)
    first, second = history.history["loss"]
    assert (first == second) is alike
    assert client.jobs.get(history.job)["definition"]["fit"]["reset_states"] == when


def test_there_are_three_moments_to_forget():
    with pytest.raises(BadArgument, match="never"):
        remembering().fit(X, Y, 4, 2, 0, reset_states="batch")
