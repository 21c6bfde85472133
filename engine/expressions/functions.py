"""Keras 1's backend `K`, as far as losses and metrics use it: all that a stranger's text can call.

A function's signature says how it is called: the annotation of each parameter is one of `reading.ARGUMENTS`. Booleans
and integers count as float32 wherever numbers are computed with.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod as product
from typing import TYPE_CHECKING, Any

from engine import activations
from engine.errors import BadData
from engine.numbers import EPSILON, TINY
from engine.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

Operand = Any  # a tensor or a number
Axis = int
Axes = int | tuple[int, ...] | None
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


def check_pair(x: Any, y: Any) -> None:
    """Refuse two operands that broadcast to too many values."""
    if isinstance(x, float) or isinstance(y, float):
        return
    longer, shorter = sorted((tuple(x.shape), tuple(y.shape)), key=len, reverse=True)
    padded = (1,) * (len(longer) - len(shorter)) + shorter
    check_size(product(max(a, b) for a, b in zip(longer, padded, strict=True)))


def _known(function: Callable[..., Any]) -> Callable[..., Any]:
    return FUNCTIONS.register(function.__name__.rstrip("_"))(function)


def _unary(name: str, compute: Callable[[Tensor], Tensor]) -> None:
    def function(x: Tensor) -> Tensor:
        return compute(real(x))

    FUNCTIONS.register(name)(function)


for _name, _compute in {
    "abs": lambda x: x.abs(),
    "square": lambda x: x.square(),
    "sqrt": lambda x: x.clamp(min=0.0).sqrt(),
    "exp": lambda x: x.exp(),
    "log": lambda x: x.log(),
    "round": lambda x: x.round(),
    "sign": lambda x: x.sign(),
    "sin": lambda x: x.sin(),
    "cos": lambda x: x.cos(),
    "softmax": activations.softmax,
    "sigmoid": activations.sigmoid,
    "hard_sigmoid": activations.hard_sigmoid,
    "tanh": activations.tanh,
    "softplus": activations.softplus,
    "softsign": activations.softsign,
    "zeros_like": lambda x: x.new_zeros(x.shape),
    "ones_like": lambda x: x.new_ones(x.shape),
    "flatten": lambda x: x.reshape(-1),
    "batch_flatten": lambda x: x.flatten(1),
    "transpose": lambda x: x.permute(tuple(range(x.ndim))[::-1]),
}.items():
    _unary(_name, _compute)


def _compares(name: str, compute: Callable[[Any, Any], Any]) -> None:
    def function(x: Tensor, y: Operand) -> Tensor:
        check_pair(x, y)
        result: Tensor = compute(x, y)
        return result

    FUNCTIONS.register(name)(function)


_compares("equal", lambda x, y: x == y)
_compares("not_equal", lambda x, y: x != y)
_compares("greater", lambda x, y: x > y)
_compares("greater_equal", lambda x, y: x >= y)
_compares("less", lambda x, y: x < y)
_compares("less_equal", lambda x, y: x <= y)


# -- reductions ---------------------------------------------------------------------------------


def _every(x: Tensor, axis: Axes) -> Any:
    return tuple(range(x.ndim)) if axis is None else axis


@_known
def mean(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    return real(x).mean(_every(x, axis), keepdim=keepdims)  # type: ignore[no-any-return]


@_known
def sum_(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    return real(x).sum(_every(x, axis), keepdim=keepdims)  # type: ignore[no-any-return]


@_known
def prod(x: Tensor, axis: Axis | None = None, keepdims: bool = False) -> Tensor:
    x = real(x)
    if axis is not None:
        return x.prod(axis, keepdim=keepdims)
    return x.prod().reshape((1,) * x.ndim) if keepdims else x.prod()


@_known
def max_(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    return real(x).amax(_every(x, axis), keepdim=keepdims)  # type: ignore[no-any-return]


@_known
def min_(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    return real(x).amin(_every(x, axis), keepdim=keepdims)  # type: ignore[no-any-return]


@_known
def var(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    x = real(x)
    return (x - x.mean(_every(x, axis), keepdim=True)).square().mean(_every(x, axis), keepdim=keepdims)


@_known
def std(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    return var(x, axis, keepdims).sqrt()  # type: ignore[no-any-return]


@_known
def any_(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    return (x != 0).any(_every(x, axis), keepdim=keepdims)


@_known
def all_(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    return (x != 0).all(_every(x, axis), keepdim=keepdims)


@_known
def argmax(x: Tensor, axis: Axis = -1) -> Tensor:
    return real(x).argmax(axis)  # type: ignore[no-any-return]


@_known
def argmin(x: Tensor, axis: Axis = -1) -> Tensor:
    return real(x).argmin(axis)  # type: ignore[no-any-return]


# -- element by element -------------------------------------------------------------------------


@_known
def pow_(x: Tensor, a: Operand) -> Tensor:
    check_pair(x, a)
    return real(x) ** real(a)  # type: ignore[no-any-return]


@_known
def clip(x: Tensor, min_value: float, max_value: float) -> Tensor:
    return real(x).clamp(min_value, max(min_value, max_value))  # type: ignore[no-any-return]


@_known
def maximum(x: Tensor, y: Operand) -> Tensor:
    check_pair(x, y)
    x, y = real(x), real(y)
    return x.clamp(min=y) if isinstance(y, float) else x.maximum(y)


@_known
def minimum(x: Tensor, y: Operand) -> Tensor:
    check_pair(x, y)
    x, y = real(x), real(y)
    return x.clamp(max=y) if isinstance(y, float) else x.minimum(y)


@_known
def relu(x: Tensor, alpha: float = 0.0, max_value: float | None = None) -> Tensor:
    x = real(x)
    y = activations.relu(x) - alpha * activations.relu(-x) if alpha else activations.relu(x)
    return y if max_value is None else y.clamp(max=max_value)


@_known
def elu(x: Tensor, alpha: float = 1.0) -> Tensor:
    x = real(x)
    return x.where(x > 0, alpha * x.clamp(max=0.0).expm1())


@_known
def cast(x: Tensor, dtype: Dtype) -> Tensor:
    import torch

    return x.to(getattr(torch, dtype))  # one of DTYPES


@_known
def l2_normalize(x: Tensor, axis: Axis) -> Tensor:
    x = real(x)
    return x / x.square().sum(axis, keepdim=True).clamp(min=TINY).sqrt()


@_known
def binary_crossentropy(output: Tensor, target: Tensor, from_logits: bool = False) -> Tensor:
    check_pair(output, target)
    p, t = real(output), real(target)
    p = (p.sigmoid() if from_logits else p).clamp(EPSILON, 1.0 - EPSILON)
    return -(t * p.log() + (1.0 - t) * (1.0 - p).log())  # type: ignore[no-any-return]


@_known
def categorical_crossentropy(output: Tensor, target: Tensor, from_logits: bool = False) -> Tensor:
    check_pair(output, target)
    p = real(output)
    p = p.softmax(-1) if from_logits else p / p.sum(-1, keepdim=True)
    return -(real(target) * p.clamp(EPSILON, 1.0 - EPSILON).log()).sum(-1)  # type: ignore[no-any-return]


@_known
def in_top_k(predictions: Tensor, targets: Tensor, k: int) -> Tensor:
    top = real(predictions).argsort(dim=-1, stable=True)[..., -k:]
    wanted = targets.unsqueeze(-1)
    check_pair(top, wanted)
    return (top == wanted).any(-1)  # type: ignore[no-any-return]


# -- shapes -------------------------------------------------------------------------------------


@_known
def dot(x: Tensor, y: Tensor) -> Tensor:
    import torch

    x, y = real(x), real(y)
    check_size(product(x.shape[:-1]) * product((*y.shape[:-2], *y.shape[-1:])))
    return torch.tensordot(x, y, dims=([-1], [max(y.ndim - 2, 0)]))  # type: ignore[no-any-return]


@_known
def expand_dims(x: Tensor, dim: Axis = -1) -> Tensor:
    return x.unsqueeze(dim)


@_known
def squeeze(x: Tensor, axis: Axis) -> Tensor:
    if x.shape[axis] != 1:
        raise ValueError(f"axis {axis} of {tuple(x.shape)} has not the length 1")
    return x.squeeze(axis)


@_known
def concatenate(tensors: list[Tensor], axis: Axis = -1) -> Tensor:
    import torch

    check_size(sum(each.numel() for each in tensors))
    return torch.cat([real(each) for each in tensors], axis)
