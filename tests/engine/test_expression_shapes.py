"""The shape that a function gives is told without a tensor, and is the one that it then computes."""

import random

import pytest
import torch

from engine.errors import BadData, ShapeMismatch, TooLarge
from engine.expressions.arguments import parameters_of
from engine.expressions.parsing import parse
from engine.expressions.reading import read_layer
from engine.expressions.rules import RULES
from engine.expressions.shapes import MAX_RANK, infer, sizes_of
from engine.expressions.table import FUNCTIONS

SHAPES = [(), (3,), (2, 3), (3, 2), (2, 2), (1, 3), (2, 1, 3), (2, 3, 4), (2, 4, 3), (2, 3, 3), (2, 3, 1, 4)]
#: What a parameter of each annotation may be in a text.
WORDS = {
    "Tensor": ("x[0]", "x[1]", "x[0] * 2", "x[-1]", "1."),
    "Operand": ("x[1]", "0.5", "x[2]"),
    "list[Tensor]": ("x", "[x[0], x[1]]", "[x[0]]", "[x[0], x[0], x[0]]", "[1, 2]"),
    "Axis": ("0", "1", "2", "-1", "-2", "3"),
    "Axes": ("None", "0", "1", "-1", "[0, 1]", "[1, -1]", "(2, 1)", "[0]"),
    "AxisOfEach": ("None", "1", "2", "-1", "[1, 1]", "[2, 1]", "(1, -1)", "[0, 0]", "[1, 2, 1]"),
    "Axis | None": ("None", "0", "1", "-1", "2"),
    "bool": ("True", "False"),
    "int": ("1", "2", "3"),
    "float": ("0.5",),
    "float | None": ("None", "0.5"),
    "Lengths": (
        "2",
        "(1, 2)",
        "(2, 1, 3)",
        "(-1, 3)",
        "(0, 1)",
        "(1, 0)",
        "(0, 2, 1)",
        "(-1, 2, 6)",
        "(6,)",
        "(2, 12)",
    ),
    "Dtype": ("'float32'", "'int32'", "'bool'"),
}


def read(source, many=True, **arguments):
    return read_layer(parse(source), source, arguments, many)


def inferred(source, *shapes, many=False):
    return infer(read(source, many), shapes if many else shapes[0], many)


def agree(source, shapes):
    """Compute with tensors and without; say whether it could be computed."""
    expression = read(source)
    try:
        computed = tuple(expression.of(tuple(torch.rand(shape) for shape in shapes)).shape)
    except BadData:
        computed = None
    if computed and 0 in computed:  # which a layer may not give
        computed = None
    try:
        told = sizes_of(expression, tuple(shapes))
    except ShapeMismatch:
        told = None
    assert told == computed, (source, shapes)
    return computed is not None


def test_every_function_of_k_has_a_rule():
    assert sorted(RULES) == list(FUNCTIONS)


@pytest.mark.parametrize("name", list(FUNCTIONS))
def test_the_rule_of_a_function_agrees_with_what_it_computes(name):
    rng = random.Random(name)
    computed = 0
    for _ in range(400):
        shape = rng.choice(SHAPES)
        others = [rng.choice((shape, shape, *SHAPES)) for _ in range(2)]
        words = [
            f"{each.name}={rng.choice(WORDS[str(each.annotation)])}"
            for each in parameters_of(name).values()
            if each.default is each.empty or rng.random() < 0.7
        ]
        computed += agree(f"lambda x: K.{name}({', '.join(words)})", (shape, *others))
    assert computed >= 20


@pytest.mark.parametrize("sign", ["+", "-", "*", "/", "//", "%", "**", "<", "=="])
def test_arithmetic_broadcasts_as_it_computes(sign):
    for left in SHAPES:
        for right in SHAPES:
            agree(f"lambda x: x[0] {sign} x[1]", (left, right))


@pytest.mark.parametrize(
    "subscript",
    [
        "0",
        "-1",
        "1",
        "5",
        ":",
        "1:",
        ":-1",
        "::2",
        ":, 0",
        "..., 0",
        "0, ...",
        "..., 0:2",
        ":, :, 1",
        "0, 0, 0, 0",
        "...",
    ],
)
def test_a_subscript_cuts_as_it_computes(subscript):
    for shape in SHAPES:
        agree(f"lambda x: x[0][{subscript}]", (shape, shape))


# -- axes of any length -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "shape", "wanted"),
    [
        ("lambda x: x", (None, 5), (None, 5)),
        ("lambda x: x ** 2 + 1", (32, 5), (32, 5)),
        ("lambda x: x[:, 1:]", (None, 5), (None, 4)),
        ("lambda x: x[:, 1:]", (None, None, 5), (None, None, 5)),
        ("lambda x: x[:, :10]", (None, None, 5), (None, None, 5)),
        ("lambda x: x[:, -1]", (None, None, 5), (None, 5)),
        ("lambda x: x[:, :1]", (None, None, 5), (None, 1, 5)),
        ("lambda x: x[:, 1:] - x[:, :-1]", (None, None, 5), (None, None, 5)),
        ("lambda x: K.mean(x, axis=1)", (None, None, 5), (None, 5)),
        ("lambda x: K.batch_dot(x, x, axes=2)", (None, None, 5), (None, None, None)),
        ("lambda x: K.batch_dot(x, K.permute_dimensions(x, (0, 2, 1)))", (None, 4, 5), (None, 4, 4)),
        ("lambda x: K.reshape(x, (-1, 10))", (None, 5, 2), (None, 10)),
        ("lambda x: K.batch_flatten(x)", (None, None, 5), (None, None)),
        ("lambda x: K.repeat(x, 3)", (None, 5), (None, 3, 5)),
        ("lambda x: K.concatenate([x, x], axis=1)", (None, None, 5), (None, None, 5)),
        ("def f(x):\n  y = K.square(x)\n  x = K.sum(y, axis=-1, keepdims=True)\n  return x / 2", (None, 5), (None, 1)),
    ],
)
def test_an_axis_of_any_length_stays_one_and_the_others_are_told(source, shape, wanted):
    assert inferred(source, shape) == wanted


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("lambda x: K.transpose(x)", r"column 11: this gives \(5, None\).*keeps the batch"),
        ("lambda x: K.sum(x)", r"this gives \(\).*keeps the batch"),
        ("lambda x: K.sum(x, axis=-1)", r"this gives \(None,\).*keepdims=True"),
        ("lambda x: x[:10]", r"this gives \(None, 5\).*keeps the batch"),
        ("lambda x: K.concatenate([x, x], axis=0)", "keeps the batch"),
        ("lambda x: K.reshape(x, (-1, 1))", "keeps the batch"),
        ("lambda x: 3", "keeps the batch"),
        ("lambda x: x + x[:, :2]", r"column 11: `\+` cannot take \(None, 5\) and \(None, 2\)"),
        ("lambda x: K.dot(x, x)", r"K.dot cannot take \(None, 5\) and \(None, 5\)"),
        ("lambda x: x[:, 5]", "there is no 5 on an axis of 5"),
        ("lambda x: x[:, 0, 0]", "it names 3 axes"),
        ("lambda x: x[:, 5:]", r"\(None, 0\): nothing is left"),
        ("def f(x):\n  y = K.squeeze(x, 1)\n  return x", r"Line 2, column 7: K.squeeze cannot take \(None, 5\)"),
        ("lambda x: " + "K.expand_dims(" * 9 + "x" + ")" * 9, f"{MAX_RANK} at most"),
    ],
)
def test_a_shape_that_does_not_fit_is_refused_with_line_column_and_shapes(source, says):
    with pytest.raises(ShapeMismatch, match=says):
        inferred(source, (None, 5))


@pytest.mark.parametrize(
    "source",
    [
        "lambda x: K.tile(x, (1, 1000000)) * 2",
        "lambda x: K.repeat(K.tile(x, (1, 1000)), 1000000)",
        "def f(x):\n" + "  x = K.concatenate([x, x, x, x])\n" * 40 + "  return x",
        "def f(x):\n" + "  x = K.expand_dims(K.flatten(x))\n  x = K.dot(x, K.transpose(x))\n" * 20 + "  return x",
    ],
)
def test_a_short_text_cannot_ask_for_all_memory_of_a_sample(source):
    with pytest.raises(TooLarge, match="more than 134,217,728 values"):
        inferred(source, (None, 500))


def test_a_list_of_shapes_is_told_apart_by_its_numbers():
    assert inferred("lambda x: x[0] - x[-1]", (None, 5), (None, 2), (None, 5), many=True) == (None, 5)
    assert inferred("lambda x: K.concatenate(x)", (None, 5), (None, 2), many=True) == (None, 7)
    with pytest.raises(ShapeMismatch, match=r"there is no x\[2\] among 2 tensors"):
        inferred("lambda x: x[2]", (None, 5), (None, 2), many=True)


def test_a_tensor_of_more_axes_than_a_layer_has_is_refused():
    with pytest.raises(ShapeMismatch, match="axes at most"):
        inferred("lambda x: x", (None,) * 10)


@pytest.mark.parametrize("batch", [1, 2, 7])
@pytest.mark.parametrize("steps", [1, 2, 12])
@pytest.mark.parametrize(
    "source",
    [
        "lambda x: K.concatenate([K.max(x, axis=1), K.min(x, axis=1)]) * K.mean(x, axis=[1, 2], keepdims=True)[:, 0]",
        "lambda x: x[:, :3] * x[:, :1]",
        "lambda x: x[:, -3:, ::2] + K.sum(x, axis=1, keepdims=True)[:, :, ::2]",
        "lambda x: K.batch_dot(x, x, axes=[2, 2])",
    ],
)
def test_what_is_told_of_any_length_is_computed_for_each(source, batch, steps):
    told = inferred(source, (None, None, 5))
    computed = read(source, many=False).of(torch.rand(batch, steps, 5)).shape
    assert all(a in (None, b) for a, b in zip(told, computed, strict=True))
