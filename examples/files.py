"""How the examples' data.py write their files: `python -m examples.NAME.data FILE [--few]`."""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np

Arrays = dict[str, np.ndarray]
Parts = dict[str, slice | np.ndarray]

#: With --few, so many samples are trained and so many judged on: enough to see that everything works.
FEW = {"train": 400, "test": 200}


def parts_of(samples: int, train: int, few: bool, seed: int = 0) -> Parts:
    """Say by chance, always the same, which samples train and which test."""
    order = np.random.default_rng(seed).permutation(samples)
    parts: Parts = {"train": order[:train], "test": order[train:]}
    return {name: rows[: FEW[name]] if few else rows for name, rows in parts.items()}


def ragged(name: str, sequences: list[list[int]]) -> Arrays:
    """Write sequences of different lengths as one row of values, and where each begins."""
    flat = np.array([step for each in sequences for step in each], dtype=np.uint16)
    return {f"words_{name}": flat, f"offsets_{name}": np.cumsum([0, *map(len, sequences)])}


def write(path: Path, arrays: Arrays, few: bool = False) -> None:
    """Write an .npz, so that a worker can map it; a small one is packed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    (np.savez_compressed if few else np.savez)(path, **arrays)
    print(f"{path}: {', '.join(f'{name} {array.shape}' for name, array in arrays.items())}")


def main(arrays: Callable[[bool], Arrays]) -> None:
    """Write what `arrays` makes to the file named on the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("--few", action="store_true", help="a small slice")
    asked = parser.parse_args()
    write(asked.file, arrays(asked.few), asked.few)
