"""Functions of the caller's own program, sent as their text."""

import numpy as np
import pytest

from engine.compiled import Compile
from engine.errors import BadArgument
from engine.expressions.python import as_source
from engine.layers.core import Dense
from engine.layers.lambda_ import Lambda
from engine.layers.merge import Merge

SCALE, SHIFT = 2.5, np.float32(0.5)
K = None


class Backend:
    __stands_for__ = "K"


class Mean:
    __stands_for__ = "K.mean"


backend, mean = Backend(), Mean()


def source(function):
    return as_source(function)["source"]


def mean_pred(y_true, y_pred):
    """Что-то."""
    return K.mean(y_pred)  # 平均


def annotated(y_true: object, y_pred: object) -> object:
    half = y_pred / 2
    return half * SCALE


def test_a_lambda_is_cut_out_of_the_call_that_it_stands_in():
    merged = {
        "mode": lambda x: x[0] - x[1],
        "other": [1, 2],
    }
    assert source(merged["mode"]) == "lambda x: x[0] - x[1]"


def test_several_lambdas_on_a_line_are_told_apart():
    plus, minus, twice = (lambda x: x + 1), (lambda x: x - 1), (lambda x: x + x)
    assert [source(each) for each in (plus, minus, twice)] == ["lambda x: x + 1", "lambda x: x - 1", "lambda x: x + x"]


def test_a_lambda_within_a_lambda_is_the_inner_one():
    def outer():
        return lambda x: lambda y: y * 3

    assert source(outer()(1)) == "lambda y: y * 3"


def test_a_function_comes_with_its_name_and_without_what_only_people_read():
    assert as_source(mean_pred) == {
        "source": "def mean_pred(y_true, y_pred):\n    return K.mean(y_pred)",
        "name": "mean_pred",
    }


def test_numbers_from_outside_are_written_in_and_annotations_left_out():
    assert source(annotated) == "def annotated(y_true, y_pred):\n    half = y_pred / 2\n    return half * 2.5"
    margin = 3
    assert source(lambda x: x * SHIFT + margin) == "lambda x: x * 0.5 + 3"


def test_a_default_is_the_value_it_had_when_the_function_was_made():
    scaled = [lambda x, by=each: x * by for each in (1, 2)]
    assert [source(each) for each in scaled] == ["lambda x, by=1: x * by", "lambda x, by=2: x * by"]


def test_a_backend_of_any_name_is_k():
    assert source(lambda x: backend.sum(x)) == "lambda x: K.sum(x)"
    assert source(lambda x: mean(x)) == "lambda x: K.mean(x)"


def test_anything_else_from_outside_is_refused_by_its_name():
    table = {"a": 1}
    with pytest.raises(BadArgument, match="`table` comes from outside"):
        as_source(lambda x: x * table["a"])


def test_what_has_no_text_is_refused_with_what_to_do():
    with pytest.raises(BadArgument, match="no function with a text"):
        as_source(np.sum)
    typed = eval("lambda x: x + 1")
    with pytest.raises(BadArgument, match=r"cannot be found|could be"):
        as_source(typed)


def test_layers_and_compile_take_functions_as_they_are():
    branches = [Dense(3, input_dim=4), Dense(3, input_dim=5)]
    assert Merge(branches, mode=lambda x: x[0] - x[1]).get_config()["mode"] == {"source": "lambda x: x[0] - x[1]"}
    squared = Lambda(lambda x: x**2, output_shape=lambda s: (s[0], s[1]))
    assert squared.get_config()["function"] == {"source": "lambda x: x ** 2"}
    assert squared.get_config()["output_shape"] == {"source": "lambda s: (s[0], s[1])"}
    compiled = Compile("sgd", lambda t, p: K.mean(K.abs(t - p)), ["accuracy", mean_pred])
    assert compiled.metric_names() == ["loss", "acc", "mean_pred"]
    assert compiled.get_config()["loss"]["source"] == "lambda t, p: K.mean(K.abs(t - p))"


def test_the_old_name_of_an_argument_is_taken():
    branches = [Dense(3, input_dim=4), Dense(3, input_dim=5)]
    assert Merge(branches, mode="dot", dot_axis=1).dot_axes == 1


def test_numpy_s_numbers_are_numbers():
    made = Dense(np.int64(3), input_shape=(np.int64(4),), b_regularizer=None)
    assert (made.output_dim, made.input_shape) == (3, (4,))
    assert type(made.output_dim) is int
