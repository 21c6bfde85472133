"""Which Keras a definition is of, and what follows from it where versions differ."""

from typing import Any

import pytest

from engine.definition import read_model
from engine.dialects.speech import spoken
from engine.errors import BadArgument
from tests.engine.yard import sequential
from tests.interop.attacks import functional, layer, model, plain
from tests.interop.cases import FOLDERS, Recorded, named


@pytest.mark.parametrize("folder", FOLDERS, ids=named)
def test_a_definition_tells_its_version_even_where_it_does_not_name_it(folder):
    definition = Recorded(folder).model
    version = int(folder.parent.name[-1])

    assert spoken(definition).version == version
    definition.pop("keras_version", None)
    assert spoken(definition).version == version


@pytest.mark.parametrize(
    ("definition", "version"),
    [
        (sequential(("Dense", {"output_dim": 2, "input_dim": 3})), 1),
        (sequential(("ZeroPadding2D", {"padding": [1, 1], "input_shape": [3, 3, 1]})), 1),
        (sequential(("Dense", {"units": 2, "input_dim": 3})), 2),
        ({**sequential(("Dense", {"units": 2})), "keras_version": "1.2.2"}, 1),
        ({**sequential(("Dense", {"units": 2})), "keras_version": "3.9.0"}, 3),
        (model(layer("Dense", units=2)), 3),
    ],
)
def test_words_tell_a_version(definition, version):
    assert spoken(definition).version == version


def settled(version: str, name: str, **config: Any) -> dict[str, Any]:
    """Read one layer of a version of Keras; return its config in the Keras 1 form."""
    row = sequential((name, {"batch_input_shape": [None, 4, 3], **config}))
    return read_model({**row, "keras_version": version})[0].layers[0].get_config()


@pytest.mark.parametrize(
    ("version", "inside", "resets_after"),
    [
        ("2.1.6", "hard_sigmoid", False),
        ("2.3.1", "sigmoid", False),
        ("2.2.4-tf", "sigmoid", True),
        ("3.9.0", "sigmoid", True),
    ],
)
def test_a_gru_that_says_nothing_has_its_versions_defaults(version, inside, resets_after):
    config = settled(version, "GRU", units=2)

    assert config["inner_activation"] == inside
    assert config.get("reset_after", False) is resets_after
    assert config["inner_init"] == {"name": "Orthogonal", "gain": 1.0}


@pytest.mark.parametrize(("version", "name"), [("2.3.1", "hard_sigmoid"), ("3.9.0", "keras3_hard_sigmoid")])
def test_hard_sigmoid_is_its_versions(version, name):
    assert settled(version, "Dense", units=2, activation="hard_sigmoid")["activation"] == name


@pytest.mark.parametrize(
    ("version", "name"),
    [("2.3.1", "L1L2Regularizer"), ("2.15.0", "MeanActivityRegularizer"), ("3.9.0", "MeanActivityRegularizer")],
)
def test_a_penalty_on_an_output_is_its_versions(version, name):
    penalty = settled(version, "Dense", units=2, activity_regularizer="l2", kernel_regularizer="l1")

    assert penalty["activity_regularizer"] == {"name": name, "l1": 0.0, "l2": 0.01}
    assert penalty["W_regularizer"] == {"name": "L1L2Regularizer", "l1": 0.01, "l2": 0.0}


@pytest.mark.parametrize(("version", "kept"), [("1.2.2", None), ("2.3.1", 2), ("3.9.0", 3)])
def test_a_batch_normalization_keeps_its_averages_as_its_version_does(version, kept):
    assert settled(version, "BatchNormalization").get("version") == kept


@pytest.mark.parametrize(
    ("config", "border"),
    [
        ({"kernel_size": 3, "padding": "same"}, "same"),
        ({"kernel_size": 2, "padding": "same"}, "same_tf"),
        ({"kernel_size": 3, "padding": "same", "strides": 2}, "same_tf"),
        ({"kernel_size": [4], "padding": "same", "dilation_rate": 2}, "same"),
        ({"kernel_size": 2, "padding": "causal"}, "causal"),
        ({"kernel_size": 2}, "valid"),
    ],
)
def test_same_is_keras_1s_only_where_both_pad_alike(config, border):
    assert settled("2.3.1", "Conv1D", filters=2, **config)["border_mode"] == border


@pytest.mark.parametrize(
    ("given", "init"),
    [
        ("glorot_uniform", "glorot_uniform"),
        ({"class_name": "GlorotUniform", "config": {"seed": 3}}, "glorot_uniform"),
        ({"class_name": "VarianceScaling", "config": {"scale": 2.0, "distribution": "uniform"}}, "he_uniform"),
        ({"class_name": "RandomUniform", "config": {"minval": -0.05, "maxval": 0.05}}, "uniform"),
        (
            {"class_name": "RandomNormal", "config": {"stddev": 0.1}},
            {"name": "RandomNormal", "mean": 0.0, "stddev": 0.1},
        ),
        ({"class_name": "Constant", "config": {"value": 0.5}}, {"name": "Constant", "value": 0.5}),
        ({"class_name": "Orthogonal", "config": {"gain": 1.1}}, "orthogonal"),
        ("ones", "one"),
        (
            "he_normal",
            {"name": "VarianceScaling", "scale": 2.0, "mode": "fan_in", "distribution": "truncated_normal"},
        ),
    ],
)
def test_an_initialiser_has_keras_1s_name_where_it_means_the_same(given, init):
    assert settled("2.3.1", "Dense", units=2, kernel_initializer=given)["init"] == init


def test_an_even_spread_of_a_kernel_over_steps_is_not_keras_1s():
    init = settled("3.9.0", "Conv1D", filters=2, kernel_size=2, kernel_initializer="glorot_uniform")["init"]
    assert init == {"name": "VarianceScaling", "scale": 1.0, "mode": "fan_avg", "distribution": "uniform"}


def test_a_dense_passes_a_mask_on_where_there_is_one():
    rows = layer("Reshape", target_shape=[2, 2]), layer("Masking"), layer("Dense", units=2)
    masked, _ = read_model(model(rows[0], rows[1], rows[2], layer("LSTM", units=2), layer("Dense", units=1)))

    assert [each.passes_mask for each in masked.layers if type(each).__name__ == "Dense"] == [True, False]


def test_a_functional_model_of_keras_1_is_read_too():
    entry = ("x", plain("x", "InputLayer", batch_input_shape=[None, 4], input_dtype="float32", sparse=False), [])
    layers = [
        entry,
        ("a", plain("a", output_dim=3), ["x"]),
        ("b", plain("b", output_dim=2), ["x"]),
        ("both", plain("both", "Merge", mode="concat", mode_type="raw", concat_axis=-1), ["a", "b"]),
        ("out", plain("out", output_dim=1), ["both"]),
    ]
    read, notes = read_model({**functional(layers, "out"), "class_name": "Model", "keras_version": "1.2.2"})

    assert [each.name for each in read.inputs()] == ["x_input"]
    assert read.placed[0].output_shape == (None, 5)
    assert any(note["detail"].endswith("in this order: x.") for note in notes)


def test_a_model_that_was_built_for_a_shape_declares_it():
    definition = {"class_name": "Sequential", "keras_version": "2.15.0"}
    definition["config"] = {"layers": [plain("a", units=3), plain("b", units=2)], "build_input_shape": [None, 4]}
    read, _ = read_model(definition)

    assert read.first_shape() == (None, 4)
    definition["config"]["build_input_shape"] = [None, 0]
    with pytest.raises(BadArgument) as refusal:
        read_model(definition)
    assert refusal.value.where == "/config/build_input_shape"


def test_a_nested_model_keeps_its_name_and_rest():
    inner = {
        "class_name": "Sequential",
        "config": {"name": "inner", "trainable": False, "layers": [plain("a", units=3)]},
    }
    read, _ = read_model(model(inner, layer("Dense", units=1)))

    assert read.layers[0].name == "inner"
    assert read.summary()["parameters"] == {"trainable": 4, "frozen": 15, "total": 19}


def test_branches_of_a_merge_may_be_in_later_words():
    branches = [sequential(("Dense", {"units": width, "input_shape": [4]})) for width in (2, 3)]
    definition = sequential(("Merge", {"layers": branches, "mode": "concat"}), ("Dense", {"output_dim": 1}))

    assert read_model(definition)[0].placed[0].output_shape == (None, 5)
    branches[1]["config"][0]["config"]["units"] = 0
    with pytest.raises(BadArgument) as refusal:
        read_model(definition)
    assert refusal.value.where == "/config/0/config/layers/1/config/0/config/units"
