"""Sequential: first shapes, names, shapes that meet, sizes; rows S01–S17 of the seed."""

import numpy as np
import pytest

from engine.definition import read_model
from engine.errors import BadArgument, BadModel, EngineError, ShapeMismatch, TooLarge, UnknownName
from engine.limits import Limits
from tests.engine.yard import Notebook, sequential, training

INIT, TARGET = "/config/0/config/init", "/config/0/config/target_shape"


def model_of(*layers):
    return read_model(sequential(*layers))[0]


def predictions(x, *layers, weights=None):
    run = training({"x": x}, model=sequential(*layers), predict={"x": "d/x"})
    if weights is not None:
        run.take(weights)
    return run.predict(Notebook())


SOFTMAX_MLP = (
    ("Dense", {"output_dim": 32, "input_dim": 784}),
    ("Activation", {"activation": "relu"}),
    ("Dense", {"output_dim": 10}),
    ("Activation", {"activation": "softmax"}),
)


def test_s01_layers_run_in_order():
    x = np.array([[1.0, 2.0]], dtype=np.float32)
    weights = {
        "dense_1/W": np.eye(2, dtype=np.float32) * 3,
        "dense_1/b": np.zeros(2, dtype=np.float32),
        "dense_2/W": np.ones((2, 1), dtype=np.float32),
        "dense_2/b": np.full(1, -1.0, dtype=np.float32),
    }
    out = predictions(x, ("Dense", {"output_dim": 2, "input_dim": 2}), ("Dense", {"output_dim": 1}), weights=weights)
    assert out.tolist() == [[8.0]]


def test_s02_s07_the_seeds_first_model_has_its_shapes_parameters_and_probabilities():
    summary = model_of(*SOFTMAX_MLP).summary()

    assert summary["inputs"] == [{"name": "dense_1_input", "shape": [None, 784], "dtype": "float32"}]
    assert [row["output_shape"] for row in summary["layers"]] == [[None, 32], [None, 32], [None, 10], [None, 10]]
    assert summary["parameters"] == {"trainable": 25450, "frozen": 0, "total": 25450}
    out = predictions(np.random.default_rng(0).random((5, 784), dtype=np.float32), *SOFTMAX_MLP)
    assert (out >= 0).all()
    np.testing.assert_allclose(out.sum(1), 1.0, rtol=1e-6)


def test_s05_an_activation_layer_equals_the_argument():
    x = np.random.default_rng(0).random((4, 6), dtype=np.float32)
    apart = predictions(x, ("Dense", {"output_dim": 3, "input_dim": 6}), ("Activation", {"activation": "tanh"}))
    inside = predictions(x, ("Dense", {"output_dim": 3, "input_dim": 6, "activation": "tanh"}))
    assert (apart == inside).all()


def test_s06_a_first_layer_without_shape_is_refused():
    with pytest.raises(BadModel, match=r"input_shape.*batch_input_shape") as refusal:
        model_of(("Dense", {"output_dim": 3}))
    assert refusal.value.where == "/config/0/config"


def test_s08_s12_s13_s15_three_ways_to_give_a_shape_are_one():
    written = [
        model_of(("Dense", {"output_dim": 32, **shape})).definition()
        for shape in ({"input_shape": [784]}, {"batch_input_shape": [None, 784]}, {"input_dim": 784})
    ]
    assert written[0] == written[1] == written[2]
    config = written[0]["config"][0]["config"]
    assert config["batch_input_shape"] == [None, 784]
    assert config["input_dim"] == 784
    assert model_of(("Dense", {"output_dim": 32, "input_dim": 784})).summary()["parameters"]["total"] == 25120


def test_a_batch_input_shape_wins_over_input_dim_which_wins_over_input_shape():
    both = {"output_dim": 2, "batch_input_shape": [None, 3], "input_dim": 4, "input_shape": [5]}
    assert model_of(("Dense", both)).inputs()[0].shape == (None, 3)
    assert model_of(("Dense", {"output_dim": 2, "input_dim": 4, "input_shape": [5]})).inputs()[0].shape == (None, 4)


def test_s09_an_axis_may_have_any_length_until_a_layer_must_know_it():
    dense = ("Dense", {"output_dim": 3, "input_shape": [None, 4]})
    for length in (2, 5):
        assert predictions(np.ones((1, length, 4), dtype=np.float32), dense).shape == (1, length, 3)
    with pytest.raises(ShapeMismatch, match="must know every axis") as refusal:
        model_of(dense, ("Flatten", {}))
    assert refusal.value.where == "/config/1"
    with pytest.raises(ShapeMismatch, match="needs to know axis -1"):
        model_of(("Dense", {"output_dim": 3, "input_shape": [None]}))


def test_s10_a_fixed_batch_takes_batches_of_that_size_only():
    model = sequential(("Dense", {"output_dim": 1, "batch_input_shape": [16, 10]}))
    data = {"x": np.ones((20, 10), dtype=np.float32)}
    with pytest.raises(ShapeMismatch, match="exactly 16") as refusal:
        training(data, model=model, predict={"x": "d/x", "batch_size": 16})
    assert refusal.value.where == "/predict/batch_size"
    data = {"x": np.ones((32, 10), dtype=np.float32)}
    with pytest.raises(ShapeMismatch, match="exactly 16"):
        training(data, model=model, predict={"x": "d/x", "batch_size": 32})
    assert training(data, model=model, predict={"x": "d/x", "batch_size": 16}).predict(Notebook()).shape == (32, 1)


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_s16_a_free_batch_axis_takes_any_number_of_rows(rows):
    assert predictions(np.ones((rows, 784), dtype=np.float32), *SOFTMAX_MLP).shape == (rows, 10)


def test_s66_prediction_does_not_drop():
    x = np.ones((3, 4), dtype=np.float32)
    dropped = predictions(x, ("Dropout", {"p": 0.5, "input_shape": [4]}))
    assert (dropped == x).all()


def test_layers_are_named_as_keras_1_names_them_and_given_names_are_kept():
    model = model_of(
        ("Dense", {"output_dim": 2, "input_dim": 2}),
        ("Dense", {"output_dim": 2, "name": "dense_2"}),
        ("Dense", {"output_dim": 2}),
    )
    assert [each.name for each in model.layers] == ["dense_1", "dense_2", "dense_3"]


def test_a_layer_written_twice_the_same_shares_its_weights():
    shared = {"output_dim": 2, "name": "shared"}
    model = model_of(("Dense", {"output_dim": 2, "input_dim": 2}), ("Dense", shared), ("Dense", shared))
    assert model.summary()["parameters"]["total"] == 12


def test_one_name_for_two_different_layers_is_refused():
    with pytest.raises(BadModel, match="Two different layers") as refusal:
        model_of(("Dense", {"output_dim": 2, "input_dim": 2, "name": "a"}), ("Dense", {"output_dim": 3, "name": "a"}))
    assert refusal.value.where == "/config/1/config/name"


def test_a_later_layers_own_shape_is_corrected_and_said():
    model, notes = read_model(
        sequential(("Dense", {"output_dim": 2, "input_dim": 2}), ("Dense", {"output_dim": 2, "input_dim": 99}))
    )
    assert model.definition()["config"][1]["config"]["input_dim"] == 2
    assert notes[0]["pointer"] == "/config/1/config"


def test_a_nested_sequential_takes_its_shape_from_where_it_stands():
    inner = {"class_name": "Sequential", "config": [{"class_name": "Dense", "config": {"output_dim": 3}}]}
    outer = sequential(("Dense", {"output_dim": 5, "input_dim": 4}))
    outer["config"].append(inner)
    model, _ = read_model(outer)
    assert [weight.name for weight in model.all_weights][2:] == ["sequential_1/dense_2/W", "sequential_1/dense_2/b"]
    assert model.summary()["layers"][1]["layers"][0]["output_shape"] == [None, 3]


def test_a_nested_sequential_that_wants_another_shape_is_refused():
    outer = sequential(("Dense", {"output_dim": 5, "input_dim": 4}))
    outer["config"].append(sequential(("Dense", {"output_dim": 3, "input_dim": 9})))
    with pytest.raises(ShapeMismatch, match=r"\(None, 9\).*\(None, 5\)"):
        read_model(outer)


@pytest.mark.parametrize(
    ("layer", "error", "where", "says"),
    [
        (("Densee", {"output_dim": 3, "input_dim": 3}), UnknownName, "/config/0/class_name", "Did you mean 'Dense'"),
        (("Dense", {"input_dim": 3}), BadArgument, "/config/0/config/output_dim", "needs `output_dim`"),
        (("Dense", {"output_dim": 0, "input_dim": 3}), BadArgument, "/config/0/config/output_dim", "1 or more"),
        (("Dense", {"output_dim": 2.5, "input_dim": 3}), BadArgument, "/config/0/config/output_dim", "1 or more"),
        (("Dense", {"output_dim": "3", "input_dim": 3}), BadArgument, "/config/0/config/output_dim", "1 or more"),
        (("Dense", {"output_dim": True, "input_dim": 3}), BadArgument, "/config/0/config/output_dim", "1 or more"),
        (("Dense", {"output_dim": 3, "units": 3}), BadArgument, "/config/0/config/units", "mean the same"),
        (("Dense", {"output_dim": 3, "activation": []}), BadArgument, "/config/0/config/activation", "an activation"),
        (("Dense", {"output_dim": 3, "bias": "no"}), BadArgument, "/config/0/config/bias", "true or false"),
        (("Dense", {"output_dim": 3, "input_shape": "abc"}), BadArgument, "/config/0/config/input_shape", "list"),
        (("Dense", {"output_dim": 3, "input_shape": [-4]}), BadArgument, "/config/0/config/input_shape", "-4"),
        (("Dense", {"output_dim": 3, "name": "a/b"}), BadArgument, "/config/0/config/name", "without '/'"),
        (("Dense", {"output_dim": 3, "call": 1}), BadArgument, "/config/0/config/call", "no argument"),
        (("Dense", {"output_dim": 2, "input_dim": 3, "init": "identity"}), BadArgument, INIT, "square"),
        (("Dropout", {"p": 1.5, "input_shape": [3]}), BadArgument, "/config/0/config/p", "from 0 to 1"),
        (("Dropout", {"p": float("nan"), "input_shape": [3]}), BadArgument, "/config/0/config/p", "from 0 to 1"),
        (("Flatten", {"input_shape": [3]}), ShapeMismatch, "/config/0", "flat already"),
        (("Reshape", {"target_shape": [2], "input_shape": [3]}), ShapeMismatch, "/config/0", "cannot turn"),
        (("Reshape", {"target_shape": [-1, -1], "input_shape": [4]}), BadArgument, TARGET, "-1"),
        (("Activation", {"activation": "softmax", "input_shape": [2, 2, 2]}), ShapeMismatch, "/config/0", "softmax"),
    ],
)  # fmt: skip
def test_s130_a_bad_layer_is_refused_and_pointed_at(layer, error, where, says):
    with pytest.raises(error, match=says) as refusal:
        model_of(layer)
    assert refusal.value.where == where


@pytest.mark.parametrize(
    "regularizer", [{"name": "l3"}, {"l1": 0.1}, 5, {"name": "l2", "l": -1}, {"name": "l2", "strength": 1}]
)
def test_a_bad_regularizer_is_refused(regularizer):
    with pytest.raises(EngineError) as refusal:
        model_of(("Dense", {"output_dim": 3, "input_dim": 3, "W_regularizer": regularizer}))
    assert refusal.value.where.startswith("/config/0/config/W_regularizer")


def test_regularizers_and_constraints_may_be_written_short():
    config = {
        "output_dim": 3,
        "input_dim": 3,
        "W_regularizer": "l2",
        "b_regularizer": {"name": "l1", "l": 0.5},
        "W_constraint": "maxnorm",
    }
    written = model_of(("Dense", config)).definition()["config"][0]["config"]
    assert written["W_regularizer"] == {"name": "L1L2Regularizer", "l1": 0.0, "l2": 0.01}
    assert written["b_regularizer"] == {"name": "L1L2Regularizer", "l1": 0.5, "l2": 0.0}
    assert written["W_constraint"] == {"name": "MaxNorm", "m": 2.0, "axis": 0}


def test_a_constraint_on_an_axis_that_is_not_there_is_refused():
    with pytest.raises(BadArgument, match="axis 4") as refusal:
        model_of(("Dense", {"output_dim": 3, "input_dim": 3, "W_constraint": {"name": "MaxNorm", "axis": 4}}))
    assert refusal.value.where == "/config/0/config/W_constraint"


@pytest.mark.parametrize("value", [None, [], "x", 3, {}, {"class_name": 3}, {"class_name": "Dense", "config": {}}])
def test_what_is_no_model_is_refused(value):
    with pytest.raises(BadModel):
        read_model(value)


def test_an_empty_model_is_refused():
    with pytest.raises(BadModel, match="at least one layer"):
        read_model({"class_name": "Sequential", "config": []})


def test_too_many_parameters_are_counted_not_allocated():
    with pytest.raises(TooLarge, match="parameters") as refusal:
        model_of(("Dense", {"output_dim": 10**12, "input_dim": 784}))
    assert refusal.value.where == "/config/0"


def test_too_many_layers_and_too_deep_a_nest_are_refused():
    with pytest.raises(TooLarge, match="layers"):
        model_of(*[("Dense", {"output_dim": 1, "input_dim": 1})] * 10_000)
    nest = sequential(("Dense", {"output_dim": 1, "input_dim": 1}))
    for _ in range(30):
        nest = {"class_name": "Sequential", "config": [nest]}
    with pytest.raises(TooLarge, match="nested"):
        read_model(nest, Limits(max_depth=20))
