"""What a trained model can be written for, beside our own formats, and whether it can be said there.

Nothing here needs a tensor, so that a job is refused when it is submitted and not after its training.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields

from engine.arguments import Shape, default_of
from engine.errors import BadArgument, BadModel, pointer
from engine.files.keras3_models import definition
from engine.layer import Layer
from engine.model import Sequential
from engine.registry import shown

#: The programs, and what the file for each is called.
EXPORTS = {"keras1": "model.h5", "keras3": "model.keras", "onnx": "model.onnx"}
#: A recurrent layer is written for ONNX step by step; so many steps may be written in all.
MAX_STEPS = 256
#: A model of more numbers than that is written for other programs only when asked for.
MAX_UNASKED = 25_000_000
#: Arguments and values that Keras 1.2.2 does not know.
NOT_IN_KERAS_1 = frozenset(
    ("zero_masked", "reset_after", "center", "scale", "version", "passes_mask", "per_sample", "inner_border_mode")
)
ACTIVATIONS_OF_KERAS_1 = frozenset(
    ("linear", "relu", "sigmoid", "hard_sigmoid", "tanh", "softplus", "softsign", "elu", "softmax")
)


def chosen(model: Sequential, wanted: Sequence[str] | None) -> list[str]:
    """List what is written for a job: what it asks for, or a file of Keras 1 for a small model that it can say."""
    if wanted is not None:
        return list(wanted)
    is_small = sum(each.size for each in model.all_weights) <= MAX_UNASKED
    return ["keras1"] if is_small and not reason(model, "keras1") else []


def check(model: Sequential, wanted: Sequence[str]) -> None:
    """Refuse what a model cannot be written for.

    Raises:
        BadArgument: There is no such program, it is named twice, or it has no equal of one of the layers.
    """
    for index, name in enumerate(wanted):
        if name not in EXPORTS:
            raise BadArgument(f"There is no export {shown(name)}; there are {', '.join(EXPORTS)}.", pointer(index))
        if name in wanted[:index]:
            raise BadArgument(f"{name} is named twice.", pointer(index))
        if why := reason(model, name):
            raise BadArgument(f"The model cannot be exported as {name}. {why}", pointer(index))


def reason(model: Sequential, name: str) -> str | None:
    """Say why a model cannot be written for a program; None if it can."""
    if name == "keras3":
        try:
            definition(model)
        except BadModel as error:
            return str(error)
        return None
    tell = _not_in_keras_1 if name == "keras1" else _not_in_onnx
    return next(tell(model), None)


def _leaves(layer: Layer, input_shape: Shape) -> Iterator[tuple[Layer, Shape]]:
    yield layer, input_shape
    for part in layer.parts(input_shape):
        yield from _leaves(part.layer, part.input_shape)


def _all(model: Sequential) -> Iterator[tuple[Layer, Shape]]:
    if model.layers[0].transparent:
        yield model.layers[0], ()
    for placed in model.leaves():
        yield from _leaves(placed.layer, placed.input_shape)


def _not_in_keras_1(model: Sequential) -> Iterator[str]:
    for layer, _ in _all(model):
        for field in fields(layer):
            if _is_new(layer, field.name):
                yield (
                    f"Layer {layer.name} ({type(layer).__name__}) has {field.name} "
                    f"{shown(getattr(layer, field.name))}, which Keras 1.2.2 does not know."
                )


def _is_new(layer: Layer, argument: str) -> bool:
    value = getattr(layer, argument)
    if argument in NOT_IN_KERAS_1 or (argument == "bias" and hasattr(layer, "inner_init")):
        return bool(value != default_of(type(layer), argument))
    if argument in ("activation", "inner_activation"):
        return value not in ACTIVATIONS_OF_KERAS_1
    if argument == "border_mode":
        return value in ("same_tf", "causal")
    if argument in ("deconvolved_shape",):
        return isinstance(value, str)
    if argument in ("mode", "function", "declared_shape"):  # it could only be saved as bytecode of one Python
        return value is not None and not isinstance(value, str | int | tuple)
    return type(value).__module__ == "engine.spreads"


def _not_in_onnx(model: Sequential) -> Iterator[str]:
    steps = 0
    for layer, shape in _all(model):
        if hasattr(layer, "go_backwards"):
            if getattr(layer, "stateful", False):
                yield f"Layer {layer.name} ({type(layer).__name__}) is stateful, and a graph of ONNX keeps nothing."
            if shape[1] is None:
                yield (
                    f"Layer {layer.name} ({type(layer).__name__}) is written step by step, and must know how many "
                    "steps there are: give the model an `input_length`."
                )
            steps += shape[1] or 0
    if steps > MAX_STEPS:
        yield f"Its recurrent layers go {steps:,} steps in all, which are written one by one; {MAX_STEPS} may be."
