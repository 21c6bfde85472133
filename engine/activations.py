"""Keras 1's activation functions, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

from engine.arguments import named
from engine.errors import ShapeMismatch
from engine.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

ACTIVATIONS: Registry[Callable[[Tensor], Tensor]] = Registry("activation")
Activation = Annotated[str, named(ACTIVATIONS, none="linear")]


@ACTIVATIONS.register("linear")
def linear(x: Tensor) -> Tensor:
    """`x`."""
    return x


@ACTIVATIONS.register("relu")
def relu(x: Tensor) -> Tensor:
    """`max(x, 0)`, whose slope at 0 is a half, as in Keras 1 on Theano."""
    from engine.slopes import Relu

    y: Tensor = Relu.apply(x)  # type: ignore[no-untyped-call]
    return y


@ACTIVATIONS.register("sigmoid")
def sigmoid(x: Tensor) -> Tensor:
    """`1 / (1 + exp(-x))`."""
    return x.sigmoid()


@ACTIVATIONS.register("hard_sigmoid")
def hard_sigmoid(x: Tensor) -> Tensor:
    """`clip(0.2 * x + 0.5, 0, 1)`: not torch's, which has a slope of 1/6."""
    return (0.2 * x + 0.5).clamp(0.0, 1.0)


@ACTIVATIONS.register("tanh")
def tanh(x: Tensor) -> Tensor:
    """`tanh(x)`."""
    return x.tanh()


@ACTIVATIONS.register("softplus")
def softplus(x: Tensor) -> Tensor:
    """`log(1 + exp(x))`."""
    return x.logaddexp(x.new_zeros(()))


@ACTIVATIONS.register("softsign")
def softsign(x: Tensor) -> Tensor:
    """`x / (1 + |x|)`."""
    return x / (1.0 + x.abs())


@ACTIVATIONS.register("elu")
def elu(x: Tensor) -> Tensor:
    """`x` where positive, else `exp(x) - 1`."""
    return x.where(x > 0, x.clamp(max=0.0).expm1())


@ACTIVATIONS.register("softmax")
def softmax(x: Tensor) -> Tensor:
    """`exp(x) / sum(exp(x))` over the last axis."""
    return x.softmax(-1)


# -- what Keras 1 lacks, with the numbers of the version that has it ------------------------------


@ACTIVATIONS.register("keras3_hard_sigmoid")
def keras3_hard_sigmoid(x: Tensor) -> Tensor:
    """`clip(x / 6 + 0.5, 0, 1)`: what Keras 3 calls hard_sigmoid."""
    return (x / 6.0 + 0.5).clamp(0.0, 1.0)


@ACTIVATIONS.register("exponential")
def exponential(x: Tensor) -> Tensor:
    """`exp(x)`."""
    return x.exp()


@ACTIVATIONS.register("selu")
def selu(x: Tensor) -> Tensor:
    """`1.0507 * x` where positive, else `1.7581 * (exp(x) - 1)`."""
    from torch.nn import functional

    return functional.selu(x)


@ACTIVATIONS.register("swish", "silu")
def swish(x: Tensor) -> Tensor:
    """`x * sigmoid(x)`."""
    return x * x.sigmoid()


@ACTIVATIONS.register("hard_swish", "hard_silu")
def hard_swish(x: Tensor) -> Tensor:
    """`x * clip(x / 6 + 0.5, 0, 1)`."""
    return x * keras3_hard_sigmoid(x)


@ACTIVATIONS.register("gelu")
def gelu(x: Tensor) -> Tensor:
    """`x` times the share of a normal distribution that lies below it, without approximation."""
    return 0.5 * x * (1.0 + (x * 0.7071067811865476).erf())


@ACTIVATIONS.register("mish")
def mish(x: Tensor) -> Tensor:
    """`x * tanh(softplus(x))`."""
    return x * softplus(x).tanh()


@ACTIVATIONS.register("relu6")
def relu6(x: Tensor) -> Tensor:
    """`min(max(x, 0), 6)`."""
    return relu(x).clamp(max=6.0)


@ACTIVATIONS.register("leaky_relu")
def leaky_relu(x: Tensor) -> Tensor:
    """`x` where positive, else `0.2 * x`."""
    return x.where(x > 0, 0.2 * x)


@ACTIVATIONS.register("log_softmax")
def log_softmax(x: Tensor) -> Tensor:
    """The logarithm of softmax, over the last axis."""
    return x.log_softmax(-1)


def check_activation(name: str, rank: int) -> None:
    """Refuse an activation that cannot take a tensor of this rank.

    Raises:
        ShapeMismatch: softmax of anything but a matrix or a sequence, as in Keras 1.
    """
    if name == "softmax" and rank not in (2, 3):
        raise ShapeMismatch(f"softmax takes a 2-D or 3-D input, but this one is {rank}-D. Flatten or Reshape it first.")
