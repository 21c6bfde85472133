"""What a job may be made of, told from the classes themselves."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import MISSING
from typing import Any

import engine.layers  # noqa: F401  # so that they are registered
from engine.activations import ACTIVATIONS
from engine.arguments import Description, Json, default_of, kinds
from engine.augmentation import Augmentation
from engine.callbacks import CALLBACKS
from engine.compiled import Compile
from engine.constraints import CONSTRAINTS
from engine.dialects import REFUSED, later_names
from engine.exports import EXPORTS
from engine.expressions import callable_functions
from engine.initializations import INITIALIZATIONS
from engine.layer import LAYERS
from engine.methods import Evaluate, Fit, Predict, Session
from engine.metrics import ACCURACY, METRICS
from engine.objectives import OBJECTIVES
from engine.optimizers import OPTIMIZERS
from engine.preprocessing import Counting, Padding, Scaling
from engine.registry import Registry
from engine.regularizers import REGULARIZERS
from engine.steps import STEPS


def capabilities() -> Json:
    """Describe every layer, optimizer, loss, metric and callback, with arguments in Keras 1's order."""
    return {
        "layers": _classes(LAYERS),
        "later_keras": {"layers": later_names(), "refused": REFUSED},
        "optimizers": _classes(OPTIMIZERS),
        "losses": _functions(OBJECTIVES),
        "metrics": _functions(METRICS)
        | {
            "accuracy": {
                "meaning": "Binary, categorical or sparse, by loss and output.",
                "aliases": [ACCURACY[1]],
            }
        },
        "activations": _functions(ACTIVATIONS),
        "initializations": _functions(INITIALIZATIONS),
        "regularizers": {name: {"aliases": REGULARIZERS.aliases(name)} for name in REGULARIZERS},
        "constraints": _classes(CONSTRAINTS),
        "callbacks": _classes(CALLBACKS),
        "backend": callable_functions(),
        "compile": describe(Compile),
        "fit": describe(Fit),
        "evaluate": describe(Evaluate),
        "predict": describe(Predict),
        "session": describe(Session),
        "steps": _classes(STEPS),
        "exports": dict(EXPORTS),
        "augmentation": describe(Augmentation),
        "preprocessing": {
            "pad_sequences": describe(Padding),
            "sequences_to_matrix": describe(Counting),
            "array": describe(Scaling),
        },
    }


def _classes(registry: Registry[Any]) -> Json:
    return {name: describe(registry[name]) | {"aliases": registry.aliases(name)} for name in registry}


def _functions(registry: Registry[Callable[..., Any]]) -> Json:
    return {name: {"meaning": _first_line(registry[name]), "aliases": registry.aliases(name)} for name in registry}


def describe(cls: type[Description]) -> Json:
    """Describe one class: its meaning, and each argument with what it takes, its default and its meaning."""
    meanings = argument_meanings(cls)
    arguments = []
    for name, kind in kinds(cls).items():
        default = default_of(cls, name)
        argument = {
            "name": cls.called.get(name, name),
            "takes": kind.expects,
            "required": default is MISSING,
            "meaning": meanings.get(name, ""),
        }
        if default is not MISSING:
            argument["default"] = kind.write(kind.read(default)) if default is not None else None
        arguments.append(argument)
    return {"meaning": _first_line(cls), "arguments": arguments}


def _first_line(item: Any) -> str:
    return (inspect.getdoc(item) or "").partition("\n")[0]


def argument_meanings(cls: type) -> dict[str, str]:
    """Read the `Args` of a class and of those it inherits from."""
    meanings: dict[str, str] = {}
    for each in reversed(cls.__mro__):
        text = inspect.cleandoc(each.__doc__ or "")
        found = re.search(r"^Args:\n((?:    .*\n?|\n)+)", text, re.MULTILINE)
        for name, meaning in re.findall(r"^    (\w+): (.+(?:\n      .+)*)", found[1] if found else "", re.MULTILINE):
            meanings[name] = re.sub(r"\s+", " ", meaning)
    return meanings
