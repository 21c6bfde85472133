"""Keras 1's optimizers: `SGD(lr=0.1, momentum=0.9)`, or `get("sgd")`."""

from typing import Any

from engine.arguments import kind_of
from engine.optimizers import OPTIMIZERS, AnyOptimizer, Optimizer
from trainyard.names import finder, names_of

_find = finder(OPTIMIZERS, __name__)
__all__ = [*names_of(OPTIMIZERS), "get"]


def __getattr__(name: str) -> Any:
    return _find(name)


def __dir__() -> list[str]:
    return list(__all__)


def get(identifier: Any) -> Optimizer:
    """Make an optimizer of a name, of Keras's JSON, or of one that is made already."""
    optimizer: Optimizer = kind_of(AnyOptimizer).read(identifier)
    return optimizer
