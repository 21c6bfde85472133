"""What layers take that are made of functions: the functions themselves, their constants, and the shape they give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from engine.arguments import ANY_SHAPE, Json, Kind, Shape, Wrong
from engine.errors import BadArgument, ShapeMismatch, pointer, within
from engine.expressions.arguments import MAX_NUMBER
from engine.expressions.shape_functions import ShapeFunction
from engine.expressions.written import Constants, Function, Written
from engine.layer import shape_text
from engine.registry import shown


def _constants(value: Any) -> Constants:
    pairs = dict(value or ()).items() if value is None or isinstance(value, Mapping | tuple) else None
    if pairs is None:
        raise Wrong
    for name, number in pairs:
        numeric = isinstance(number, int | float) and not isinstance(number, bool)
        if not numeric or not abs(number) <= MAX_NUMBER:
            raise BadArgument(
                f"`arguments` gives numbers up to {MAX_NUMBER:g} to the function, but {shown(name)} is "
                f"{shown(number)}. Write anything else into the function's text.",
                pointer(name),
            )
    return tuple(pairs)


def _output_shape(value: Any) -> Shape | ShapeFunction:
    if isinstance(value, list | tuple) and not (value and isinstance(value[0], str)):
        axes: Shape = ANY_SHAPE.read(value)
        return axes
    return ShapeFunction.read(value)


def _written(value: Any) -> Json:
    return value.to_json() if isinstance(value, Written) else list(value)


OfTensor = Annotated[
    Function, Kind('a function of a tensor in Python, such as {"source": "lambda x: x ** 2"}', Function.read, _written)
]
Arguments = Annotated[
    Constants | None, Kind('an object of numbers, such as {"scale": 2}, or null', _constants, lambda value: dict(value))
]
OutputShape = Annotated[
    Shape | ShapeFunction,
    Kind(
        'a list of lengths without the batch, or a function such as {"source": "lambda s: (s[0], 2 * s[1])"}',
        _output_shape,
        _written,
    ),
]


def with_types(config: dict[str, Json], layer: Any, *keys: str) -> dict[str, Json]:
    """Write beside each of these arguments what stands in it, a function's text or a plain value, as Keras 1 does."""
    fields = {key: name for name, key in layer.called.items()}
    written: dict[str, Json] = {}
    for key, each in config.items():
        written[key] = each
        if key in keys:
            given = getattr(layer, fields.get(key, key))
            written[f"{key}_type"] = "source" if isinstance(given, Written) else "raw"
    return written


def agreed(inferred: Shape, declared: Shape | ShapeFunction | None, given: Any, who: str) -> Shape:
    """Return the shape that a function gives, checked against the one that was declared for it.

    Args:
        inferred: What follows from the function.
        declared: `output_shape`.
        given: The shape or shapes that go in.
        who: The layer, for people.

    Raises:
        BadArgument: The function of shapes gives none.
        ShapeMismatch: They differ.
    """
    if declared is None:
        return inferred
    with within("output_shape"):
        said = declared.of(given) if isinstance(declared, ShapeFunction) else (inferred[0], *declared)
        if len(said) != len(inferred) or any(a not in (None, b) for a, b in zip(said, inferred, strict=True)):
            raise ShapeMismatch(
                f"{who} declares by `output_shape` that it gives {shape_text(said)}, but its function gives "
                f"{shape_text(inferred)}. Correct one, or leave `output_shape` out: it is worked out from the function."
            )
    return inferred
