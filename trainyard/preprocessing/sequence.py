"""Sequences made equally long, by the code by which the service does it for a job."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import BadArgument
from engine.preprocessing import Padding, pad

__all__ = ["pad_sequences"]


def pad_sequences(
    sequences: Sequence[Any],
    maxlen: int | None = None,
    dtype: Any = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: float = 0.0,
) -> NDArray[Any]:
    """Make sequences equally long, `(n, maxlen, ...)`.

    Args:
        sequences: Lists or arrays of steps; a step may be a number or an array.
        maxlen: The length of every row; the longest sequence's when absent.
        dtype: The type of the result: float32, float64, int32, int64 or uint8.
        padding: Whether the value comes before ("pre") or after ("post") a sequence that is shorter.
        truncating: Whether a longer sequence loses its beginning ("pre") or its end ("post").
        value: What rows are filled up with.

    Raises:
        ValueError: An argument is none of these, or the steps of two sequences have different shapes.
    """
    arrays = [np.asarray(each) for each in sequences]
    lengths = [len(each) for each in arrays]
    longest = int(maxlen or max(lengths, default=0))
    values = _joined([each for each in arrays if len(each)])
    if not longest:
        return np.empty((len(arrays), 0, *values.shape[1:]), np.dtype(dtype))
    try:
        how = Padding(longest, np.dtype(dtype).name, padding, truncating, float(value))
    except BadArgument as error:
        raise ValueError(error.message) from None
    return pad(values, np.cumsum([0, *lengths]), longest, how)


def _joined(arrays: list[NDArray[Any]]) -> NDArray[Any]:
    """Lay sequences one after the other."""
    if not arrays:
        return np.empty(0)
    steps = {each.shape[1:] for each in arrays}
    if len(steps) > 1:
        raise ValueError(f"The steps of all sequences must have one shape, but there are {sorted(steps)}.")
    return np.concatenate(arrays)
