"""Models written as ONNX from Python, and run by onnxruntime."""

import numpy as np
import pytest

from tests.trainyard.small import RNG, X, Y, make
from trainyard.layers import LSTM, Convolution2D, Dense, Flatten, Merge
from trainyard.models import Sequential

SLOW = pytest.mark.slow
LAYERS = {
    "dense": ([Dense(8, input_dim=5, activation="tanh"), Dense(3, activation="softmax")], (5,)),
    "recurrent": ([LSTM(4, input_shape=(6, 5)), Dense(3, activation="softmax")], (6, 5)),
    "images": ([Convolution2D(2, 3, 3, input_shape=(8, 6, 3)), Flatten(), Dense(3, activation="softmax")], (8, 6, 3)),
}


def run(path, *inputs):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]
    (y,) = session.run(None, dict(zip(names, inputs, strict=True)))
    return y


@pytest.mark.parametrize("case", ["images", pytest.param("dense", marks=SLOW), pytest.param("recurrent", marks=SLOW)])
def test_onnxruntime_predicts_what_the_model_predicts(client, tmp_path, case):
    layers, shape = LAYERS[case]
    model = make(*layers)
    x = RNG.random((7, *shape), dtype=np.float32)
    model.fit(x, Y[:7], nb_epoch=1, verbose=0)
    model.save(tmp_path / "model.onnx")
    np.testing.assert_allclose(run(tmp_path / "model.onnx", x), model.predict(x), rtol=1e-5, atol=1e-6)


def test_weights_that_were_set_here_are_those_of_the_graph(client, tmp_path):
    branches = [Sequential([Dense(3, input_dim=5)]) for _ in range(2)]
    model = Sequential([Merge(branches, mode="sum")])
    model.set_weights([np.full_like(each, 0.5) for each in model.get_weights()])
    model.save(tmp_path / "model.onnx")
    y = run(tmp_path / "model.onnx", X, X)
    np.testing.assert_allclose(y, np.repeat(X.sum(1, keepdims=True) + 1, 3, axis=1), rtol=1e-5)
