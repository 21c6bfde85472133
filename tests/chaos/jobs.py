"""Small jobs whose bits are known: each kind has one definition, one seed, and therefore one result.

A session is sent its steps besides; they are always the same.
"""

from typing import Any

import numpy as np

from engine.sources import Packed

WIDTH, CLASSES, SAMPLES, BATCH, SEED = 64, 10, 256, 32, 7

Layers = list[tuple[str, dict[str, Any]]]


def arrays() -> dict[str, np.ndarray]:
    """Draw something like digits, in the three forms that the models take."""
    rng = np.random.default_rng(0)
    x = rng.random((SAMPLES, WIDTH), dtype=np.float32)
    y = np.eye(CLASSES, dtype=np.float32)[(x @ rng.normal(size=(WIDTH, CLASSES))).argmax(1)]
    return {"x": x, "steps": x.reshape(-1, 8, 8), "images": x.reshape(-1, 8, 8, 1), "y": y}


def _job(array: str, nb_epoch: int, layers: Layers, **fit: Any) -> dict[str, Any]:
    ending: Layers = [("Dense", {"output_dim": CLASSES, "activation": "softmax"})]
    config = [{"class_name": name, "config": config} for name, config in layers + ending]
    data = {"x": f"$data/{array}", "y": "$data/y", "batch_size": BATCH}
    return {
        "seed": SEED,
        "model": {"class_name": "Sequential", "config": config},
        "compile": {
            "optimizer": {"class_name": "Adam", "config": {"lr": 0.003}},
            "loss": "categorical_crossentropy",
            "metrics": ["accuracy"],
        },
        "fit": data | {"nb_epoch": nb_epoch, "verbose": 0} | fit,
    }


def _mlp(nb_epoch: int) -> dict[str, Any]:
    hidden = ("Dense", {"output_dim": 32, "input_dim": WIDTH, "activation": "relu"})
    return _job("x", nb_epoch, [hidden, ("Dropout", {"p": 0.3})])


_CALLBACKS = [
    {"class_name": "ReduceLROnPlateau", "config": {"monitor": "val_loss", "factor": 0.5, "patience": 3}},
    {"class_name": "EarlyStopping", "config": {"monitor": "val_loss", "patience": 60}},
]

#: Updates a session is sent, and how many go in one request.
UPDATES, TOGETHER = 60, 4
SESSION = "session"


def _session() -> dict[str, Any]:
    """Make a session of all that a step can depend on; it rests whenever it is left alone for a second."""
    layers: Layers = [
        ("GRU", {"output_dim": 8, "batch_input_shape": [BATCH, 8, 8], "stateful": True}),
        ("BatchNormalization", {}),
        ("Dropout", {"p": 0.3}),
    ]
    body = _job("steps", 1, layers) | {"session": {"idle_seconds": 1}}
    del body["fit"]
    return body


def steps() -> list[list[dict[str, Any]]]:
    """Write down what a session is sent, request by request; a close is the last of it."""
    data = arrays()
    sent: list[dict[str, Any]] = []
    for update in range(UPDATES):
        rows = slice(update * BATCH % SAMPLES, update * BATCH % SAMPLES + BATCH)
        batch = {"x": Packed.of(data["steps"][rows]).to_json(), "y": Packed.of(data["y"][rows]).to_json()}
        sent.append({"train": batch})
        if update % 10 == 9:
            sent += [{"evaluate": batch | {"batch_size": BATCH}}, {"reset_states": {}}, {"set": {"lr": 0.02 / update}}]
    sent.append({"close": {}})
    return [sent[first : first + TOGETHER] for first in range(0, len(sent), TOGETHER)]


#: A job of each kind; `$data` stands for the dataset.
JOBS: dict[str, dict[str, Any]] = {
    "quick": _mlp(5),
    "long": _mlp(500),
    "normalised": _job(
        "x",
        200,
        [
            ("Dense", {"output_dim": 32, "input_dim": WIDTH, "activation": "tanh"}),
            ("BatchNormalization", {}),
            ("Dropout", {"p": 0.5}),
        ],
        validation_split=0.25,
        callbacks=_CALLBACKS,
    ),
    "stateful": _job(
        "steps",
        60,
        [("LSTM", {"output_dim": 8, "batch_input_shape": [BATCH, 8, 8], "stateful": True}), ("Dropout", {"p": 0.3})],
        shuffle=False,
    ),
    "images": _job(
        "images",
        80,
        [
            (
                "Convolution2D",
                {"nb_filter": 4, "nb_row": 3, "nb_col": 3, "input_shape": [8, 8, 1], "dim_ordering": "tf"},
            ),
            ("Activation", {"activation": "relu"}),
            ("Flatten", {}),
            ("Dropout", {"p": 0.3}),
        ],
    ),
    SESSION: _session(),
}
#: Of so many jobs, each kind has its share: most are over before a checkpoint, some live long enough to be resumed.
SHARES = {"quick": 6, "long": 1, "normalised": 1, "stateful": 1, "images": 1, SESSION: 1}
