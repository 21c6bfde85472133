"""Keras 1's optimizers, each a pure function of parameters, gradients and slots.

The parameters come as one flat vector, so an update costs a handful of tensor operations however many layers
there are. `k` counts the updates done before, as a 0-d tensor; `lr` is a 0-d tensor too, so that a schedule can
change it. Slots of the parameters' size start at zero; those named in `scalars` are 0-d and start at one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from engine.arguments import Description, Fraction, Json, Kind, NonNegative, Wrong
from engine.errors import within
from engine.registry import Registry, shown

if TYPE_CHECKING:
    from torch import Tensor

Slots = dict[str, "Tensor"]


@dataclass(frozen=True, kw_only=True)
class Optimizer(Description):
    """What all optimizers share; each `update` returns the new parameters and slots.

    Args:
        clipnorm: Gradients whose norm over all parameters together exceeds this are scaled down to it.
        clipvalue: Each gradient is cut to plus or minus this, after `clipnorm`.
    """

    clipnorm: NonNegative | None = None
    clipvalue: NonNegative | None = None

    #: The slots of the parameters' size, in Keras 1's order.
    moments: ClassVar[tuple[str, ...]] = ()
    #: The 0-d slots, which start at one.
    scalars: ClassVar[tuple[str, ...]] = ()

    def get_config(self) -> dict[str, Json]:
        """Return the arguments; like Keras 1's, it names the clips only where they are set."""
        config = super().get_config()
        return {key: value for key, value in config.items() if value is not None}

    @property
    def idle(self) -> float | None:
        """Share of the moments that stays in a step without a gradient; None if parameters move in such a step."""
        return None

    def clip(self, *gradients: Tensor) -> tuple[Tensor, ...]:
        """Apply `clipnorm`, then `clipvalue`, to all gradients together."""
        if self.clipnorm:
            norm = reduce(add, (g.square().sum() for g in gradients)).sqrt()
            gradients = tuple(g.where(norm < self.clipnorm, g * (self.clipnorm / norm)) for g in gradients)
        if self.clipvalue:
            gradients = tuple(g.clamp(-self.clipvalue, self.clipvalue) for g in gradients)
        return gradients

    def update(self, p: Tensor, g: Tensor, slots: Slots, lr: Tensor, k: Tensor) -> tuple[Tensor, Slots]:
        """Return the parameters after one step, and the slots."""
        raise NotImplementedError(f"{type(self).__name__} says how it updates")


OPTIMIZERS: Registry[type[Optimizer]] = Registry("optimizer")


def _decayed(lr: Tensor, decay: float, k: Tensor) -> Tensor:
    return lr / (1.0 + decay * k) if decay else lr


def _root(a: Tensor, epsilon: float, inside: bool | None) -> Tensor:
    return (a + epsilon).sqrt() if inside else a.sqrt() + epsilon


@OPTIMIZERS.register("SGD", "sgd")
@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent: `v = momentum * v - lr * g`, `p = p + v`.

    Args:
        lr: Learning rate.
        momentum: Share of the last step that is kept.
        decay: The rate is divided by `1 + decay * k` at update k.
        nesterov: Whether to look ahead: `p = p + momentum * v - lr * g`.
    """

    lr: NonNegative = 0.01
    momentum: NonNegative = 0.0
    decay: NonNegative = 0.0
    nesterov: bool = False

    moments: ClassVar = ("v",)

    @property
    def idle(self) -> float | None:
        return None if self.momentum else 0.0

    def update(self, p: Tensor, g: Tensor, slots: Slots, lr: Tensor, k: Tensor) -> tuple[Tensor, Slots]:
        """Take one step."""
        step = _decayed(lr, self.decay, k) * g
        v = self.momentum * slots["v"] - step
        return (p + self.momentum * v - step if self.nesterov else p + v), {"v": v}


@OPTIMIZERS.register("RMSprop", "rmsprop")
@dataclass(frozen=True)
class RMSprop(Optimizer):
    """Divides by a running root mean square: `p = p - lr * g / (sqrt(a) + epsilon)`.

    Args:
        lr: Learning rate.
        rho: Share of the running mean that is kept.
        epsilon: Added to the root.
        decay: The rate is divided by `1 + decay * k` at update k.
        epsilon_inside: Whether `epsilon` is added under the root instead, as in Keras 3.
    """

    lr: NonNegative = 0.001
    rho: Fraction = 0.9
    epsilon: NonNegative = 1e-8
    decay: NonNegative = 0.0
    epsilon_inside: bool | None = None

    moments: ClassVar = ("a",)

    @property
    def idle(self) -> float | None:
        return self.rho if self.epsilon else None  # without it, 0 / 0 is no number

    def update(self, p: Tensor, g: Tensor, slots: Slots, lr: Tensor, k: Tensor) -> tuple[Tensor, Slots]:
        """Take one step."""
        a = self.rho * slots["a"] + (1.0 - self.rho) * g.square()
        return p - _decayed(lr, self.decay, k) * g / _root(a, self.epsilon, self.epsilon_inside), {"a": a}


@OPTIMIZERS.register("Adagrad", "adagrad")
@dataclass(frozen=True)
class Adagrad(Optimizer):
    """Divides by the root of all squares so far: `p = p - lr * g / (sqrt(a) + epsilon)`.

    Args:
        lr: Learning rate.
        epsilon: Added to the root.
        decay: The rate is divided by `1 + decay * k` at update k.
        epsilon_inside: Whether `epsilon` is added under the root instead, as in Keras 3.
        start: What the sum of squares begins with; 0 where absent, as in Keras 1.
    """

    lr: NonNegative = 0.01
    epsilon: NonNegative = 1e-8
    decay: NonNegative = 0.0
    epsilon_inside: bool | None = None
    start: NonNegative | None = None

    moments: ClassVar = ("a",)

    @property
    def idle(self) -> float | None:
        return 1.0 if self.epsilon else None

    def update(self, p: Tensor, g: Tensor, slots: Slots, lr: Tensor, k: Tensor) -> tuple[Tensor, Slots]:
        """Take one step."""
        a = slots["a"] + g.square()
        return p - _decayed(lr, self.decay, k) * g / _root(
            a + (self.start or 0.0), self.epsilon, self.epsilon_inside
        ), {"a": a}


@OPTIMIZERS.register("Adadelta", "adadelta")
@dataclass(frozen=True)
class Adadelta(Optimizer):
    """Scales each step by the root mean square of the steps before it.

    Args:
        lr: Learning rate.
        rho: Share of the running means that is kept.
        epsilon: Added inside both roots.
        decay: The rate is divided by `1 + decay * k` at update k.
    """

    lr: NonNegative = 1.0
    rho: Fraction = 0.95
    epsilon: NonNegative = 1e-8
    decay: NonNegative = 0.0

    moments: ClassVar = ("a", "d")

    @property
    def idle(self) -> float | None:
        return self.rho if self.epsilon else None

    def update(self, p: Tensor, g: Tensor, slots: Slots, lr: Tensor, k: Tensor) -> tuple[Tensor, Slots]:
        """Take one step."""
        a = self.rho * slots["a"] + (1.0 - self.rho) * g.square()
        u = g * (slots["d"] + self.epsilon).sqrt() / (a + self.epsilon).sqrt()
        d = self.rho * slots["d"] + (1.0 - self.rho) * u.square()
        return p - _decayed(lr, self.decay, k) * u, {"a": a, "d": d}


@OPTIMIZERS.register("Adam", "adam")
@dataclass(frozen=True)
class Adam(Optimizer):
    """Running means of gradients and squares: `p = p - lr' * m / (sqrt(v) + epsilon)`.

    `lr' = lr * sqrt(1 - beta_2^t) / (1 - beta_1^t)`.

    Args:
        lr: Learning rate.
        beta_1: Share of the mean that is kept.
        beta_2: Share of the mean square that is kept.
        epsilon: Added to the root.
        decay: The rate is divided by `1 + decay * k` at update k.
    """

    lr: NonNegative = 0.001
    beta_1: Fraction = 0.9
    beta_2: Fraction = 0.999
    epsilon: NonNegative = 1e-8
    decay: NonNegative = 0.0

    moments: ClassVar = ("m", "v")

    def update(self, p: Tensor, g: Tensor, slots: Slots, lr: Tensor, k: Tensor) -> tuple[Tensor, Slots]:
        """Take one step."""
        t = k + 1.0
        rate = _decayed(lr, self.decay, k) * (1.0 - self.beta_2**t).sqrt() / (1.0 - self.beta_1**t)
        m = self.beta_1 * slots["m"] + (1.0 - self.beta_1) * g
        v = self.beta_2 * slots["v"] + (1.0 - self.beta_2) * g.square()
        return p - rate * m / (v.sqrt() + self.epsilon), {"m": m, "v": v}


@OPTIMIZERS.register("Adamax", "adamax")
@dataclass(frozen=True)
class Adamax(Optimizer):
    """Adam with the largest gradient so far in place of the mean square.

    Args:
        lr: Learning rate.
        beta_1: Share of the mean that is kept.
        beta_2: Share of the maximum that is kept.
        epsilon: Added to the maximum.
        decay: The rate is divided by `1 + decay * k` at update k.
    """

    lr: NonNegative = 0.002
    beta_1: Fraction = 0.9
    beta_2: Fraction = 0.999
    epsilon: NonNegative = 1e-8
    decay: NonNegative = 0.0

    moments: ClassVar = ("m", "u")

    def update(self, p: Tensor, g: Tensor, slots: Slots, lr: Tensor, k: Tensor) -> tuple[Tensor, Slots]:
        """Take one step."""
        rate = _decayed(lr, self.decay, k) / (1.0 - self.beta_1 ** (k + 1.0))
        m = self.beta_1 * slots["m"] + (1.0 - self.beta_1) * g
        u = (self.beta_2 * slots["u"]).maximum(g.abs())
        return p - rate * m / (u + self.epsilon), {"m": m, "u": u}


@OPTIMIZERS.register("Nadam", "nadam")
@dataclass(frozen=True)
class Nadam(Optimizer):
    """Adam with Nesterov momentum on a warming schedule.

    Args:
        lr: Learning rate.
        beta_1: Share of the mean that is kept.
        beta_2: Share of the mean square that is kept.
        epsilon: Added to the root.
        schedule_decay: How fast the momentum warms up.
    """

    lr: NonNegative = 0.002
    beta_1: Fraction = 0.9
    beta_2: Fraction = 0.999
    epsilon: NonNegative = 1e-8
    schedule_decay: NonNegative = 0.004

    moments: ClassVar = ("m", "v")
    scalars: ClassVar = ("m_schedule",)

    def _momentum(self, t: Tensor) -> Tensor:
        return self.beta_1 * (1.0 - 0.5 * 0.96 ** (t * self.schedule_decay))

    def update(self, p: Tensor, g: Tensor, slots: Slots, lr: Tensor, k: Tensor) -> tuple[Tensor, Slots]:
        """Take one step."""
        t = k + 1.0
        now, then = self._momentum(t), self._momentum(t + 1.0)
        product = slots["m_schedule"] * now
        m = self.beta_1 * slots["m"] + (1.0 - self.beta_1) * g
        v = self.beta_2 * slots["v"] + (1.0 - self.beta_2) * g.square()
        mean = (1.0 - now) * (g / (1.0 - product)) + then * (m / (1.0 - product * then))
        p = p - lr * mean / ((v / (1.0 - self.beta_2**t)).sqrt() + self.epsilon)
        return p, {"m": m, "v": v, "m_schedule": product}


def _read(value: Any) -> Optimizer:
    if isinstance(value, Optimizer):
        return value
    if isinstance(value, str):
        return OPTIMIZERS[value]()
    if not isinstance(value, Mapping):
        raise Wrong
    name = value.get("class_name", value.get("name"))
    if not isinstance(name, str):
        raise Wrong("it names no optimizer")
    if "class_name" not in value:  # Keras 1's other form: {"name": "SGD", "lr": 0.1}
        return OPTIMIZERS[name].from_config({key: each for key, each in value.items() if key != "name"})
    if extra := set(value) - {"class_name", "config"}:
        raise Wrong(f"{shown(sorted(extra)[0])} is not part of it")
    with within("config"):
        return OPTIMIZERS[name].from_config(value.get("config", {}))


def _write(value: Optimizer) -> Json:
    return {"class_name": type(value).__name__, "config": value.get_config()}


AnyOptimizer = Annotated[
    Optimizer,
    Kind('an optimizer\'s name or {"class_name": "SGD", "config": {"lr": 0.01}}', _read, _write),
]
