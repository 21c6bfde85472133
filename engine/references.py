"""From what a stranger writes for an array to a source of it."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np

from engine.errors import BadReference, TooLarge, pointer, within
from engine.limits import Limits
from engine.preprocessing import Counted, Counting, Padded, Padding, Scaled, Scaling, Sequences
from engine.registry import shown
from engine.sources import NUMERIC, Columns, Inline, OneHot, Packed, Random, Source, Stored

FORMS = (
    'a reference such as "ds_…/x_train", {"dataset": "ds_…", "columns": ["a", "b"]}, '
    '{"to_categorical": "ds_…/labels", "nb_classes": 10}, {"pad_sequences": {"sequences": "ds_…/words", "offsets": '
    '"ds_…/offsets"}, "maxlen": 80}, {"sequences_to_matrix": …, "nb_words": 1000}, {"array": "ds_…/x", "divide": 255}, '
    '{"random": [1000, 784], "seed": 1}, {"base64": …, "dtype": "float32", "shape": [32, 784]}, or a list of numbers'
)

#: Numpy's names for what an array of bytes may be of: as for datasets.
DTYPES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64"),
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
    if isinstance(value, Mapping):
        for key, read in _FORMS.items():
            if key in value:
                return read(value, limits)
    raise BadReference(f"Data must be {FORMS}, but got {shown(value)}.")


def is_reference(value: Any) -> bool:
    """Tell a reference written as an object from a mapping of input names."""
    return isinstance(value, Mapping) and not {"dataset", *_FORMS}.isdisjoint(value)


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


def _padded(value: Mapping[str, Any], limits: Limits) -> Padded:
    with within("pad_sequences"):
        sequences = _sequences(value["pad_sequences"], limits)
    return Padded(sequences, Padding.from_config(_without(value, "pad_sequences")))


def _counted(value: Mapping[str, Any], limits: Limits) -> Counted:
    with within("sequences_to_matrix"):
        sequences = _sequences(value["sequences_to_matrix"], limits)
    counting = Counting.from_config(_without(value, "sequences_to_matrix", "fit_on"))
    if "fit_on" not in value:
        return Counted(sequences, counting)
    with within("fit_on"):
        if counting.mode != "tfidf":
            raise BadReference(f'`fit_on` is for the mode "tfidf"; {counting.mode!r} looks at nothing else.')
        return Counted(sequences, counting, _sequences(value["fit_on"], limits))


def _scaled(value: Mapping[str, Any], limits: Limits) -> Scaled:
    with within("array"):
        array = read_source(value["array"], limits)
    return Scaled(array, Scaling.from_config(_without(value, "array")))


def _sequences(value: Any, limits: Limits) -> Sequences:
    """Read sequences: values with offsets, lists of different lengths, or what is a matrix."""
    if isinstance(value, list) and value and all(isinstance(each, list) for each in value):
        ends = np.cumsum([0, *(len(each) for each in value)])
        return Sequences(_inline([step for each in value for step in each], limits), _inline(ends.tolist(), limits))
    if not isinstance(value, Mapping) or "sequences" not in value:
        return Sequences(read_source(value, limits))
    for key in value:
        if key not in ("sequences", "offsets"):
            raise BadReference(f"Sequences are told by `sequences` and `offsets`, not {shown(key)}.", pointer(key))
    with within("sequences"):
        values = read_source(value["sequences"], limits)
    with within("offsets"):
        return Sequences(values, read_source(value.get("offsets"), limits))


def _without(value: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: each for key, each in value.items() if key not in keys}


def _random(value: Mapping[str, Any], limits: Limits) -> Random:
    for key in value:
        if key not in ("random", "seed", "low", "high"):
            raise BadReference(f"Random data takes `seed`, `low` and `high`, not {shown(key)}.", pointer(key))
    shape = value["random"]
    if not isinstance(shape, list) or not 0 < len(shape) <= 8 or not all(_whole(each, 1) for each in shape):
        raise BadReference(f"`random` must be a shape, such as [1000, 784], but got {shown(shape)}.", "/random")
    if prod(shape) > limits.max_random_values:
        raise TooLarge(
            f"Random data may hold {limits.max_random_values:,} numbers, but {shape} holds {prod(shape):,}.", "/random"
        )
    for key in ("seed", "low", "high"):
        if key in value and not _whole(value[key], 0):
            raise BadReference(f"`{key}` must be an integer of 0 or more, but got {shown(value[key])}.", f"/{key}")
    low, high = value.get("low", 0), value.get("high")
    if (high is None and "low" in value) or (high is not None and high <= low):
        raise BadReference(f"Integers go from `low` to below `high`, but got {low} and {high}.", "/high")
    return Random(tuple(shape), value.get("seed", 0), low, high)


def _packed(value: Mapping[str, Any], limits: Limits) -> Packed:
    for key in ("base64", "dtype", "shape"):
        if key not in value:
            raise BadReference(f"Bytes need `base64`, `dtype` and `shape`, and `{key}` is missing.", pointer(key))
    if odd := sorted(set(value) - {"base64", "dtype", "shape"}):
        raise BadReference(f"Bytes are told by `base64`, `dtype` and `shape`, not {shown(odd[0])}.", pointer(odd[0]))
    dtype, shape = _dtype(value["dtype"]), value["shape"]
    if not isinstance(shape, list) or not 0 < len(shape) <= 8 or not all(_whole(each, 1) for each in shape):
        raise BadReference(f"`shape` must be a list of positive integers, but got {shown(shape)}.", "/shape")
    size = prod(shape) * dtype.itemsize
    if size > limits.max_packed_bytes:
        raise TooLarge(
            f"Bytes in a body may be {limits.max_packed_bytes:,}, but {shape} of {dtype.name} takes {size:,}. "
            "Upload them as a dataset.",
            "/shape",
        )
    _check_bytes(value["base64"], size, f"{shape} of {dtype.name}")
    return Packed(value["base64"], tuple(shape), dtype.name)


def _dtype(name: Any) -> np.dtype[Any]:
    if not isinstance(name, str) or name not in DTYPES:
        raise BadReference(f"`dtype` must be one of {', '.join(DTYPES)}, but got {shown(name)}.", "/dtype")
    return np.dtype(name)


def _check_bytes(text: Any, size: int, what: str) -> None:
    try:
        held = len(base64.b64decode(text, validate=True)) if isinstance(text, str) else None
    except (binascii.Error, ValueError):
        held = None
    if held is None:
        raise BadReference(
            "`base64` must be a text of A-Z, a-z, 0-9, + and /, padded with = to a multiple of four.", "/base64"
        )
    if held != size:
        raise BadReference(f"`base64` holds {held:,} bytes, but {what} takes {size:,}.", "/base64")


def _whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value < 2**31


#: The forms that are told by a key, with who reads them.
_FORMS: Mapping[str, Callable[[Mapping[str, Any], Limits], Source]] = {
    "to_categorical": _one_hot,
    "pad_sequences": _padded,
    "sequences_to_matrix": _counted,
    "array": _scaled,
    "random": _random,
    "base64": _packed,
}


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
