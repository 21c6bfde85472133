"""Keras 1's utilities for arrays, which compute here."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]


def to_categorical(y: ArrayLike, nb_classes: int | None = None) -> Array:
    """Turn class numbers into rows of zeros with a one: `(n,)` or `(n, 1)` to `(n, nb_classes)`.

    Args:
        y: Whole numbers from 0.
        nb_classes: How many classes there are; the largest number and one more when absent.

    Raises:
        ValueError: A number is outside 0 to `nb_classes - 1`.
    """
    labels = np.asarray(y).ravel().astype(np.int64)
    classes = nb_classes or (int(labels.max()) + 1 if labels.size else 0)
    if labels.size and not 0 <= labels.min() <= labels.max() < classes:
        raise ValueError(f"Classes go from 0 to {classes - 1}, but `y` goes from {labels.min()} to {labels.max()}.")
    rows = np.zeros((len(labels), classes))
    rows[np.arange(len(labels)), labels] = 1.0
    return rows


def normalize(a: ArrayLike, axis: int = -1, order: int = 2) -> Array:
    """Scale vectors along `axis` to length 1; those of length 0 stay."""
    vectors = np.asarray(a)
    lengths = np.atleast_1d(np.linalg.norm(vectors, order, axis))
    lengths[lengths == 0] = 1
    scaled: Array = vectors / np.expand_dims(lengths, axis)
    return scaled


def probas_to_classes(y_pred: ArrayLike) -> Array:
    """Turn probabilities into classes: the largest of several, or whether the only one is above a half."""
    p = np.asarray(y_pred)
    if p.ndim > 1 and p.shape[1] > 1:
        return categorical_probas_to_classes(p)
    return np.array([1 if each > 0.5 else 0 for each in p.ravel()])


def categorical_probas_to_classes(p: ArrayLike) -> Array:
    """Return the class of the largest probability in each row."""
    classes: Array = np.argmax(np.asarray(p), axis=1)
    return classes


def convert_kernel(kernel: ArrayLike, dim_ordering: str = "tf") -> Array:
    """Turn a convolution's kernel around, from Theano's reading to TensorFlow's or back.

    Args:
        kernel: Of 4 or 5 axes.
        dim_ordering: Whether the window's axes stand first ("tf") or last ("th").

    Raises:
        ValueError: It has another number of axes, or the ordering is neither.
    """
    array = np.asarray(kernel)
    if array.ndim not in (4, 5) or dim_ordering not in ("th", "tf"):
        raise ValueError(f'A kernel has 4 or 5 axes and is "th" or "tf", but got {array.shape} and {dim_ordering!r}.')
    window = tuple(range(array.ndim - 2)) if dim_ordering == "tf" else tuple(range(2, array.ndim))
    return np.flip(array, window).copy()


def conv_output_length(input_length: int | None, filter_size: int, border_mode: str, stride: int) -> int | None:
    """Count the places where a window of `filter_size` fits into an axis.

    Raises:
        ValueError: There is no such border mode.
    """
    added = {"same": 0, "valid": 1 - filter_size, "full": filter_size - 1}
    if border_mode not in added:
        raise ValueError(f"`border_mode` must be one of {sorted(added)}, but got {border_mode!r}.")
    return None if input_length is None else (input_length + added[border_mode] + stride - 1) // stride
