"""The models that are measured: their data, and the jobs that train them; `benchmarks.peer` has the same in Keras 3."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]
Layers = list[tuple[str, dict[str, Any]]]

MLP_WIDTH, BRANCH_WIDTH, IMAGE, CLASSES = 20, 784, (3, 100, 100), 10
REVIEW_WORDS, REVIEW_LENGTH = 20_000, 80
STEPS, STEP_WIDTH = 8, 16
CAPTION_WORDS, CAPTION_LENGTH = 10_000, 16
#: A job as long as this has every means of making it faster pay.
EPOCHS = 100_000


@dataclass(frozen=True)
class Model:
    """One model to measure.

    Args:
        title: What it is, for people.
        batch: Samples a batch.
        samples: Samples an epoch, so that the slowest takes some seconds over one.
        arrays: Makes its data: `y`, and its inputs in order.
        model: Its layers in Keras 1's JSON.
        compiled: How it learns.
    """

    title: str
    batch: int
    samples: int
    arrays: Callable[[np.random.Generator, int], Arrays]
    model: dict[str, Any]
    compiled: dict[str, Any]

    def data(self) -> Arrays:
        """Draw the data, the same every time."""
        return self.arrays(np.random.default_rng(0), self.samples)

    def inputs(self) -> list[str]:
        """Name the inputs in order."""
        return [name for name in self.arrays(np.random.default_rng(0), 1) if name != "y"]

    def job(self, dataset: str, nb_epoch: int = EPOCHS) -> dict[str, Any]:
        """Write the job that trains it on its data, stored as `dataset`."""
        x = [f"{dataset}/{name}" for name in self.inputs()]
        fit = {"x": x, "y": f"{dataset}/y", "nb_epoch": nb_epoch, "batch_size": self.batch}
        return {"model": self.model, "compile": self.compiled, "fit": fit, "dim_ordering": "th"}


def sequential(layers: Layers) -> dict[str, Any]:
    return {"class_name": "Sequential", "config": [{"class_name": n, "config": c} for n, c in layers]}


def images(rng: np.random.Generator, samples: int) -> np.ndarray:
    return rng.random((samples, *IMAGE), dtype=np.float32)


def one_hot(rng: np.random.Generator, samples: int, classes: int = CLASSES) -> np.ndarray:
    y = np.zeros((samples, classes), dtype=np.float32)
    y[np.arange(samples), rng.integers(0, classes, samples)] = 1.0
    return y


def convolutions(p: float) -> Layers:
    """Write the two blocks of convolutions that read an image, with a Dropout after each where p is not 0."""
    drop: Layers = [("Dropout", {"p": p})] if p else []
    window = {"nb_row": 3, "nb_col": 3}
    relu = ("Activation", {"activation": "relu"})
    return [
        ("Convolution2D", {"nb_filter": 32, **window, "border_mode": "valid", "input_shape": list(IMAGE)}),
        relu,
        ("Convolution2D", {"nb_filter": 32, **window}),
        relu,
        ("MaxPooling2D", {"pool_size": [2, 2]}),
        *drop,
        ("Convolution2D", {"nb_filter": 64, **window, "border_mode": "valid"}),
        relu,
        ("Convolution2D", {"nb_filter": 64, **window}),
        relu,
        ("MaxPooling2D", {"pool_size": [2, 2]}),
        *drop,
        ("Flatten", {}),
    ]


NESTEROV = {"class_name": "SGD", "config": {"lr": 0.1, "decay": 1e-6, "momentum": 0.9, "nesterov": True}}

MLP = Model(
    f"MLP {MLP_WIDTH}-64-64-10 with dropout, SGD with Nesterov momentum",
    batch=16,
    samples=4_000,
    arrays=lambda rng, n: {"x": rng.random((n, MLP_WIDTH), dtype=np.float32), "y": one_hot(rng, n)},
    model=sequential(
        [
            ("Dense", {"output_dim": 64, "input_dim": MLP_WIDTH, "init": "uniform"}),
            ("Activation", {"activation": "tanh"}),
            ("Dropout", {"p": 0.5}),
            ("Dense", {"output_dim": 64, "init": "uniform"}),
            ("Activation", {"activation": "tanh"}),
            ("Dropout", {"p": 0.5}),
            ("Dense", {"output_dim": CLASSES, "init": "uniform"}),
            ("Activation", {"activation": "softmax"}),
        ]
    ),
    compiled={"optimizer": NESTEROV, "loss": "categorical_crossentropy", "metrics": ["accuracy"]},
)

BRANCHES = Model(
    f"Two branches {BRANCH_WIDTH}-32, joined, softmax 10, RMSprop",
    batch=32,
    samples=3_200,
    arrays=lambda rng, n: {
        "left": rng.random((n, BRANCH_WIDTH), dtype=np.float32),
        "right": rng.random((n, BRANCH_WIDTH), dtype=np.float32),
        "y": one_hot(rng, n),
    },
    model=sequential(
        [
            (
                "Merge",
                {
                    "layers": [
                        sequential([("Dense", {"output_dim": 32, "input_dim": BRANCH_WIDTH})]) for _ in range(2)
                    ],
                    "mode": "concat",
                },
            ),
            ("Dense", {"output_dim": CLASSES, "activation": "softmax"}),
        ]
    ),
    compiled={"optimizer": "rmsprop", "loss": "categorical_crossentropy", "metrics": ["accuracy"]},
)

VGG = Model(
    "VGG-like on 100 x 100 images, SGD with Nesterov momentum",
    batch=32,
    samples=64,
    arrays=lambda rng, n: {"x": images(rng, n), "y": one_hot(rng, n)},
    model=sequential(
        [
            *convolutions(p=0.25),
            ("Dense", {"output_dim": 256}),
            ("Activation", {"activation": "relu"}),
            ("Dropout", {"p": 0.5}),
            ("Dense", {"output_dim": CLASSES}),
            ("Activation", {"activation": "softmax"}),
        ]
    ),
    compiled={"optimizer": NESTEROV, "loss": "categorical_crossentropy"},
)

#: What Keras 3 makes of `GRU(units)`.
LATER_GRU = {"inner_activation": "sigmoid", "consume_less": "gpu", "reset_after": True}


def reviews(cell: str, config: dict[str, Any], title: str) -> Model:
    return Model(
        f"Embedding {REVIEW_WORDS} x 256 and {title} 128 over {REVIEW_LENGTH} steps, RMSprop",
        batch=16,
        samples=160,
        arrays=lambda rng, n: {
            "x": rng.integers(0, REVIEW_WORDS, (n, REVIEW_LENGTH)),
            "y": rng.integers(0, 2, (n, 1)).astype(np.float32),
        },
        model=sequential(
            [
                ("Embedding", {"input_dim": REVIEW_WORDS, "output_dim": 256, "input_length": REVIEW_LENGTH}),
                (cell, {"output_dim": 128, **config}),
                ("Dropout", {"p": 0.5}),
                ("Dense", {"output_dim": 1}),
                ("Activation", {"activation": "sigmoid"}),
            ]
        ),
        compiled={"optimizer": "rmsprop", "loss": "binary_crossentropy", "metrics": ["accuracy"]},
    )


def stacked(cell: str, config: dict[str, Any], title: str) -> Model:
    return Model(
        f"Three {title} 32 over {STEPS} steps, RMSprop",
        batch=64,
        samples=640,
        arrays=lambda rng, n: {"x": rng.random((n, STEPS, STEP_WIDTH), dtype=np.float32), "y": one_hot(rng, n)},
        model=sequential(
            [
                (cell, {"output_dim": 32, "return_sequences": True, "input_shape": [STEPS, STEP_WIDTH], **config}),
                (cell, {"output_dim": 32, "return_sequences": True, **config}),
                (cell, {"output_dim": 32, **config}),
                ("Dense", {"output_dim": CLASSES, "activation": "softmax"}),
            ]
        ),
        compiled={"optimizer": "rmsprop", "loss": "categorical_crossentropy", "metrics": ["accuracy"]},
    )


CAPTIONS = Model(
    "Image captioning: convolutions and a GRU over 16 words, joined into a GRU 256, softmax 10000, RMSprop",
    batch=16,
    samples=32,
    arrays=lambda rng, n: {
        "image": images(rng, n),
        "words": rng.integers(0, CAPTION_WORDS, (n, CAPTION_LENGTH)),
        "y": one_hot(rng, n, CAPTION_WORDS),
    },
    model=sequential(
        [
            (
                "Merge",
                {
                    "layers": [
                        sequential(
                            [
                                *convolutions(p=0.0),
                                ("Dense", {"output_dim": 128}),
                                ("RepeatVector", {"n": CAPTION_LENGTH}),
                            ]
                        ),
                        sequential(
                            [
                                (
                                    "Embedding",
                                    {"input_dim": CAPTION_WORDS, "output_dim": 256, "input_length": CAPTION_LENGTH},
                                ),
                                ("GRU", {"output_dim": 128, "return_sequences": True}),
                                (
                                    "TimeDistributed",
                                    {"layer": {"class_name": "Dense", "config": {"output_dim": 128}}},
                                ),
                            ]
                        ),
                    ],
                    "mode": "concat",
                    "concat_axis": -1,
                },
            ),
            ("GRU", {"output_dim": 256}),
            ("Dense", {"output_dim": CAPTION_WORDS}),
            ("Activation", {"activation": "softmax"}),
        ]
    ),
    compiled={"optimizer": "rmsprop", "loss": "categorical_crossentropy"},
)

MODELS = {
    "mlp": MLP,
    "branches": BRANCHES,
    "vgg": VGG,
    "reviews": reviews("LSTM", {"activation": "sigmoid", "inner_activation": "hard_sigmoid"}, "LSTM"),
    "reviews_gru": reviews("GRU", LATER_GRU, "GRU (Keras 3's)"),
    "stacked": stacked("LSTM", {}, "LSTM"),
    "stacked_gru": stacked("GRU", LATER_GRU, "GRU (Keras 3's)"),
    "captions": CAPTIONS,
}
