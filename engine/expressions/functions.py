"""Keras 1's backend `K`: what is computed value by value, over an axis, or as a loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine import activations
from engine.expressions.table import FUNCTIONS, Axes, Axis, Dtype, Operand, check_broadcast, known, real
from engine.gradients import larger, largest, smaller
from engine.numbers import EPSILON, TINY

if TYPE_CHECKING:
    from torch import Tensor


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
}.items():
    _unary(_name, _compute)


def _compares(name: str, compute: Callable[[Any, Any], Any]) -> None:
    def function(x: Tensor, y: Operand) -> Tensor:
        check_broadcast(x, y)
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


@known
def mean(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    return real(x).mean(_every(x, axis), keepdim=keepdims)  # type: ignore[no-any-return]


@known
def sum_(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    return real(x).sum(_every(x, axis), keepdim=keepdims)  # type: ignore[no-any-return]


@known
def prod(x: Tensor, axis: Axis | None = None, keepdims: bool = False) -> Tensor:
    x = real(x)
    if axis is not None:
        return x.prod(axis, keepdim=keepdims)
    return x.prod().reshape((1,) * x.ndim) if keepdims else x.prod()


@known
def max_(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    return largest(real(x), _every(x, axis), keepdims)


@known
def min_(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    return -largest(-real(x), _every(x, axis), keepdims)


@known
def var(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    x = real(x)
    return (x - x.mean(_every(x, axis), keepdim=True)).square().mean(_every(x, axis), keepdim=keepdims)


@known
def std(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    return var(x, axis, keepdims).sqrt()  # type: ignore[no-any-return]


@known
def logsumexp(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    return real(x).logsumexp(_every(x, axis), keepdim=keepdims)  # type: ignore[no-any-return]


@known
def any_(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    return (x != 0).any(_every(x, axis), keepdim=keepdims)


@known
def all_(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    return (x != 0).all(_every(x, axis), keepdim=keepdims)


@known
def argmax(x: Tensor, axis: Axis = -1) -> Tensor:
    return real(x).argmax(axis)  # type: ignore[no-any-return]


@known
def argmin(x: Tensor, axis: Axis = -1) -> Tensor:
    return real(x).argmin(axis)  # type: ignore[no-any-return]


# -- element by element -------------------------------------------------------------------------


@known
def pow_(x: Tensor, a: Operand) -> Tensor:
    check_broadcast(x, a)
    return real(x) ** real(a)  # type: ignore[no-any-return]


@known
def clip(x: Tensor, min_value: float, max_value: float) -> Tensor:
    return real(x).clamp(min_value, max(min_value, max_value))  # type: ignore[no-any-return]


@known
def maximum(x: Tensor, y: Operand) -> Tensor:
    check_broadcast(x, y)
    x, y = real(x), real(y)
    return x.clamp(min=y) if isinstance(y, float) else larger(x, y)


@known
def minimum(x: Tensor, y: Operand) -> Tensor:
    check_broadcast(x, y)
    x, y = real(x), real(y)
    return x.clamp(max=y) if isinstance(y, float) else smaller(x, y)


@known
def switch(condition: Tensor, then_expression: Operand, else_expression: Operand) -> Tensor:
    check_broadcast(condition, then_expression, else_expression)
    import torch

    return torch.where(condition != 0, real(then_expression), real(else_expression))


@known
def relu(x: Tensor, alpha: float = 0.0, max_value: float | None = None) -> Tensor:
    x = real(x)
    y = activations.relu(x) - alpha * activations.relu(-x) if alpha else activations.relu(x)
    return y if max_value is None else y.clamp(max=max_value)


@known
def elu(x: Tensor, alpha: float = 1.0) -> Tensor:
    x = real(x)
    return x.where(x > 0, alpha * x.clamp(max=0.0).expm1())


@known
def cast(x: Tensor, dtype: Dtype) -> Tensor:
    import torch

    return x.to(getattr(torch, dtype))  # one of DTYPES


@known
def l2_normalize(x: Tensor, axis: Axis) -> Tensor:
    x = real(x)
    return x / x.square().sum(axis, keepdim=True).clamp(min=TINY).sqrt()


@known
def binary_crossentropy(output: Tensor, target: Tensor, from_logits: bool = False) -> Tensor:
    check_broadcast(output, target)
    p, t = real(output), real(target)
    p = (p.sigmoid() if from_logits else p).clamp(EPSILON, 1.0 - EPSILON)
    return -(t * p.log() + (1.0 - t) * (1.0 - p).log())  # type: ignore[no-any-return]


@known
def categorical_crossentropy(output: Tensor, target: Tensor, from_logits: bool = False) -> Tensor:
    check_broadcast(output, target)
    p = real(output)
    p = p.softmax(-1) if from_logits else p / p.sum(-1, keepdim=True)
    return -(real(target) * p.clamp(EPSILON, 1.0 - EPSILON).log()).sum(-1)  # type: ignore[no-any-return]


@known
def in_top_k(predictions: Tensor, targets: Tensor, k: int) -> Tensor:
    top = real(predictions).argsort(dim=-1, stable=True)[..., -k:]
    wanted = targets.unsqueeze(-1)
    check_broadcast(top, wanted)
    return (top == wanted).any(-1)  # type: ignore[no-any-return]
