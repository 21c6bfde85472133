"""Bodies that are right, shown with their operations in the OpenAPI document; a test sends each of them.

`DATASET` is the digits of the README, as `examples/digits/data.py` writes them, `WEIGHTS` and `JOB` weights and a job
of `DIGITS`. Who tries an example puts ids of his own in their place.
"""

from typing import Annotated, Any

from fastapi import Body
from fastapi.openapi.models import Example

DATASET = "ds_01KA3T6V9W2X4Y6Z8A0B1C2D3E"
WEIGHTS = "wts_01KA3T7F5G6H7J8K9M0N1P2Q3R"
JOB = "job_01KA3T8S4T5V6W7X8Y9Z0A1B2C"
SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


def _shown(**bodies: tuple[str, dict[str, Any]]) -> dict[str, Example]:
    return {name: {"summary": summary, "value": body} for name, (summary, body) in bodies.items()}


def _sequential(*layers: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    return {"class_name": "Sequential", "config": [{"class_name": name, "config": config} for name, config in layers]}


DIGITS = _sequential(
    ("Dense", {"output_dim": 64, "input_dim": 64, "activation": "tanh"}),
    ("Dropout", {"p": 0.5}),
    ("Dense", {"output_dim": 10, "activation": "softmax"}),
)
LATER = {
    "class_name": "Sequential",
    "config": {
        "name": "digits",
        "layers": [
            {"class_name": "InputLayer", "config": {"batch_shape": [None, 64], "name": "image"}},
            {"class_name": "Dense", "config": {"name": "scores", "units": 10, "activation": "softmax"}},
        ],
    },
    "keras_version": "3.8.0",
}
IMAGES = _sequential(
    ("Reshape", {"target_shape": [8, 8, 1], "input_shape": [64]}),
    ("Convolution2D", {"nb_filter": 8, "nb_row": 3, "nb_col": 3, "activation": "relu", "dim_ordering": "tf"}),
    ("Flatten", {}),
    ("Dense", {"output_dim": 10, "activation": "softmax"}),
)
TWO_BRANCHES = _sequential(
    (
        "Merge",
        {
            "mode": "concat",
            "layers": [
                _sequential(("Dense", {"output_dim": 32, "input_dim": 64, "activation": "relu"})),
                _sequential(("Dense", {"output_dim": 16, "input_dim": 64, "activation": "tanh"})),
            ],
        },
    ),
    ("Dense", {"output_dim": 10, "activation": "softmax"}),
)
SGD = {"class_name": "SGD", "config": {"lr": 0.1, "momentum": 0.9, "nesterov": True}}
COMPILE = {"optimizer": SGD, "loss": "categorical_crossentropy", "metrics": ["accuracy"]}
LABELS = {"to_categorical": f"{DATASET}/y_train", "nb_classes": 10}
TEST_LABELS = {"to_categorical": f"{DATASET}/y_test", "nb_classes": 10}
FIT = {"x": f"{DATASET}/x_train", "y": LABELS, "nb_epoch": 20, "batch_size": 64, "validation_split": 0.1}

TRAIN = {
    "name": "digits",
    "labels": {"team": "vision"},
    "seed": 7,
    "model": DIGITS,
    "compile": COMPILE,
    "fit": FIT,
    "evaluate": {"x": f"{DATASET}/x_test", "y": TEST_LABELS},
}
EARLY_STOPPING = {"class_name": "EarlyStopping", "config": {"monitor": "val_loss", "patience": 3}}
STOPPING = {
    "model": IMAGES,
    "compile": COMPILE | {"optimizer": "adam"},
    "fit": FIT | {"nb_epoch": 100, "callbacks": [EARLY_STOPPING]},
    "checkpoint": {"every_epochs": 5},
    "limits": {"seconds": 3600},
    "exports": ["keras3"],
}
CONTINUING = {"model": DIGITS, "weights": {"job": JOB}, "compile": COMPILE, "fit": FIT | {"nb_epoch": 5}}
PREDICTING = {"model": DIGITS, "weights": {"id": WEIGHTS}, "predict": {"x": f"{DATASET}/x_test"}}
BRANCHES = {
    "model": TWO_BRANCHES,
    "compile": COMPILE,
    "fit": {"x": [f"{DATASET}/x_train", f"{DATASET}/x_train"], "y": LABELS, "nb_epoch": 10},
}
SESSION = {"model": DIGITS, "compile": COMPILE, "seed": 7, "session": {"idle_seconds": 600}}
BATCH = {"x": [[0.5] * 64] * 2, "y": {"to_categorical": [3, 8], "nb_classes": 10}}
#: A row of 64 zeros.
ZEROS = {"base64": "AAAA" * 85 + "AA==", "dtype": "float32", "shape": [1, 64]}
PREDICT = {"predict": {"x": ZEROS, "encoding": "base64"}}

MODELS = _shown(
    keras1=("A Sequential of Keras 1", DIGITS),
    keras3=("What Keras 3 prints", LATER),
    branches=("Two branches that meet", TWO_BRANCHES),
)
JOBS = _shown(
    train=("Train and evaluate", TRAIN),
    stop_early=("Images, until the validation loss rests", STOPPING),
    go_on=("Go on from another job's weights", CONTINUING),
    predict=("Predict with uploaded weights", PREDICTING),
    branches=("Two inputs", BRANCHES),
    session=("A session, which is sent its steps", SESSION),
)
STEPS = _shown(
    train=("Two updates", {"first": 1, "steps": [{"train": BATCH}, {"train": BATCH}]}),
    evaluate=("An evaluation", {"first": 1, "steps": [{"evaluate": {"x": f"{DATASET}/x_test", "y": TEST_LABELS}}]}),
    predict=(
        "A prediction, in and out as bytes",
        {"first": 1, "steps": [{"predict": {"x": ZEROS, "encoding": "base64"}}]},
    ),
    close=("Keep the weights, and end", {"first": 1, "steps": [{"save": {"name": "final.h5"}}, {"close": {}}]}),
)
DATASETS = _shown(
    announce=("Announce a file", {"name": "digits", "format": "npz", "bytes": 152_340}),
    hashed=("… whose hash is known", {"name": "digits", "format": "npz", "bytes": 152_340, "sha256": SHA256}),
)
WEIGHTS_FILES = _shown(
    hdf5=("Announce HDF5", {"name": "digits", "format": "hdf5", "bytes": 45_672, "sha256": SHA256}),
    theano=("… of Keras 1 on Theano", {"format": "hdf5", "bytes": 45_672, "kernels": "theano"}),
)
PREDICTIONS = _shown(
    reference=("For uploaded samples", {"job": JOB, "x": f"{DATASET}/x_test"}),
    lists=("Classes, for samples written out", {"job": JOB, "x": [[0.5] * 64], "method": "predict_classes"}),
)
EVALUATIONS = _shown(
    reference=(
        "On uploaded samples",
        {"job": JOB, "x": f"{DATASET}/x_test", "y": TEST_LABELS, "batch_size": 128},
    ),
)

#: The body of `POST /v1/models`: whatever a Keras prints.
Definition = Annotated[dict[str, Any], Body(openapi_examples=MODELS)]
