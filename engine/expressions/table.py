"""The table of all that a stranger's text can call, and what keeps its results small.

A function's signature says how it is called: the annotation of each parameter is one of `arguments.ARGUMENTS`, a
tensor, an operand, or a list of tensors. Booleans and integers count as float32 wherever numbers are computed with.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING, Any

from engine.errors import BadData
from engine.registry import Registry

if TYPE_CHECKING:
    pass

Operand = Any  # a tensor or a number
Axis = int
Axes = int | tuple[int, ...] | None  # each one once
AxisOfEach = int | tuple[int, ...] | None  # of each factor
Lengths = tuple[int, ...]
Dtype = str

DTYPES = ("float32", "float64", "float16", "int32", "int64", "uint8", "bool")
FUNCTIONS: Registry[Callable[..., Any]] = Registry("K function")

#: How many values one result may have, so that a short text cannot ask for all memory.
MAX_VALUES = 2**27


def real(x: Any) -> Any:
    """Return booleans and integers as float32, and all else as it is."""
    return x if isinstance(x, float) or x.is_floating_point() else x.float()


def check_size(values: int) -> None:
    """Refuse a result of too many values before it is made.

    Raises:
        BadData: There are more than `MAX_VALUES`.
    """
    if values > MAX_VALUES:
        raise BadData(f"A custom function may make tensors of {MAX_VALUES:,} values, but one would have {values:,}.")


def check_broadcast(*operands: Any) -> None:
    """Refuse operands that broadcast to too many values."""
    shapes = [tuple(each.shape) for each in operands if not isinstance(each, float)]
    rank = max(map(len, shapes), default=0)
    padded = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    check_size(prod(max(lengths) for lengths in zip(*padded, strict=True)))


def known(function: Callable[..., Any]) -> Callable[..., Any]:
    """Enter a function into the table under its own name, without the `_` that keeps it off Python's."""
    return FUNCTIONS.register(function.__name__.rstrip("_"))(function)
