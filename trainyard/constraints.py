"""Keras 1's constraints: `maxnorm(2)`, `nonneg()`, `unitnorm()`, and their classes."""

from typing import Any

from engine.constraints import CONSTRAINTS
from trainyard.names import finder, names_of

_find = finder(CONSTRAINTS, __name__)
__all__ = names_of(CONSTRAINTS)


def __getattr__(name: str) -> Any:
    return _find(name)


def __dir__() -> list[str]:
    return list(__all__)
