"""Fashion-MNIST, from Debian's package `dataset-fashion-mnist` (MIT): 60,000 images to train on, 10,000 to test."""

import gzip
from pathlib import Path

import numpy as np

from examples.files import FEW, Arrays, main
from examples.packages import debian


def arrays(few: bool = False) -> Arrays:
    folder = debian("dataset-fashion-mnist") / "usr/share/datasets/fashion-mnist"
    made = {}
    for name, prefix in (("train", "train"), ("test", "t10k")):
        images = read(folder / f"{prefix}-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28, 1)
        labels = read(folder / f"{prefix}-labels-idx1-ubyte.gz", 8)
        rows = slice(FEW[name] if few else None)
        made |= {f"x_{name}": images[rows], f"y_{name}": labels[rows]}
    return made


def read(path: Path, head: int) -> np.ndarray:
    return np.frombuffer(gzip.decompress(path.read_bytes()), dtype=np.uint8, offset=head)


if __name__ == "__main__":
    main(arrays)
