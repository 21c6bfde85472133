"""Where a job's arrays come from: stored datasets, columns of a table, inline lists, labels made one-hot."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.arguments import Json
from engine.errors import BadData, BadReference, TooLarge, pointer, within
from engine.limits import Limits
from engine.registry import shown

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
class OneHot(Source):
    """Class numbers made one-hot: `{"to_categorical": …, "nb_classes": 10}`."""

    labels: Source
    nb_classes: int

    def spec(self, describe: Describe) -> ArraySpec:
        with within("to_categorical"):
            spec = self.labels.spec(describe)
            if len(spec.shape) not in (1, 2) or (len(spec.shape) == 2 and spec.shape[1] != 1):
                raise BadReference(f"to_categorical takes one label a sample, but gets the shape {list(spec.shape)}.")
        return ArraySpec((spec.shape[0], self.nb_classes), "float32")

    def load(self, arrays: Arrays) -> Array:
        labels = self.labels.load(arrays).reshape(-1)
        return one_hot(labels, self.nb_classes)

    def datasets(self) -> Iterator[str]:
        return self.labels.datasets()

    def to_json(self) -> Json:
        return {"to_categorical": self.labels.to_json(), "nb_classes": self.nb_classes}


def one_hot(labels: Array, nb_classes: int) -> Array:
    """Turn class numbers `(n,)` into rows `(n, nb_classes)` of zeros with a one.

    Raises:
        BadData: A label is no whole number, or outside 0 to `nb_classes - 1`.
    """
    bad = (labels < 0) | (labels >= nb_classes) | (labels != np.floor(labels))
    if bad.any():
        row = int(np.argmax(bad))
        raise BadData(
            f"Label {labels[row]} in row {row} is not a whole number from 0 to {nb_classes - 1}. "
            "Raise nb_classes, or correct the labels."
        )
    out = np.zeros((len(labels), nb_classes), dtype=np.float32)
    out[np.arange(len(labels)), labels.astype(np.int64)] = 1.0
    return out


# -- reading ------------------------------------------------------------------------------------

FORMS = (
    'a reference such as "ds_…/x_train", {"dataset": "ds_…", "columns": ["a", "b"]}, '
    '{"to_categorical": "ds_…/labels", "nb_classes": 10}, or a list of numbers'
)


def read_source(value: Any, limits: Limits) -> Source:
    """Read one reference.

    Raises:
        BadReference: It is none.
        TooLarge: An inline list is too long.
    """
    if isinstance(value, str):
        return _stored(value)
    if isinstance(value, list):
        return _inline(value, limits)
    if isinstance(value, Mapping) and set(value) == {"dataset", "columns"}:
        return _columns(value)
    if isinstance(value, Mapping) and "to_categorical" in value:
        return _one_hot(value, limits)
    raise BadReference(f"Data must be {FORMS}, but got {shown(value)}.")


def is_reference(value: Any) -> bool:
    """Tell a reference written as an object from a mapping of input names."""
    return isinstance(value, Mapping) and ("to_categorical" in value or "dataset" in value)


def _stored(value: str) -> Stored:
    dataset, slash, array = value.partition("/")
    if not slash or not dataset or not array or len(value) > 300:
        raise BadReference(f'A reference must be "<dataset>/<array>", such as "ds_…/x_train", but got {shown(value)}.')
    return Stored(dataset, array)


def _columns(value: Mapping[str, Any]) -> Columns:
    dataset, columns = value["dataset"], value["columns"]
    if not isinstance(dataset, str) or not dataset:
        raise BadReference(f"`dataset` must be a dataset's id, but got {shown(dataset)}.", "/dataset")
    if not isinstance(columns, list) or not columns or not all(isinstance(each, str) for each in columns):
        raise BadReference(f"`columns` must be a list of column names, but got {shown(columns)}.", "/columns")
    if len(columns) > 10_000:
        raise TooLarge(f"`columns` may name 10,000 columns, but names {len(columns):,}.", "/columns")
    return Columns(tuple(Stored(dataset, each) for each in columns))


def _one_hot(value: Mapping[str, Any], limits: Limits) -> OneHot:
    for key in value:
        if key not in ("to_categorical", "nb_classes"):
            raise BadReference(f"to_categorical takes `nb_classes`, not {shown(key)}.", pointer(key))
    classes = value.get("nb_classes")
    if isinstance(classes, bool) or not isinstance(classes, int) or not 1 <= classes <= 1_000_000:
        raise BadReference(
            f"`nb_classes` must be an integer from 1 to 1,000,000, but got {shown(classes)}.", "/nb_classes"
        )
    with within("to_categorical"):
        labels = read_source(value["to_categorical"], limits)
    return OneHot(labels, classes)


def _inline(value: list[Any], limits: Limits) -> Inline:
    shape = _shape_of(value, limits)
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError):
        array = np.asarray(None)
    if array.shape != shape or array.dtype.kind not in NUMERIC or not array.size:
        raise BadReference("An inline list must hold numbers only, in rows of equal length, and at least one.")
    dtype = "float32" if array.dtype.kind == "f" else array.dtype.name
    return Inline(json.dumps(value), shape, dtype)


def _shape_of(value: Any, limits: Limits) -> tuple[int, ...]:
    shape: list[int] = []
    count = 1
    while isinstance(value, list) and value and len(shape) < 8:
        shape.append(len(value))
        count *= len(value)
        value = value[0]
    if count > limits.max_inline_values:
        raise TooLarge(
            f"An inline list may hold {limits.max_inline_values:,} numbers, but this one holds {count:,} or more. "
            "Upload it as a dataset."
        )
    return tuple(shape)
