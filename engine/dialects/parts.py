"""The parts of a layer: initialisers, regularizers, constraints, activations and types, in the Keras 1 form."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from engine.errors import BadArgument, within
from engine.registry import shown

#: Where Keras keeps what a definition may name. Nothing is imported from there; another place is refused.
MODULE = re.compile(
    r"(tf_)?keras(\.(src|engine|layers|models|initializers|regularizers|constraints|optimizers|losses|metrics|activations)"
    r"(\.\w+)*)?"
)


def check_origin(value: Mapping[str, Any]) -> None:
    """Refuse an object that claims to come from elsewhere than Keras.

    Raises:
        BadArgument: Its `module` or `registered_name` is another's.
    """
    module, name = value.get("module"), value.get("registered_name")
    if module is not None and not (isinstance(module, str) and MODULE.fullmatch(module)):
        raise BadArgument(
            f'`module` must be one of Keras\'s own, such as "keras.layers", but got {shown(module)}. Nothing is '
            "imported from a definition; what is no part of Keras cannot be used here.",
            "/module",
        )
    if name is not None and name != value.get("class_name"):
        raise BadArgument(
            f"`registered_name` must be null or the class's own name, but got {shown(name)}: classes of your own "
            "cannot be used here.",
            "/registered_name",
        )


def opened(value: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Return the class name and the config of an object.

    Raises:
        BadArgument: It is not written as Keras does.
    """
    check_origin(value)
    name, config = value.get("class_name"), value.get("config", {})
    if not isinstance(name, str) or not isinstance(config, Mapping | None):
        raise BadArgument(f'This must be {{"class_name": …, "config": {{…}}}}, but got {shown(dict(value))}.')
    if extra := set(value) - {"class_name", "config", "module", "registered_name", "shared_object_id", "build_config"}:
        first = sorted(map(str, extra))[0]
        raise BadArgument(f"There is no key {shown(first)} here.", f"/{first}")
    return name, config or {}


def taken(config: Mapping[str, Any], known: Mapping[str, Any], silent: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the arguments `known`, with their defaults; those of `silent` may be there as null.

    Raises:
        BadArgument: There is another one.
    """
    for key, value in config.items():
        if key not in known and (key not in silent or value is not None):
            raise BadArgument(
                f"There is no argument {shown(key)} here, or it must be null. It takes: {', '.join(known) or 'none'}.",
                f"/config/{key}",
            )
    return {key: config.get(key, default) for key, default in known.items()}


# -- initialisers -------------------------------------------------------------------------------

SCALING = {
    "GlorotUniform": (1.0, "fan_avg", "uniform"),
    "GlorotNormal": (1.0, "fan_avg", "truncated_normal"),
    "HeUniform": (2.0, "fan_in", "uniform"),
    "HeNormal": (2.0, "fan_in", "truncated_normal"),
    "LecunUniform": (1.0, "fan_in", "uniform"),
    "LecunNormal": (1.0, "fan_in", "truncated_normal"),
}
#: What Keras 1 has a name for that means the same, where it counts what flows in and out alike.
PLAIN = {
    (1.0, "fan_avg", "uniform"): "glorot_uniform",
    (2.0, "fan_in", "uniform"): "he_uniform",
    (1.0, "fan_in", "uniform"): "lecun_uniform",
}
#: The names of classes in lower case, and the short ones.
NAMES = {re.sub(r"(?<!^)([A-Z])", r"_\1", each).lower(): each for each in SCALING} | {
    "zero": "Zeros",
    "zeros": "Zeros",
    "one": "Ones",
    "ones": "Ones",
    "constant": "Constant",
    "uniform": "RandomUniform",
    "random_uniform": "RandomUniform",
    "normal": "RandomNormal",
    "random_normal": "RandomNormal",
    "truncated_normal": "TruncatedNormal",
    "orthogonal": "Orthogonal",
    "identity": "Identity",
    "variance_scaling": "VarianceScaling",
}
#: The arguments of the others, with their defaults.
SPREADS: Mapping[str, Mapping[str, Any]] = {
    "RandomUniform": {"minval": -0.05, "maxval": 0.05},
    "RandomNormal": {"mean": 0.0, "stddev": 0.05},
    "TruncatedNormal": {"mean": 0.0, "stddev": 0.05},
    "Constant": {"value": 0.0},
    "Orthogonal": {"gain": 1.0},
    "Identity": {"gain": 1.0},
    "VarianceScaling": {"scale": 1.0, "mode": "fan_in", "distribution": "truncated_normal"},
}
#: What Keras 1 has a name for, with the arguments that make it so.
SAME = {
    ("RandomUniform", (-0.05, 0.05)): "uniform",
    ("RandomNormal", (0.0, 0.05)): "normal",
    ("Orthogonal", (1.1,)): "orthogonal",
    ("Identity", (1.0,)): "identity",
    ("Constant", (0.0,)): "zero",
    ("Constant", (1.0,)): "one",
}
OPTIONAL = ("seed", "input_axes", "output_axes")


def initializer(value: Any, plain: bool = True) -> Any:
    """Read an initialiser; `plain` says whether Keras 1 counts what flows in and out of the weight alike."""
    if isinstance(value, Mapping) and "class_name" not in value:
        return value  # as the Keras 1 form has it
    name, config = (value, {}) if isinstance(value, str) else _opened(value, "initializer")
    name = NAMES.get(name, name)
    if name in ("Zeros", "Ones"):
        taken(config, {}, OPTIONAL)
        return "zero" if name == "Zeros" else "one"
    config = {key: each for key, each in config.items() if key != "seed"}  # draws come from the job's seed
    if name in SCALING:
        taken(config, {}, OPTIONAL)
        return _scaling(SCALING[name], plain)
    if name not in SPREADS:
        return name  # let the Keras 1 form say what there is
    arguments = taken(config, SPREADS[name], OPTIONAL)
    if name == "VarianceScaling":
        if arguments["distribution"] == "normal":
            arguments["distribution"] = "truncated_normal"
        return _scaling(tuple(arguments.values()), plain)
    known = _hashable(tuple(arguments.values()))
    return SAME.get((name, known)) or {"name": name, **arguments}


def _scaling(arguments: tuple[Any, ...], plain: bool) -> Any:
    named = PLAIN.get(_hashable(arguments)) if plain else None
    scale, mode, distribution = arguments
    return named or {"name": "VarianceScaling", "scale": scale, "mode": mode, "distribution": distribution}


def _hashable(arguments: tuple[Any, ...]) -> Any:
    return arguments if all(isinstance(each, str | int | float) for each in arguments) else None


def _opened(value: Any, what: str) -> tuple[str, Mapping[str, Any]]:
    if not isinstance(value, Mapping):
        raise BadArgument(f'This must be the name of an {what} or {{"class_name": …}}, but got {shown(value)}.')
    return opened(value)


# -- regularizers and constraints ---------------------------------------------------------------

REGULARIZERS: Mapping[str, Mapping[str, Any]] = {
    "L1L2": {"l1": 0.0, "l2": 0.0},
    "L1": {"l1": 0.01},
    "L2": {"l2": 0.01},
}
SHORT = {"l1": "L1", "l2": "L2", "l1_l2": "L1L2"}


def regularizer(value: Any, on_output: bool = False) -> Any:
    """Read a regularizer; `on_output` says whether it is one of an output, divided by the number of samples."""
    name = "MeanActivityRegularizer" if on_output else "L1L2Regularizer"
    if value is None or (isinstance(value, Mapping) and "class_name" not in value):
        return value
    if value == "l1_l2":
        return {"name": name, "l1": 0.01, "l2": 0.01}
    class_name, config = (SHORT.get(value, value), {}) if isinstance(value, str) else _opened(value, "regularizer")
    if class_name not in REGULARIZERS:
        raise BadArgument(f"There is no regularizer {shown(class_name)} here; there are L1, L2 and L1L2.")
    return {"name": name, "l1": 0.0, "l2": 0.0} | taken(config, REGULARIZERS[class_name])


CONSTRAINTS: Mapping[str, Mapping[str, tuple[str, Any]]] = {
    "MaxNorm": {"max_value": ("m", 2), "axis": ("axis", 0)},
    "NonNeg": {},
    "UnitNorm": {"axis": ("axis", 0)},
    "MinMaxNorm": {
        "min_value": ("low", 0.0),
        "max_value": ("high", 1.0),
        "rate": ("rate", 1.0),
        "axis": ("axis", 0),
    },
}
CONSTRAINT_NAMES = {"max_norm": "MaxNorm", "non_neg": "NonNeg", "unit_norm": "UnitNorm", "min_max_norm": "MinMaxNorm"}


def constraint(value: Any) -> Any:
    """Read a constraint."""
    if value is None or (isinstance(value, Mapping) and "class_name" not in value):
        return value
    name, config = (value, {}) if isinstance(value, str) else _opened(value, "constraint")
    name = CONSTRAINT_NAMES.get(name, name)
    if name not in CONSTRAINTS:
        raise BadArgument(f"There is no constraint {shown(name)} here; there are: {', '.join(CONSTRAINTS)}.")
    known = CONSTRAINTS[name]
    given = taken(config, {key: default for key, (_, default) in known.items()})
    return {"name": name} | {known[key][0]: each for key, each in given.items()}


# -- activations and types ----------------------------------------------------------------------


def activation(value: Any, version: int) -> Any:
    """Read an activation's name; Keras 3's hard_sigmoid is another one than that of Keras 1 and 2."""
    if isinstance(value, Mapping):
        check_origin({key: each for key, each in value.items() if key != "registered_name"})
        if value.get("class_name") != "function" or not isinstance(value.get("config"), str):
            raise BadArgument(
                'An activation must be given by its name, such as "relu"; one with arguments is a layer of its own, '
                "such as LeakyReLU."
            )
        value = value["config"]
    return "keras3_hard_sigmoid" if value == "hard_sigmoid" and version == 3 else value


def check_dtype(value: Any) -> None:
    """Refuse a type of computation other than float32.

    Raises:
        BadArgument: It is another one, or none that can be read.
    """
    name = value
    if isinstance(value, Mapping):
        class_name, config = opened(value)
        with within("config"):
            name = config.get("name") if class_name in ("DTypePolicy", "Policy") else class_name
    if name not in (None, "float32"):
        raise BadArgument(f'Layers compute in float32 here, but got {shown(name)}. Set `dtype` to "float32".')
