"""The models that are measured, as jobs for us and as Keras 3 code for the others."""

from typing import Any

import numpy as np

SAMPLES, WIDTH, CLASSES, BATCH = 16_000, 20, 10, 16


def mlp_data() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "x": rng.random((SAMPLES, WIDTH), dtype=np.float32),
        "y": np.eye(CLASSES, dtype=np.float32)[rng.integers(0, CLASSES, SAMPLES)],
    }


def mlp_job(dataset: str, nb_epoch: int) -> dict[str, Any]:
    """The seed document's softmax MLP, 20-64-64-10 with dropout, SGD with Nesterov momentum, batches of 16."""
    layers = [
        ("Dense", {"output_dim": 64, "input_dim": WIDTH, "init": "uniform"}),
        ("Activation", {"activation": "tanh"}),
        ("Dropout", {"p": 0.5}),
        ("Dense", {"output_dim": 64, "init": "uniform"}),
        ("Activation", {"activation": "tanh"}),
        ("Dropout", {"p": 0.5}),
        ("Dense", {"output_dim": CLASSES, "init": "uniform"}),
        ("Activation", {"activation": "softmax"}),
    ]
    return {
        "model": {"class_name": "Sequential", "config": [{"class_name": n, "config": c} for n, c in layers]},
        "compile": {
            "optimizer": {
                "class_name": "SGD",
                "config": {"lr": 0.1, "decay": 1e-6, "momentum": 0.9, "nesterov": True},
            },
            "loss": "categorical_crossentropy",
            "metrics": ["accuracy"],
        },
        "fit": {"x": f"{dataset}/x", "y": f"{dataset}/y", "nb_epoch": nb_epoch, "batch_size": BATCH},
    }
