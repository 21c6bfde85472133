"""Keras 1's layers, under all their names: the very classes by which the service describes, checks and trains them.

Keras 1's modules, such as `trainyard.layers.core` and `trainyard.layers.recurrent`, can be imported from as well.
"""

import sys
from typing import Any

import engine.layers
from engine.layer import LAYERS
from trainyard.names import finder, names_of

#: A model that is being built is `trainyard.models.Sequential`.
_ELSEWHERE = frozenset({"Sequential"})

_find = finder(LAYERS, __name__, _ELSEWHERE)
__all__ = names_of(LAYERS, _ELSEWHERE)  # a list of names

for _family in engine.layers.__all__:
    sys.modules[f"{__name__}.{_family.rstrip('_')}"] = sys.modules[__name__]


def __getattr__(name: str) -> Any:
    return _find(name)


def __dir__() -> list[str]:
    return list(__all__)
