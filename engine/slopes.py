"""Functions with Theano's slopes at ties, written out so that each costs one pass forwards and one or two backwards.

Imports torch; `activations` and `pooling` ask for it only when they compute.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


class Relu(torch.autograd.Function):
    """`max(x, 0)`, whose slope at 0 is a half."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.relu()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        half = 0.5 * g
        return torch.addcmul(half, half, x.sign())


class LargestOfTiles(torch.autograd.Function):
    """The largest of every window, `(n, channels, ...)`, where windows lie side by side; each cell equal to it learns.

    The spatial axes must be multiples of the window's.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, size: tuple[int, ...]) -> Tensor:
        y: Tensor = getattr(functional, f"max_pool{len(size)}d")(x, size)
        ctx.save_for_backward(x, y)
        ctx.size = size
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        x, y = ctx.saved_tensors
        tiled = x
        for axis in range(len(ctx.size), 0, -1):
            tiled = tiled.unflatten(axis + 1, (-1, ctx.size[axis - 1]))
            y, g = y.unsqueeze(axis + 2), g.unsqueeze(axis + 2)
        return torch.where(tiled == y, g, 0.0).reshape(x.shape), None
