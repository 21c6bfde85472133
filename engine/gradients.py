"""Maxima and minima whose slopes at ties are Theano's, which torch shares out instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def largest(x: Tensor, axis: int | tuple[int, ...], keepdims: bool = False) -> Tensor:
    """Take the maximum along axes; its whole gradient goes to every element that is equal to it."""
    top = x.detach().amax(axis, keepdim=True)
    slope = ((x - x.detach()) * (x == top)).sum(axis, keepdim=keepdims)
    return (top if keepdims else top.squeeze(axis)) + slope


def larger(left: Tensor, right: Tensor) -> Tensor:
    """Take the larger of two tensors, element by element; where they are equal, the first one learns."""
    return left.where((left >= right) | left.isnan(), right)


def smaller(left: Tensor, right: Tensor) -> Tensor:
    """Take the smaller of two tensors, element by element; where they are equal, the first one learns."""
    return left.where((left <= right) | left.isnan(), right)
