"""How a call of one of K's functions is bound to its parameters, each read as its annotation says."""

from __future__ import annotations

import ast
import inspect
import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from engine.errors import BadArgument, DefinitionError
from engine.expressions.table import DTYPES, FUNCTIONS
from engine.expressions.tree import Cut, Node, Number
from engine.registry import shown

MAX_NUMBER = 1e30
MAX_AXIS = 8
MAX_INDEX = 2**31

Translate = Callable[[ast.expr], Node]
Several = Callable[[ast.expr], "Node | tuple[Node, ...]"]
Bound = tuple[
    tuple[tuple[str, "Node | tuple[Node, ...]"], ...], tuple[tuple[str, Node], ...], tuple[tuple[str, Any], ...]
]


@cache
def parameters_of(name: str) -> Mapping[str, inspect.Parameter]:
    """Return the parameters of one of K's functions."""
    return inspect.signature(FUNCTIONS[name]).parameters


def callable_functions() -> dict[str, list[str]]:
    """Name every function of `K` that a text may call, with its parameters."""
    called = {name: list(parameters_of(name)) for name in FUNCTIONS}
    return dict(sorted((called | {"epsilon": [], "floatx": []}).items()))


def refusal(node: ast.AST, message: str, error: type[DefinitionError] = BadArgument) -> DefinitionError:
    """Make a refusal that says where in the text the fault lies."""
    line, column = getattr(node, "lineno", 1), getattr(node, "col_offset", 0) + 1
    return error(f"Line {line}, column {column}: {message}")


def number_of(node: ast.expr, value: Any = None) -> float:
    """Read a number that is written in the text, or was computed from such.

    Raises:
        BadArgument: It is none, not finite, or too large.
    """
    value = getattr(node, "value", None) if value is None else value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise refusal(node, f"{shown(value)} is not allowed here; write a number or a tensor.")
    if not abs(value) <= MAX_NUMBER or not math.isfinite(value):
        raise refusal(node, f"Numbers must be finite and at most {MAX_NUMBER:g}.")
    return float(value)


def bind(call: ast.Call, name: str, translate: Translate, several: Several) -> Bound:
    """Read the arguments of a call: tensors, lists of them, operands (tensors or numbers), and constants.

    Raises:
        BadArgument: One is missing, too many, unknown, or of the wrong kind.
    """
    parameters = parameters_of(name)
    tensors: list[tuple[str, Node | tuple[Node, ...]]] = []
    operands, constants = [], []
    for parameter, node in _named(call, name, parameters).items():
        kind = parameters[parameter].annotation
        if kind == "Tensor":
            tensors.append((parameter, translate(node)))
        elif kind == "list[Tensor]":
            tensors.append((parameter, several(node)))
        elif kind == "Operand":
            operands.append((parameter, translate(node)))
        else:
            constants.append((parameter, ARGUMENTS[kind](node, translate)))
    return tuple(tensors), tuple(operands), tuple(constants)


def _named(call: ast.Call, name: str, parameters: Mapping[str, inspect.Parameter]) -> dict[str, ast.expr]:
    takes = f"K.{name} takes ({', '.join(parameters)})"
    if len(call.args) > len(parameters):
        raise refusal(call, f"{takes}, but gets {len(call.args)} arguments.")
    given = dict(zip(parameters, call.args, strict=False))
    for keyword in call.keywords:
        if keyword.arg is None or keyword.arg not in parameters or keyword.arg in given:
            what = "**" if keyword.arg is None else shown(keyword.arg)
            raise refusal(keyword.value, f"{takes}, but gets {what}{' twice' if keyword.arg in given else ''}.")
        given[keyword.arg] = keyword.value
    for parameter in parameters.values():
        if parameter.default is parameter.empty and parameter.name not in given:
            raise refusal(call, f"{takes}, but `{parameter.name}` is missing.")
    return given


# -- constants ----------------------------------------------------------------------------------


def _float(node: ast.expr, translate: Translate) -> float:
    number = translate(node)
    if not isinstance(number, Number):
        raise refusal(node, "This argument must be a number.")
    return number.number


def _integer(node: ast.expr, translate: Translate) -> int:
    value = _float(node, translate)
    if value != int(value):
        raise refusal(node, "This argument must be a whole number.")
    return int(value)


def _axis(node: ast.expr, translate: Translate) -> int:
    axis = _integer(node, translate)
    if not -MAX_AXIS <= axis < MAX_AXIS:
        raise refusal(node, f"An axis must be from {-MAX_AXIS} to {MAX_AXIS - 1}, but this is {axis}.")
    return axis


def _axes(node: ast.expr, translate: Translate) -> int | tuple[int, ...] | None:
    axes = _axis_of_each(node, translate)
    if isinstance(axes, tuple) and (not axes or len(set(axes)) != len(axes)):
        raise refusal(node, "Name each axis once.")
    return axes


def _axis_of_each(node: ast.expr, translate: Translate) -> int | tuple[int, ...] | None:
    if isinstance(node, ast.List | ast.Tuple):
        return tuple(_axis(each, translate) for each in node.elts)
    return None if _is_none(node) else _axis(node, translate)


def _count(node: ast.expr, translate: Translate) -> int:
    count = _integer(node, translate)
    if not 1 <= count <= 1_000_000:
        raise refusal(node, f"This argument must be from 1 to 1,000,000, but is {count}.")
    return count


def _lengths(node: ast.expr, translate: Translate) -> tuple[int, ...]:
    each = node.elts if isinstance(node, ast.List | ast.Tuple) else [node]
    lengths = tuple(_integer(one, translate) for one in each)
    if not 0 < len(lengths) <= MAX_AXIS or not all(-1 <= length <= 1_000_000 for length in lengths):
        raise refusal(node, f"Write 1 to {MAX_AXIS} whole numbers up to 1,000,000.")
    return lengths


def _flag(node: ast.expr, translate: Translate) -> bool:
    value = getattr(node, "value", None)
    if not isinstance(node, ast.Constant) or not isinstance(value, bool):
        raise refusal(node, "This argument must be True or False.")
    return value


def _dtype(node: ast.expr, translate: Translate) -> str:
    if ast.unparse(node) == "K.floatx()":
        return "float32"
    value = getattr(node, "value", None)
    if not isinstance(node, ast.Constant) or value not in DTYPES:
        raise refusal(node, f"A type must be K.floatx() or one of {', '.join(DTYPES)}.")
    return str(value)


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


#: How a constant of each annotation is read.
ARGUMENTS: Mapping[str, Callable[[ast.expr, Translate], Any]] = {
    "Axis": _axis,
    "Axes": _axes,
    "AxisOfEach": _axis_of_each,
    "Axis | None": lambda node, translate: None if _is_none(node) else _axis(node, translate),
    "bool": _flag,
    "int": _count,
    "float": _float,
    "float | None": lambda node, translate: None if _is_none(node) else _float(node, translate),
    "Lengths": _lengths,
    "Dtype": _dtype,
}


# -- subscripts ---------------------------------------------------------------------------------


def index_of(node: ast.expr) -> int | Cut | None:
    """Read one axis of a subscript; None stands for `...`.

    Raises:
        BadArgument: It is no constant.
    """
    if isinstance(node, ast.Slice):
        step = _whole(node.step)
        if step is not None and step < 1:
            raise refusal(node, "The step of a subscript must be 1 or more.")
        return Cut(_whole(node.lower), _whole(node.upper), step)
    if isinstance(node, ast.Constant) and node.value is ...:
        return None
    return _whole(node)


def _whole(node: ast.expr | None) -> int | None:
    """Read an integer constant of a subscript; what is left out stays out."""
    if node is None:
        return None
    negative = isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub)
    inner = node.operand if isinstance(node, ast.UnaryOp) and negative else node
    value = inner.value if isinstance(inner, ast.Constant) else None
    if isinstance(value, bool) or not isinstance(value, int) or value >= MAX_INDEX:
        raise refusal(node, f"A subscript must be made of integer constants below {MAX_INDEX:,}, such as [:, 0].")
    return -value if negative else value
