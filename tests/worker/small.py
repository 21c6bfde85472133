"""Small models and data, and how to wait without sleeping."""

import time

import numpy as np

SOFTMAX = {
    "class_name": "Sequential",
    "config": [
        {"class_name": "Dense", "config": {"output_dim": 8, "input_dim": 4, "activation": "tanh"}},
        {"class_name": "Dropout", "config": {"p": 0.5}},
        {"class_name": "Dense", "config": {"output_dim": 3, "activation": "softmax"}},
    ],
}
COMPILE = {
    "optimizer": {"class_name": "SGD", "config": {"lr": 0.1, "momentum": 0.9, "nesterov": True}},
    "loss": "categorical_crossentropy",
    "metrics": ["accuracy"],
}


def arrays(n=64):
    """Points whose class is the largest of their first three coordinates."""
    x = np.random.default_rng(0).normal(size=(n, 4)).astype(np.float32)
    return {"x": x, "y": np.eye(3, dtype=np.float32)[x[:, :3].argmax(1)]}


def training(dataset_id, nb_epoch=3, **more):
    """A job that trains on `arrays`, judges and predicts."""
    data = {"x": f"{dataset_id}/x", "y": f"{dataset_id}/y"}
    return {
        "model": SOFTMAX,
        "compile": COMPILE,
        "fit": data | {"nb_epoch": nb_epoch, "batch_size": 8},
        "evaluate": data,
        "predict": {"x": data["x"]},
    } | more


def until(true, seconds=120.0):
    """Poll until something holds, and return it."""
    deadline = time.monotonic() + seconds
    while not (value := true()):
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)
    return value
