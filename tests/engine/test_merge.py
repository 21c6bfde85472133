"""Merge: several models joined into one, and fed with several arrays."""

import json

import numpy as np
import pytest

from engine.definition import read_model
from engine.errors import BadArgument, BadFile, BadModel, ShapeMismatch
from tests.engine.yard import Notebook, plan_of, sequential, training

RNG = np.random.default_rng(9)
A, B, C = (RNG.normal(size=(6, 3)).astype("f4") for _ in range(3))


def passing(*shape, name=None, **config):
    """Make a branch that gives what it gets."""
    config = {"activation": "linear", "input_shape": list(shape), **config}
    return sequential(("Activation", config | ({"name": name} if name else {})))


def dense(width, inputs=3, **config):
    return sequential(("Dense", {"output_dim": width, "input_dim": inputs, **config}))


def merge_of(*branches, mode="sum", then=(), **config):
    return sequential(("Merge", {"layers": list(branches), "mode": mode, **config}), *then)


def model_of(*branches, **config):
    return read_model(merge_of(*branches, **config))[0]


def shape_of(*shapes, **config):
    return model_of(*(passing(*shape) for shape in shapes), **config).placed[-1].output_shape


def joined(*arrays, **config):
    model = merge_of(*(passing(*each.shape[1:]) for each in arrays), **config)
    data = {f"x{index}": each for index, each in enumerate(arrays)}
    return training(data, model=model, predict={"x": [f"d/{name}" for name in data]}).predict(Notebook())


def refused(error, *branches, says=None, **config):
    with pytest.raises(error, match=says) as refusal:
        model_of(*branches, **config)
    return refusal.value.where


# -- what it computes ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "wanted"),
    [
        ("sum", A + B + C),
        ("mul", A * B * C),
        ("ave", (A + B + C) / 3),
        ("max", np.maximum(np.maximum(A, B), C)),
        ("concat", np.concatenate([A, B, C], 1)),
        ("lambda x: x[0] - x[1] * x[-1]", A - B * C),
        ({"source": "lambda x: K.max(K.stack(x), axis=0)"}, np.maximum(np.maximum(A, B), C)),
    ],
)
def test_s21_s24_s27_three_branches_are_joined(mode, wanted):
    np.testing.assert_allclose(joined(A, B, C, mode=mode), wanted, rtol=1e-5, atol=1e-6)


def test_s21_a_merge_adds_unless_told():
    model = sequential(("Merge", {"layers": [passing(3), passing(3)]}))
    run = training({"a": A, "b": B}, model=model, predict={"x": ["d/a", "d/b"]})
    np.testing.assert_allclose(run.predict(Notebook()), A + B, rtol=1e-6)


def test_s22_concat_joins_along_an_axis():
    assert shape_of((2, 3), (5, 3), mode="concat", concat_axis=1) == (None, 7, 3)
    assert shape_of((2, 3), (2, 4), mode="concat") == (None, 2, 7)
    assert shape_of((None, 3), (None, 3), mode="concat", concat_axis=1) == (None, None, 3)


@pytest.mark.parametrize("key", ["dot_axes", "dot_axis"])
def test_s25_dot_multiplies_over_an_axis_under_both_its_names(key):
    assert shape_of((3,), (3,), mode="dot", **{key: -1}) == (None, 1)
    assert shape_of((2, 3), (5, 3), mode="dot", **{key: -1}) == (None, 2, 5)
    assert shape_of((3, 2), (3, 5), mode="dot", **{key: [1, 1]}) == (None, 2, 5)


def test_s25_dot_computes_the_product_of_each_sample():
    left, right = RNG.normal(size=(2, 4, 3, 2)).astype("f4")
    np.testing.assert_allclose(
        joined(left, right, mode="dot", dot_axes=[1, 1]), np.einsum("nki,nkj->nij", left, right), rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(joined(A, B, mode="dot"), (A * B).sum(1, keepdims=True), rtol=1e-4, atol=1e-6)


def test_s26_cos_is_one_for_equal_rows_and_nothing_for_orthogonal_or_empty_ones():
    left = np.array([[1, 2], [1, 0], [0, 0], [3, 0]], dtype="f4")
    right = np.array([[2, 4], [0, 5], [0, 0], [-1, 0]], dtype="f4")
    assert shape_of((2,), (2,), mode="cos") == (None, 1)
    np.testing.assert_allclose(joined(left, right, mode="cos"), [[1], [0], [0], [-1]], atol=1e-6)


def test_whole_numbers_and_floats_are_joined_as_floats():
    whole = np.arange(18).reshape(6, 3)
    for mode, wanted in (("sum", A + whole), ("dot", (A * whole).sum(1, keepdims=True)), ("max", np.maximum(A, whole))):
        model = merge_of(passing(3), passing(3, input_dtype="int32"), mode=mode)
        run = training({"a": A, "b": whole}, model=model, predict={"x": ["d/a", "d/b"]})
        np.testing.assert_allclose(run.predict(Notebook()), wanted, rtol=1e-4)


# -- training -----------------------------------------------------------------------------------


def trained(*branches, data=None, mode="sum", compile_=None, **fit):
    model = merge_of(*branches, mode=mode)
    data = data or {"a": A, "b": B, "y": np.ones((6, 2), dtype="f4")}
    return training(
        data,
        model=model,
        compile=compile_ or {"optimizer": {"class_name": "SGD", "config": {"lr": 0.1}}, "loss": "mse"},
        fit={"x": ["d/a", "d/b"], "y": "d/y", "nb_epoch": 1, "batch_size": 6, **fit},
        predict={"x": ["d/a", "d/b"]},
    )


def test_s30_a_difference_of_branches_is_trained_without_a_shape_and_survives_its_json_and_files(tmp_path):
    fresh, run = (trained(dense(2, name="a"), dense(2, name="b"), mode="lambda x: x[0] - x[1]") for _ in range(2))
    before = run.weights()
    ours = fresh.predict(Notebook())
    run.fit(Notebook())
    np.testing.assert_allclose(ours, A @ before["a/W"] - B @ before["b/W"], rtol=1e-4, atol=1e-5)
    assert all((before[key] != run.weights()[key]).any() for key in before)

    run.save_weights(tmp_path / "w.h5", "hdf5")
    again = training(
        {"a": A, "b": B},
        model=json.loads(json.dumps(run.plan.model.definition())),
        predict={"x": {"a_input": "d/a", "b_input": "d/b"}},
    )
    again.load_weights(tmp_path / "w.h5")
    assert (again.predict(Notebook()) == run.predict(Notebook())).all()


def test_s27_where_branches_are_equal_the_first_one_learns():
    ties = {"a": A, "b": A, "y": np.full((6, 2), 9, dtype="f4")}
    run = trained(dense(2, name="a"), dense(2, name="b"), data=ties, mode="max")
    run.take({"b/W": run.weights()["a/W"]})
    before = run.weights()
    run.fit(Notebook())
    assert (run.weights()["a/W"] != before["a/W"]).all()
    assert (run.weights()["b/W"] == before["b/W"]).all()


def test_s26_a_cosine_with_a_row_of_zeros_can_be_trained():
    data = {"a": np.zeros_like(A), "b": B, "y": np.ones((6, 1), dtype="f4")}
    run = trained(dense(2, bias=False), dense(2, bias=False), data=data, mode="cos")
    run.fit(Notebook())
    assert all(np.isfinite(each).all() for each in run.weights().values())


def test_a_frozen_branch_keeps_its_weights():
    frozen = dense(2, name="a") | {"name": "kept", "trainable": False}
    run = trained(frozen, dense(2, name="b"))
    before = run.weights()
    run.fit(Notebook())
    assert (run.weights()["a/W"] == before["a/W"]).all()
    assert (run.weights()["b/W"] != before["b/W"]).any()
    assert run.plan.model.summary()["layers"][0]["branches"][0]["name"] == "kept"
    assert read_model(run.plan.model.definition())[0] == run.plan.model


# -- branches -----------------------------------------------------------------------------------


def test_s20_two_branches_of_784_are_one_model():
    model = model_of(dense(32, 784), dense(32, 784), mode="concat", then=[("Dense", {"output_dim": 10})])
    told = model.summary()
    assert [each["shape"] for each in told["inputs"]] == [[None, 784], [None, 784]]
    assert told["layers"][0]["output_shape"] == [None, 64]
    assert told["outputs"][0]["shape"] == [None, 10]
    assert told["parameters"]["total"] == 50_890


def test_s32_inputs_of_nested_merges_come_depth_first():
    inner = merge_of(passing(3, name="a"), passing(3, name="b"), mode="lambda x: x[0] - x[1]")
    model = merge_of(inner, passing(3, name="c"), mode="concat")
    assert [each.name for each in read_model(model)[0].inputs()] == ["a_input", "b_input", "c_input"]
    run = training({"a": A, "b": B, "c": C}, model=model, predict={"x": ["d/a", "d/b", "d/c"]})
    np.testing.assert_allclose(run.predict(Notebook()), np.concatenate([A - B, C], 1), rtol=1e-6)


def test_s32_a_branch_that_stands_twice_has_one_input_and_one_set_of_weights():
    shared = dense(2, name="d") | {"name": "twin"}
    model = merge_of(shared, shared, mode="concat")
    read = read_model(model)[0]
    assert [each.name for each in read.inputs()] == ["d_input"]
    assert read.summary()["parameters"]["total"] == 8
    assert read.placed[0].parameters(True) == 8
    run = training({"a": A}, model=model, predict={"x": "d/a"})
    ours = run.predict(Notebook())
    assert (ours[:, :2] == ours[:, 2:]).all()


def test_siamese_branches_share_a_later_layer_by_its_name():
    def branch(name):
        shared = ("Dense", {"output_dim": 2, "name": "shared"})
        return sequential(("Activation", {"activation": "linear", "input_shape": [3], "name": name}), shared)

    fresh, run = (trained(branch("one"), branch("two"), mode="lambda x: x[0] - x[1]") for _ in range(2))
    assert list(run.weights()) == ["shared/W", "shared/b"]
    w = run.weights()["shared/W"]
    np.testing.assert_allclose(fresh.predict(Notebook()), (A - B) @ w, rtol=1e-4, atol=1e-5)
    run.fit(Notebook())
    slope = (A - B).T @ (2 * ((A - B) @ w - 1) / 12)
    np.testing.assert_allclose(run.weights()["shared/W"], w - 0.1 * slope, atol=1e-5)


def test_two_different_layers_of_one_name_are_refused():
    where = refused(BadModel, dense(2, name="d"), dense(3, name="d"), mode="concat", says="named 'd'")
    assert where.startswith("/config/0/config/layers/1")


def test_branches_that_are_layers_need_no_model_around_them():
    layers = [{"class_name": "Dense", "config": {"output_dim": 2, "input_dim": 3}}] * 2
    assert model_of(*layers, mode="concat").placed[-1].output_shape == (None, 4)


def test_weights_of_branches_are_loaded_by_name_and_into_one_branch(tmp_path):
    whole = trained(dense(2, name="a") | {"name": "left"}, dense(2, name="b"))
    single = training({"a": A}, seed=99, model=dense(2, name="other"), predict={"x": "d/a"})
    single.save_weights(tmp_path / "one.h5", "hdf5")
    whole.load_weights(tmp_path / "one.h5", into="left")
    assert (whole.weights()["a/W"] == single.weights()["other/W"]).all()

    named = training({"a": A}, seed=5, model=dense(2, name="b"), predict={"x": "d/a"})
    named.save_weights(tmp_path / "b.h5", "hdf5")
    whole.load_weights(tmp_path / "b.h5", by_name=True)
    assert (whole.weights()["b/W"] == named.weights()["b/W"]).all()
    assert (whole.weights()["a/W"] == single.weights()["other/W"]).all()
    with pytest.raises(BadFile, match="left"):
        whole.load_weights(tmp_path / "b.h5", into="nowhere")


def test_memory_counts_what_branches_hold():
    wide = plan_of({}, model=merge_of(dense(1000), dense(1000), mode="dot"), predict={"x": [[[1, 2, 3]], [[1, 2, 3]]]})
    assert wide.estimate["activations"] == 2_001


# -- its JSON -----------------------------------------------------------------------------------


def test_its_config_is_keras_1s():
    merge = model_of(passing(3), passing(3), name="m").layers[0]
    config = merge.get_config()
    del config["layers"]
    assert config == {
        "name": "m",
        "mode": "sum",
        "mode_type": "raw",
        "concat_axis": -1,
        "dot_axes": -1,
        "output_shape": None,
        "output_shape_type": "raw",
        "output_mask": None,
        "output_mask_type": "raw",
        "arguments": {},
    }


def test_s31_a_function_takes_arguments_a_shape_and_a_mask_and_is_written_as_it_reads():
    config = {
        "mode": {"source": "lambda x, k: x[0] - k * x[1]"},
        "arguments": {"k": 2},
        "output_shape": {"source": "lambda shapes: (shapes[0][0], (shapes[0][1] + shapes[1][1]) // 2)"},
        "output_mask": {"source": "lambda masks: masks[0]"},
        "node_indices": None,
        "tensor_indices": None,
    }
    model = model_of(passing(3), passing(3), **config)
    written = model.layers[0].get_config()
    assert {key: written[key] for key in config if key in written} == {
        key: each for key, each in config.items() if "indices" not in key
    }
    assert (written["mode_type"], written["output_mask_type"]) == ("source", "source")
    assert read_model(json.loads(json.dumps(model.definition())))[0] == model
    np.testing.assert_allclose(joined(A, B, **config), A - 2 * B, rtol=1e-5, atol=1e-6)


# -- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["sum", "mul", "ave", "max", "cos"])
def test_s21_unequal_shapes_are_refused_and_shapes_and_branches_named(mode):
    one, other = (dense(width) | {"name": name} for width, name in ((2, "left"), (4, "right")))
    says = r"\(None, 2\) from left and \(None, 4\) from right"
    assert refused(ShapeMismatch, one, other, mode=mode, says=says).startswith("/config/0")


@pytest.mark.parametrize(
    ("shapes", "config", "says"),
    [
        (
            ((2, 3), (2, 4)),
            {"mode": "concat", "concat_axis": 1},
            r"\(None, 2, 3\) from .*\(None, 2, 4\) from .* axis 1",
        ),
        (((2, 3), (3,)), {"mode": "concat"}, r"\(None, 2, 3\) from sequential_1 and \(None, 3\) from sequential_2"),
        (((3,), (4,)), {"mode": "dot"}, r"\(None, 3\) from sequential_1 and \(None, 4\) from sequential_2"),
        (((3,), (4,)), {"mode": "lambda x: x[0] - x[1]"}, r"`-` cannot take \(None, 3\) and \(None, 4\)"),
        (((3,), (3,)), {"mode": "lambda x: x[0]", "output_shape": [4]}, r"gives \(None, 4\), but .* gives \(None, 3\)"),
        (
            ((3,), (3,)),
            {"mode": "lambda x: x[0]", "output_shape": "lambda s: s[1] + s[1]"},
            r"gives \(None, 3, None, 3\)",
        ),
    ],
)
def test_s22_s25_s31_shapes_that_do_not_go_together_are_both_named(shapes, config, says):
    refused(ShapeMismatch, *(passing(*shape) for shape in shapes), says=says, **config)


@pytest.mark.parametrize(
    ("config", "where"),
    [
        ({"mode": "add"}, "mode"),
        ({"mode": 3}, "mode"),
        ({"mode": ["\u00e3", None, None], "mode_type": "lambda"}, "mode"),
        ({"mode": "my_mode", "mode_type": "function"}, "mode"),
        ({"mode": "lambda x: x"}, "mode"),
        ({"mode": "lambda x: x.data"}, "mode"),
        ({"mode": {"source": "lambda x: x[K]"}}, "mode/source"),
        ({"mode": {"source": "lambda x: x[0:1]"}}, "mode/source"),
        ({"mode": {"source": "lambda x: x[0, 1]"}}, "mode/source"),
        ({"mode": {"source": "lambda x: K.mean(x)"}}, "mode/source"),
        ({"mode": {"source": "lambda x, y: x[0] - y"}}, "mode/source"),
        ({"mode": "concat", "concat_axis": 0}, "concat_axis"),
        ({"mode": "concat", "concat_axis": 5}, "concat_axis"),
        ({"mode": "dot", "dot_axes": 0}, "dot_axes"),
        ({"mode": "dot", "dot_axes": [1, 1, 1]}, "dot_axes"),
        ({"mode": "dot", "dot_axes": 1, "dot_axis": 1}, "dot_axis"),
        ({"output_mask": 3}, "output_mask"),
        ({"output_mask": ["\u00e3", None, None]}, "output_mask"),
        ({"node_indices": [0, 0]}, "node_indices"),
        ({"arguments": {"k": "1"}}, "arguments/k"),
        ({"axis": 1}, "axis"),
    ],
)
def test_s29_an_argument_that_is_not_of_its_kind_is_refused_and_pointed_at(config, where):
    assert refused(BadArgument, passing(3), passing(3), **config) == f"/config/0/config/{where}"


def test_s18_s25_the_number_of_branches_is_checked():
    assert refused(BadModel, passing(3), says="two layers or more") == "/config/0/config/layers"
    assert refused(BadModel, *[passing(3)] * 3, mode="dot", says="joins two") == "/config/0/config/layers"


def test_s18_a_branch_declares_its_shape_and_a_merge_begins_its_model():
    bare = sequential(("Dense", {"output_dim": 2}))
    assert refused(BadModel, passing(3), bare, says="input_shape").startswith("/config/0/config/layers/1")
    late = sequential(("Dense", {"output_dim": 2, "input_dim": 3}), ("Merge", {"layers": [passing(3), passing(3)]}))
    with pytest.raises(BadModel, match="A Merge begins a model") as refusal:
        read_model(late)
    assert refusal.value.where == "/config/1/class_name"
