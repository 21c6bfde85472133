"""Where a job's arrays come from: datasets, columns of a table, inline lists, bytes, one-hot labels, dummy data."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.arguments import Json
from engine.errors import BadData, BadReference, within

Array = NDArray[Any]
#: Loads one array of a stored dataset.
Arrays = Callable[[str, str], Array]


@dataclass(frozen=True)
class ArraySpec:
    """What is known of an array before it is read: its shape and numpy's name for its type."""

    shape: tuple[int, ...]
    dtype: str

    @property
    def kind(self) -> str:
        """The letter numpy has for the type: f, i, u, b, …; `?` for what it cannot name."""
        try:
            return np.dtype(self.dtype).kind
        except TypeError:  # such as "str32", which numpy writes but does not read
            return "?"

    @property
    def bytes(self) -> int:
        """How much memory it takes."""
        return prod(self.shape) * np.dtype(self.dtype).itemsize


#: Describes one array of a stored dataset; raises LookupError with words for the user.
Describe = Callable[[str, str], ArraySpec]

NUMERIC = "biuf"


class Source:
    """One array of a job."""

    def spec(self, describe: Describe) -> ArraySpec:
        """Return the shape and type that `load` will give.

        Raises:
            BadReference: There is no such array, or it holds no numbers.
        """
        raise NotImplementedError

    def load(self, arrays: Arrays) -> Array:
        """Return the array itself.

        Raises:
            BadData: A value cannot be used.
        """
        raise NotImplementedError

    def datasets(self) -> Iterator[str]:
        """List the stored datasets it draws on."""
        for each in self.inner():
            yield from each.datasets()

    def inner(self) -> Iterator[Source]:
        """List the sources it is made of."""
        return iter(())

    def to_json(self) -> Json:
        """Return the reference as it was written."""
        raise NotImplementedError


@dataclass(frozen=True)
class Stored(Source):
    """`"<dataset>/<array>"`."""

    dataset: str
    array: str

    def spec(self, describe: Describe) -> ArraySpec:
        try:
            spec = describe(self.dataset, self.array)
        except LookupError as error:
            raise BadReference(str(error.args[0]) if error.args else "There is no such array.") from None
        if spec.kind not in NUMERIC:
            raise BadReference(f"{self.dataset}/{self.array} holds {spec.dtype}, but numbers are needed.")
        if not spec.shape or not spec.shape[0]:
            raise BadReference(
                f"{self.dataset}/{self.array} has the shape {list(spec.shape)}: there is no sample in it."
            )
        return spec

    def load(self, arrays: Arrays) -> Array:
        return arrays(self.dataset, self.array)

    def datasets(self) -> Iterator[str]:
        yield self.dataset

    def to_json(self) -> Json:
        return f"{self.dataset}/{self.array}"


@dataclass(frozen=True)
class Columns(Source):
    """Columns of a table, side by side: `{"dataset": …, "columns": [...]}`."""

    columns: tuple[Stored, ...]

    def spec(self, describe: Describe) -> ArraySpec:
        specs = []
        for index, each in enumerate(self.columns):
            with within("columns", index):
                specs.append(each.spec(describe))
                if len(specs[-1].shape) != 1:
                    raise BadReference(
                        f"{each.to_json()} has the shape {list(specs[-1].shape)}: only 1-D arrays can be columns."
                    )
                if specs[-1].shape != specs[0].shape:
                    raise BadReference(f"{each.to_json()} is not as long as the columns before it.")
        dtype = np.result_type(*(np.dtype(spec.dtype) for spec in specs))
        return ArraySpec((specs[0].shape[0], len(specs)), dtype.name)

    def load(self, arrays: Arrays) -> Array:
        return np.stack([each.load(arrays) for each in self.columns], axis=1)

    def datasets(self) -> Iterator[str]:
        yield self.columns[0].dataset

    def to_json(self) -> Json:
        return {"dataset": self.columns[0].dataset, "columns": [each.array for each in self.columns]}


@dataclass(frozen=True)
class Inline(Source):
    """A small array written out in the job, kept as JSON text so that it stays hashable."""

    text: str
    shape: tuple[int, ...]
    dtype: str

    def spec(self, describe: Describe) -> ArraySpec:
        return ArraySpec(self.shape, self.dtype)

    def load(self, arrays: Arrays) -> Array:
        return np.asarray(json.loads(self.text), dtype=self.dtype)

    def to_json(self) -> Json:
        return json.loads(self.text)


@dataclass(frozen=True)
class Packed(Source):
    """An array as bytes: `{"base64": …, "dtype": "float32", "shape": [32, 784]}`, little-endian, in C order."""

    text: str
    shape: tuple[int, ...]
    dtype: str

    @staticmethod
    def of(array: Array) -> Packed:
        """Write an array down."""
        little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        return Packed(base64.b64encode(little.tobytes()).decode(), array.shape, array.dtype.name)

    def spec(self, describe: Describe) -> ArraySpec:
        return ArraySpec(self.shape, self.dtype)

    def load(self, arrays: Arrays) -> Array:
        flat = np.frombuffer(base64.b64decode(self.text), np.dtype(self.dtype).newbyteorder("<"))
        return flat.reshape(self.shape).astype(self.dtype, copy=False)

    def to_json(self) -> Json:
        return {"base64": self.text, "dtype": self.dtype, "shape": list(self.shape)}


@dataclass(frozen=True)
class OneHot(Source):
    """Class numbers made one-hot: `{"to_categorical": …, "nb_classes": 10}`; sequences of them step by step."""

    labels: Source
    nb_classes: int

    def spec(self, describe: Describe) -> ArraySpec:
        with within("to_categorical"):
            spec = self.labels.spec(describe)
        return ArraySpec((*_without_last_of_one(spec.shape), self.nb_classes), "float32")

    def load(self, arrays: Arrays) -> Array:
        labels = self.labels.load(arrays)
        return one_hot(labels.reshape(_without_last_of_one(labels.shape)), self.nb_classes)

    def inner(self) -> Iterator[Source]:
        yield self.labels

    def to_json(self) -> Json:
        return {"to_categorical": self.labels.to_json(), "nb_classes": self.nb_classes}


def _without_last_of_one(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape[:-1] if len(shape) > 1 and shape[-1] == 1 else shape


def one_hot(labels: Array, nb_classes: int) -> Array:
    """Turn class numbers `(n, ...)` into `(n, ..., nb_classes)` of zeros with a one.

    Raises:
        BadData: A label is no whole number, or outside 0 to `nb_classes - 1`.
    """
    bad = (labels < 0) | (labels >= nb_classes) | (labels != np.floor(labels))
    if bad.any():
        row, *inner = (int(each) for each in np.argwhere(bad)[0])
        raise BadData(
            f"Label {labels[(row, *inner)]} in row {row} is not a whole number from 0 to {nb_classes - 1}. "
            "Raise nb_classes, or correct the labels."
        )
    out = np.zeros((labels.size, nb_classes), dtype=np.float32)
    out[np.arange(labels.size), labels.reshape(-1).astype(np.int64)] = 1.0
    return out.reshape(*labels.shape, nb_classes)


@dataclass(frozen=True)
class Random(Source):
    """Dummy data: `{"random": [1000, 784]}` for numbers from 0 to 1, with `high` for integers from `low` below it."""

    shape: tuple[int, ...]
    seed: int = 0
    low: int = 0
    high: int | None = None

    def spec(self, describe: Describe) -> ArraySpec:
        return ArraySpec(self.shape, "float32" if self.high is None else "int64")

    def load(self, arrays: Arrays) -> Array:
        rng = np.random.Generator(np.random.PCG64(self.seed))
        if self.high is None:
            return rng.random(self.shape, dtype=np.float32)
        return rng.integers(self.low, self.high, self.shape)

    def to_json(self) -> Json:
        bounds = {} if self.high is None else {"low": self.low, "high": self.high}
        return {"random": list(self.shape), "seed": self.seed, **bounds}
