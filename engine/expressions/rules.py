"""For every function of `K`, what shape it gives for the shapes and constants it is called with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod

from engine.expressions.arrangements import summed_axes
from engine.expressions.table import Axes, AxisOfEach

#: An axis that is longer than this stands for one of any length.
FAR = 2**60
#: The lengths of a tensor's axes, all of them known.
Sizes = tuple[int, ...]


class Misfit(Exception):
    """Raised by a rule where the function cannot take the shapes; says why."""


def text(sizes: Sizes) -> str:
    """Write a shape as people do."""
    shown = ["None" if each > FAR else str(each) for each in sizes]
    return "(" + ", ".join(shown) + ("," if len(shown) == 1 else "") + ")"


def broadcast(*shapes: Sizes) -> Sizes:
    """Bring shapes together, as arithmetic does."""
    rank = max(map(len, shapes))
    result = []
    for lengths in zip(*((1,) * (rank - len(shape)) + shape for shape in shapes), strict=True):
        longer = set(lengths) - {1}
        if len(longer) > 1:
            raise Misfit("axes that meet must be equally long, or 1")
        result.append(longer.pop() if longer else 1)
    return tuple(result)


def _at(axis: int, rank: int) -> int:
    """Count an axis from the front; a number has an axis -1 for torch, too."""
    if not -max(rank, 1) <= axis < max(rank, 1):
        raise Misfit(f"there is no axis {axis}")
    return axis % max(rank, 1)


def _several(axes: Axes, rank: int) -> set[int]:
    if axes is None:
        return set(range(rank))
    given = (axes,) if isinstance(axes, int) else axes
    found = {_at(axis, rank) for axis in given}
    if len(found) != len(given):
        raise Misfit("an axis is named twice")
    return found


def _same(x: Sizes, **_: object) -> Sizes:
    return x


def _reduced(x: Sizes, axis: Axes, keepdims: bool) -> Sizes:
    gone = _several(axis, len(x))
    return tuple(1 if at in gone else each for at, each in enumerate(x) if keepdims or at not in gone)


def _compared(x: Sizes, y: Sizes) -> Sizes:
    return broadcast(x, y)


def _along(x: Sizes, axis: int) -> Sizes:
    _at(axis, len(x))
    return x


def _last_summed(output: Sizes, target: Sizes, from_logits: bool) -> Sizes:
    return broadcast(output, target)[:-1]


def _in_top_k(predictions: Sizes, targets: Sizes, k: int) -> Sizes:
    if not predictions:
        raise Misfit("predictions have an axis of classes")
    return broadcast((*predictions[:-1], min(k, predictions[-1])), (*targets, 1))[:-1]


def _dot(x: Sizes, y: Sizes) -> Sizes:
    if not x or not y:
        raise Misfit("a product sums over an axis, and a number has none")
    at = max(len(y) - 2, 0)
    if x[-1] != y[at]:
        raise Misfit("the last axis of the first must be as long as the last but one of the second")
    return (*x[:-1], *y[:at], *y[at + 1 :])


def _batch_dot(x: Sizes, y: Sizes, axes: AxisOfEach) -> Sizes:
    try:
        left, right = summed_axes(axes, len(x), len(y))
    except ValueError as wrong:
        raise Misfit(str(wrong)) from None
    if x[0] != y[0] or x[left] != y[right]:
        raise Misfit(f"the batches, and axes {left} and {right}, must be equally long")
    shape = (*x[:left], *x[left + 1 :], *y[1:right], *y[right + 1 :])
    return shape if len(shape) > 1 else (*shape, 1)


def _batch_flatten(x: Sizes) -> Sizes:
    if len(x) < 2:
        raise Misfit("two axes or more are needed")
    return (x[0], prod(x[1:]))


def _permuted(x: Sizes, pattern: Sizes) -> Sizes:
    if len(pattern) != len(x) or len(_several(pattern, len(x))) != len(x):
        raise Misfit(f"the pattern {list(pattern)} must name each axis once")
    return tuple(x[each] for each in pattern)


def _reshaped(x: Sizes, shape: Sizes) -> Sizes:
    fixed = prod(each for each in shape if each != -1)
    free = shape.count(-1)
    if free > 1 or fixed < 1 or prod(x) % fixed or (not free and prod(x) != fixed):
        raise Misfit(f"it has not the size of {list(shape)}; one axis may be -1")
    return tuple(prod(x) // fixed if each == -1 else each for each in shape)


def _expanded(x: Sizes, dim: int) -> Sizes:
    if not -len(x) - 1 <= dim <= len(x):
        raise Misfit(f"there is no place {dim} for another axis")
    at = dim % (len(x) + 1)
    return (*x[:at], 1, *x[at:])


def _squeezed(x: Sizes, axis: int) -> Sizes:
    at = _at(axis, len(x))
    if not x or x[at] != 1:
        raise Misfit(f"axis {axis} has not the length 1")
    return (*x[:at], *x[at + 1 :])


def _concatenated(tensors: tuple[Sizes, ...], axis: int) -> Sizes:
    first = tensors[0]
    if not first:
        raise Misfit("numbers have no axis to be joined on")
    at = _at(axis, len(first))
    rest = {(*each[:at], *each[at + 1 :]) for each in tensors}
    if len(rest) > 1 or {len(each) for each in tensors} != {len(first)}:
        raise Misfit(f"all axes but {axis} must be equally long")
    return (*first[:at], sum(each[at] for each in tensors), *first[at + 1 :])


def _stacked(x: tuple[Sizes, ...], axis: int) -> Sizes:
    if len(set(x)) > 1:
        raise Misfit("all shapes must be the same")
    at = _expanded(x[0], axis)
    place = axis % len(at)
    return (*x[0][:place], len(x), *x[0][place:])


def _tiled(x: Sizes, n: Sizes) -> Sizes:
    if len(n) > len(x) or min(n) < 1:
        raise Misfit(f"`n` must give each axis a count of 1 or more, but is {list(n)}")
    counts = (1,) * (len(x) - len(n)) + n
    return tuple(length * count for length, count in zip(x, counts, strict=True))


def _elements_repeated(x: Sizes, rep: int, axis: int) -> Sizes:
    if not x:
        raise Misfit("a number has no elements")
    at = _at(axis, len(x))
    return (*x[:at], x[at] * rep, *x[at + 1 :])


def _repeated(x: Sizes, n: int) -> Sizes:
    if len(x) != 2:
        raise Misfit("rows are needed, (n, d)")
    return (x[0], n, x[1])


def _padded(x: Sizes, padding: int) -> Sizes:
    if len(x) != 3:
        raise Misfit("sequences are needed, (n, steps, d)")
    return (x[0], x[1] + 2 * padding, x[2])


def _gathered(reference: Sizes, indices: Sizes) -> Sizes:
    if not reference:
        raise Misfit("a number has no rows")
    return (*indices, *reference[1:])


def _reversed(x: Sizes, axes: Axes) -> Sizes:
    _several(() if axes is None else axes, len(x))
    return x


SAME = (
    "abs", "square", "sqrt", "exp", "log", "round", "sign", "sin", "cos", "softmax", "sigmoid", "hard_sigmoid", "tanh",
    "softplus", "softsign", "zeros_like", "ones_like", "clip", "relu", "elu", "cast",
)  # fmt: skip
REDUCTIONS = ("mean", "sum", "prod", "max", "min", "var", "std", "any", "all", "logsumexp")
COMPARISONS = ("equal", "not_equal", "greater", "greater_equal", "less", "less_equal", "maximum", "minimum")

RULES: Mapping[str, Callable[..., Sizes]] = {
    **dict.fromkeys(SAME, _same),
    **dict.fromkeys(REDUCTIONS, _reduced),
    **dict.fromkeys(COMPARISONS, _compared),
    "pow": lambda x, a: broadcast(x, a),
    "switch": lambda condition, then_expression, else_expression: broadcast(
        condition, then_expression, else_expression
    ),
    "argmax": lambda x, axis: _reduced(x, axis, False),
    "argmin": lambda x, axis: _reduced(x, axis, False),
    "l2_normalize": _along,
    "binary_crossentropy": lambda output, target, from_logits: broadcast(output, target),
    "categorical_crossentropy": _last_summed,
    "in_top_k": _in_top_k,
    "dot": _dot,
    "batch_dot": _batch_dot,
    "flatten": lambda x: (prod(x),),
    "batch_flatten": _batch_flatten,
    "transpose": lambda x: x[::-1],
    "permute_dimensions": _permuted,
    "reshape": _reshaped,
    "expand_dims": _expanded,
    "squeeze": _squeezed,
    "reverse": _reversed,
    "concatenate": _concatenated,
    "stack": _stacked,
    "tile": _tiled,
    "repeat_elements": _elements_repeated,
    "repeat": _repeated,
    "temporal_padding": _padded,
    "gather": _gathered,
    "one_hot": lambda indices, nb_classes: (*indices, nb_classes),
}
