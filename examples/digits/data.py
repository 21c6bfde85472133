"""Write digits.npz: 1797 handwritten digits of 8 by 8 pixels, bundled with scikit-learn."""

import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

TRAIN, VALIDATE = 1200, 300


def arrays(few: bool = False) -> dict[str, np.ndarray]:
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(images))
    x = (images[order] / 16).astype(np.float32)
    y = labels[order].astype(np.int64)
    train, val, test = slice(TRAIN), slice(TRAIN, TRAIN + VALIDATE), slice(TRAIN + VALIDATE, None)
    parts = {"train": train, "val": val, "test": test}
    return {f"x_{name}": x[part] for name, part in parts.items()} | {
        f"y_{name}": y[part] for name, part in parts.items()
    }


def main(path: Path) -> None:
    made = arrays()
    np.savez(path, **made)
    print(f"{path}: {', '.join(f'{name} {len(array)}' for name, array in made.items() if name[0] == 'x')}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("digits.npz"))
