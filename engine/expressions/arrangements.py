"""Keras 1's backend `K`: products, and what puts values in another place."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from engine.expressions.table import Axes, Axis, AxisOfEach, Lengths, check_size, known, real

if TYPE_CHECKING:
    from torch import Tensor


# -- products -----------------------------------------------------------------------------------


@known
def dot(x: Tensor, y: Tensor) -> Tensor:
    import torch

    x, y = real(x), real(y)
    if x.shape[-1] != y.shape[max(y.ndim - 2, 0)]:
        raise ValueError(f"{tuple(x.shape)} and {tuple(y.shape)} must agree in the axes that are summed over")
    check_size(prod(x.shape[:-1]) * prod((*y.shape[:-2], *y.shape[-1:])))
    return torch.tensordot(x, y, dims=([-1], [max(y.ndim - 2, 0)]))  # type: ignore[no-any-return]


@known
def batch_dot(x: Tensor, y: Tensor, axes: AxisOfEach = None) -> Tensor:
    x, y = real(x), real(y)
    left, right = summed_axes(axes, x.ndim, y.ndim)
    if x.shape[0] != y.shape[0] or x.shape[left] != y.shape[right]:
        raise ValueError(f"{tuple(x.shape)} and {tuple(y.shape)} must agree in axis 0, and in {left} and {right}")
    check_size(prod((*x.shape[:left], *x.shape[left + 1 :], *y.shape[1:right], *y.shape[right + 1 :])))
    return batch_product(x, y, left, right)


def summed_axes(axes: AxisOfEach, left: int, right: int) -> tuple[int, int]:
    """Say which axis of each factor a product of samples is summed over, given how many axes they have.

    Raises:
        ValueError: There is no such axis, or it is the batch's.
    """
    pair = (left - 1, right - 2) if axes is None else (axes, axes) if isinstance(axes, int) else axes
    if len(pair) != 2:
        raise ValueError(f"`axes` must be one axis, or one for each factor, but is {list(pair)}")
    for axis, rank in zip(pair, (left, right), strict=True):
        if not (0 < axis < rank or -rank < axis < 0):
            raise ValueError(f"axis {axis} cannot be summed over: it must be from 1 to {rank - 1}")
    return pair[0] % left, pair[1] % right


def batch_product(x: Tensor, y: Tensor, left: int, right: int) -> Tensor:
    """Multiply sample by sample, summed over one axis of each; what has no axis left gets one."""
    import torch

    names = "abcdefghijklmnopqrstuvwxyz"
    one, other = names[: x.ndim], names[x.ndim : x.ndim + y.ndim]
    other = one[0] + other[1:right] + one[left] + other[right + 1 :]
    kept = one[:left] + one[left + 1 :] + other[1:right] + other[right + 1 :]
    product = torch.einsum(f"{one},{other}->{kept}", x, y)
    return product.unsqueeze(1) if product.ndim == 1 else product


# -- axes ---------------------------------------------------------------------------------------


@known
def flatten(x: Tensor) -> Tensor:
    return x.reshape(-1)


@known
def batch_flatten(x: Tensor) -> Tensor:
    return x.flatten(1)


@known
def transpose(x: Tensor) -> Tensor:
    return x.permute(tuple(range(x.ndim))[::-1])


@known
def permute_dimensions(x: Tensor, pattern: Lengths) -> Tensor:
    return x.permute(pattern)


@known
def reshape(x: Tensor, shape: Lengths) -> Tensor:
    return x.reshape(shape)


@known
def expand_dims(x: Tensor, dim: Axis = -1) -> Tensor:
    return x.unsqueeze(dim)


@known
def squeeze(x: Tensor, axis: Axis) -> Tensor:
    if x.shape[axis] != 1:
        raise ValueError(f"axis {axis} of {tuple(x.shape)} has not the length 1")
    return x.squeeze(axis)


@known
def reverse(x: Tensor, axes: Axes) -> Tensor:
    return x.flip((axes,) if isinstance(axes, int) else axes or ())


# -- more of them -------------------------------------------------------------------------------


@known
def concatenate(tensors: list[Tensor], axis: Axis = -1) -> Tensor:
    import torch

    check_size(sum(each.numel() for each in tensors))
    return torch.cat([real(each) for each in tensors], axis)


@known
def stack(x: list[Tensor], axis: Axis = 0) -> Tensor:
    import torch

    check_size(sum(each.numel() for each in x))
    return torch.stack([real(each) for each in x], axis)


@known
def tile(x: Tensor, n: Lengths) -> Tensor:
    if len(n) > x.ndim or min(n) < 1:
        raise ValueError(f"`n` must give each axis of {tuple(x.shape)} a count of 1 or more, but is {list(n)}")
    check_size(x.numel() * prod(n))
    return x.tile(n)


@known
def repeat_elements(x: Tensor, rep: int, axis: Axis) -> Tensor:
    check_size(x.numel() * rep)
    return x.repeat_interleave(rep, axis)


@known
def repeat(x: Tensor, n: int) -> Tensor:
    if x.ndim != 2:
        raise ValueError(f"rows are needed, (n, d), but got {tuple(x.shape)}")
    check_size(x.numel() * n)
    return x.unsqueeze(1).expand(-1, n, -1)


@known
def temporal_padding(x: Tensor, padding: int = 1) -> Tensor:
    from torch.nn.functional import pad

    if x.ndim != 3:
        raise ValueError(f"sequences are needed, (n, steps, d), but got {tuple(x.shape)}")
    check_size(x.shape[0] * (x.shape[1] + 2 * padding) * x.shape[2])
    return pad(x, [0, 0, padding, padding])


@known
def gather(reference: Tensor, indices: Tensor) -> Tensor:
    """Take rows; an index that there is no row for gives NaN, which every device can do without stopping."""
    rows = reference.shape[0]
    check_size(indices.numel() * prod(reference.shape[1:]))
    at = indices.long()
    taken = real(reference)[at.clamp(-rows, rows - 1)]
    there = ((at >= -rows) & (at < rows)).reshape(at.shape + (1,) * (reference.ndim - 1))
    return taken.where(there, taken.new_full((), float("nan")))  # type: ignore[no-any-return]


@known
def one_hot(indices: Tensor, nb_classes: int) -> Tensor:
    import torch

    check_size(indices.numel() * nb_classes)
    classes = torch.arange(nb_classes, device=indices.device)
    return (indices.unsqueeze(-1) == classes).float()
