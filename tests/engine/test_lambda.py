"""Lambda: a stranger's function as a layer."""

import json

import numpy as np
import pytest

from engine.definition import read_model
from engine.errors import BadArgument, BadData, BadModel, DefinitionError, ShapeMismatch, TooLarge
from engine.expressions.shape_functions import ShapeFunction
from engine.limits import Limits
from tests.engine.yard import Notebook, sequential, training

X = np.random.default_rng(5).normal(size=(6, 4)).astype("f4")
SQUARE = {"source": "lambda x: x ** 2"}


def lambda_of(function, *after, input_shape=(4,), **config):
    return sequential(("Lambda", {"function": function, "input_shape": list(input_shape), **config}), *after)


def layer_of(function, **config):
    return read_model(lambda_of(function, **config))[0].layers[0]


def shape_of(function, **config):
    return read_model(lambda_of(function, **config))[0].placed[-1].output_shape


def predicted(x, function, **config):
    model = lambda_of(function, input_shape=x.shape[1:], **config)
    return training({"x": x}, model=model, predict={"x": "d/x"}).predict(Notebook())


def refused(error, function, **config):
    with pytest.raises(error) as refusal:
        read_model(lambda_of(function, **config))
    return refusal.value


# -- what it computes ---------------------------------------------------------------------------


@pytest.mark.parametrize("function", [SQUARE, SQUARE["source"], {"name": "square", **SQUARE}])
def test_a_function_is_given_as_an_object_or_as_its_bare_text(function):
    np.testing.assert_allclose(predicted(X, function), X**2, rtol=1e-6)


def test_its_shape_follows_from_the_function():
    assert shape_of("lambda x: K.concatenate([x, -x])") == (None, 8)
    assert shape_of("lambda x: K.mean(x, axis=1)", input_shape=(None, 3)) == (None, 3)
    assert shape_of("lambda x: x[:, :, 1:]", batch_input_shape=[8, None, 3]) == (8, None, 2)


def test_the_other_parameters_take_arguments_and_defaults():
    function = "def scaled(x, by, plus=1, axis=-1):\n    return K.sum(x * by + plus, axis=axis, keepdims=True)"
    ours = predicted(X, function, arguments={"by": 2.5, "plus": 3})
    np.testing.assert_allclose(ours, (X * 2.5 + 3).sum(1, keepdims=True), rtol=1e-5)


def test_whole_numbers_that_come_in_are_computed_with_as_floats():
    model = lambda_of("lambda x: x * 0.5", input_shape=(2,), input_dtype="int32")
    run = training({"x": np.array([[1, 2], [3, 4]])}, model=model, predict={"x": "d/x"})
    np.testing.assert_allclose(run.predict(Notebook()), [[0.5, 1.0], [1.5, 2.0]])


def test_gradients_pass_through_it():
    model = sequential(("Dense", {"output_dim": 3, "input_dim": 4, "name": "d"}), ("Lambda", {"function": SQUARE}))
    data = {"x": X, "y": np.ones((6, 3), dtype="f4")}
    run = training(
        data,
        model=model,
        compile={"optimizer": {"class_name": "SGD", "config": {"lr": 0.1}}, "loss": "mse"},
        fit={"x": "d/x", "y": "d/y", "nb_epoch": 1, "batch_size": 6},
    )
    before = run.weights()["d/W"]
    run.fit(Notebook())
    p = X @ before
    slope = X.T @ (2 * (p**2 - 1) * 2 * p / p.size)
    np.testing.assert_allclose(run.weights()["d/W"], before - 0.1 * slope, atol=1e-5)


# -- the shape that is declared -----------------------------------------------------------------


@pytest.mark.parametrize(
    "declared",
    [[8], [None], {"source": "lambda s: (s[0], 2 * s[1])"}, "def shape(s):\n  n = s[1]\n  return (s[0], n + n)"],
)
def test_a_declared_shape_that_is_right_changes_nothing(declared):
    assert shape_of("lambda x: K.concatenate([x, x])", output_shape=declared) == (None, 8)


@pytest.mark.parametrize(
    ("declared", "says"),
    [
        ([4], r"gives \(None, 4\), but its function gives \(None, 8\)"),
        ([None, 8], r"gives \(None, None, 8\)"),
        ("lambda s: s", r"gives \(None, 4\), but its function gives \(None, 8\)"),
        ({"source": "lambda s: (s[0],) + s[1:] + s[1:]"}, r"gives \(None, 4, 4\)"),
    ],
)
def test_s31_a_declared_shape_that_is_wrong_is_refused_and_both_are_named(declared, says):
    error = refused(ShapeMismatch, "lambda x: K.concatenate([x, x])", output_shape=declared)
    assert error.where == "/config/0/config/output_shape"
    with pytest.raises(ShapeMismatch, match=says):
        raise error


def test_a_length_is_not_declared_for_an_axis_of_any_length():
    assert shape_of("lambda x: x", input_shape=(None, 3), output_shape=[None, 3]) == (None, None, 3)
    refused(ShapeMismatch, "lambda x: x", input_shape=(None, 3), output_shape=[7, 3])


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("s", (None, 4, None)),
        ("(s[0], s[-2] // 3 - -1, s[2])", (None, 2, None)),
        ("(s[0],) + s[1:2] + (s[2] * 2,)", (None, 4, None)),
        ("[s[0], +s[1], None]", (None, 4, None)),
    ],
)
def test_a_function_of_shapes_counts_with_lengths(value, wanted):
    assert ShapeFunction.read(f"lambda s: {value}").of((None, 4, None)) == wanted


# -- its JSON -----------------------------------------------------------------------------------


def test_its_config_has_keras_1s_keys_in_keras_1s_order():
    config = layer_of(SQUARE["source"], output_shape="lambda s: s", name="sq").get_config()
    assert list(config)[-5:] == ["function", "function_type", "output_shape", "output_shape_type", "arguments"]
    assert config["function"] == SQUARE
    assert config["function_type"] == config["output_shape_type"] == "source"
    assert config["output_shape"] == {"source": "lambda s: s"}
    assert config["arguments"] == {}


def test_it_is_written_as_it_reads():
    model, _ = read_model(
        lambda_of({"name": "f", "source": "lambda x, k=1: x * k"}, output_shape=[4], arguments={"k": 3})
    )
    config = model.layers[0].get_config()
    assert config["function"] == {"name": "f", "source": "lambda x, k=1: x * k"}
    assert (config["output_shape"], config["output_shape_type"], config["arguments"]) == ([4], "raw", {"k": 3})
    again, _ = read_model(json.loads(json.dumps(model.definition())))
    assert again == model


# -- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "says", "where"),
    [
        (["\u00e3\u0001", None, None], "bytecode of one version of Python", "function"),
        ("square", "cannot be found by a name, such as 'square'", "function"),
        (3, "a function of a tensor", "function"),
        ({"source": "lambda x: x", "code": 1}, "a function of a tensor", "function"),
        ({"source": "lambda x: x", "name": "a/b"}, "`name` must be", "function/name"),
        ({"source": 3}, "must be a text", "function/source"),
        ({"source": "lambda x: exec('1')"}, "Line 1, column 11: Only K's functions", "function/source"),
        ("lambda x: x.data", "Line 1, column 11: An attribute", "function"),
        ("lambda x: {'a': x}", "one tensor, not a dict", "function"),
        ("lambda: 1", "takes its input", "function"),
        ("lambda x=1: x", "takes its input", "function"),
        ("lambda *x: x", "takes its input", "function"),
        ("lambda x, k: x * k", "`k` has no value", "function"),
        ("lambda x, mask: x", "`mask` has no value", "function"),
        ("lambda x, k=x: x", "no value named 'x'", "function"),
        ("lambda x, k=K.mean(2.): x", "default must be a number", "function"),
        ("lambda x: x[0][0", "not Python", "function"),
        ("lambda x: K.dot(x, x)", r"K.dot cannot take \(None, 4\) and \(None, 4\)", "function"),
        ({"source": "lambda x: x[:, 4]"}, "no 4 on an axis of 4", "function/source"),
    ],
)
def test_a_function_that_cannot_be_taken_is_refused_and_pointed_at(function, says, where):
    error = refused(DefinitionError, function)
    assert error.where == f"/config/0/config/{where}"
    with pytest.raises(DefinitionError, match=says):
        raise error


@pytest.mark.parametrize(
    ("key", "value", "where"),
    [
        ("output_shape", ["\u00e3", None, None], "output_shape"),
        ("output_shape", "same", "output_shape"),
        ("output_shape", [0], "output_shape"),
        ("output_shape", 4, "output_shape"),
        ("output_shape", "lambda s: s[9]", "output_shape"),
        ("output_shape", {"source": "lambda s, t: s"}, "output_shape/source"),
        ("arguments", {"k": 1}, "function"),
        ("arguments", {"x": 1}, "function"),
        ("arguments", {"k": "1"}, "arguments/k"),
        ("arguments", {"k": True}, "arguments/k"),
        ("arguments", {"k": [1]}, "arguments/k"),
        ("arguments", {"k": 1e31}, "arguments/k"),
        ("arguments", {"k": 10**400}, "arguments/k"),
        ("arguments", {"k": float("nan")}, "arguments/k"),
        ("arguments", [1], "arguments"),
        ("function", None, "function"),
    ],
)
def test_an_argument_that_is_not_of_its_kind_is_refused_and_pointed_at(key, value, where):
    config = {"function": "lambda x: x", key: value}
    assert refused(BadArgument, **config).where == f"/config/0/config/{where}"


def test_it_refuses_a_mask_as_layers_do_that_do_not_know_masks():
    with pytest.raises(BadModel, match="does not support masking"):
        read_model(sequential(("Masking", {"input_shape": [3, 2]}), ("Lambda", {"function": "lambda x: x"})))


def test_a_model_holds_only_so_much_text():
    long = {"source": "lambda x: x  #" + "x" * 900}
    model = sequential(*[("Lambda", {"function": long, "input_shape": [2]})] * 5)
    read_model(model, Limits(max_function_characters=5_000))
    with pytest.raises(TooLarge, match="4,000 characters") as refusal:
        read_model(model, Limits(max_function_characters=4_000))
    assert refusal.value.where == "/config/4/config"


def test_what_only_the_data_shows_is_pointed_at_in_the_model():
    model = sequential(
        ("Activation", {"activation": "linear", "input_shape": [None, 2]}),
        ("Lambda", {"function": "lambda x: x[:, 3]"}),
    )
    run = training({"x": np.ones((4, 3, 2), dtype="f4")}, model=model, predict={"x": "d/x"})
    with pytest.raises(BadData, match="line 1, column 11") as failure:
        run.predict(Notebook())
    assert failure.value.where == "/model/config/1/config/function/source"
