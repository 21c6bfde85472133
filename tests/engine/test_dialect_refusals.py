"""What later Keras says and we cannot compute, or will not: refused at the place where the client wrote it."""

import pytest

from engine.definition import read_model
from engine.errors import BadArgument, BadModel, DefinitionError, UnknownName
from tests.interop.attacks import ATTACKS, ENTRY, FIRST, dense, functional, layer, model, plain


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_is_refused_at_its_place(attack):
    definition, where = ATTACKS[attack]
    with pytest.raises(DefinitionError) as refusal:
        read_model(definition)
    assert refusal.value.where == where


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("LayerNormalization", "BatchNormalization is what there is"),
        ("GroupNormalization", "BatchNormalization is what there is"),
        ("DepthwiseConv2D", "SeparableConv2D"),
        ("Conv1DTranspose", "Conv2DTranspose"),
        ("MultiHeadAttention", "one tensor"),
        ("CuDNNLSTM", "recurrent_activation"),
        ("RNN", "written as its layer"),
        ("AlphaDropout", "GaussianDropout"),
        ("Add", "functional model's branches"),
        ("Normalization", "Rescaling"),
    ],
)
def test_a_layer_that_keras_1_lacks_is_refused_with_what_to_do_instead(name, says):
    with pytest.raises(UnknownName, match=says) as refusal:
        read_model(model(layer(name)))
    assert refusal.value.where == f"{FIRST}/class_name"


@pytest.mark.parametrize(
    ("name", "config", "key"),
    [
        ("Dense", {"units": 3, "bias_initializer": "ones"}, "bias_initializer"),
        ("Dense", {"units": 3, "lora_rank": 4}, "lora_rank"),
        ("Dense", {"units": 3, "activation": {"class_name": "LeakyReLU", "config": {}}}, "activation"),
        ("Dense", {"units": 3, "kernel_regularizer": "orthogonal"}, "kernel_regularizer"),
        ("Dropout", {"rate": 0.5, "noise_shape": [None, 1]}, "noise_shape"),
        ("Softmax", {"axis": 1}, "axis"),
        ("ReLU", {"max_value": 3.0}, "max_value"),
        ("PReLU", {"alpha_regularizer": "l2"}, "alpha_regularizer"),
        ("Flatten", {"data_format": "channels_first"}, "data_format"),
        ("Rescaling", {"scale": [1.0, 2.0]}, "scale"),
        ("BatchNormalization", {"renorm": True}, "renorm"),
        ("BatchNormalization", {"synchronized": True}, "synchronized"),
        ("BatchNormalization", {"beta_constraint": "non_neg"}, "beta_constraint"),
        ("GRU", {"units": 3, "return_state": True}, "return_state"),
        ("GRU", {"units": 3, "time_major": True}, "time_major"),
        ("LSTM", {"units": 3, "kernel_constraint": "non_neg"}, "kernel_constraint"),
        ("LSTM", {"units": 3, "unit_forget_bias": 1}, "unit_forget_bias"),
        ("ConvLSTM2D", {"filters": 3, "kernel_size": 2, "use_bias": False}, "use_bias"),
        ("Conv2D", {"filters": 3, "kernel_size": 2, "groups": 2}, "groups"),
        ("Conv2D", {"filters": 3, "kernel_size": [2, 2, 2]}, "kernel_size"),
        ("Conv2D", {"filters": 3, "kernel_size": 2, "padding": "causal"}, "padding"),
        ("Conv3D", {"filters": 3, "kernel_size": 2, "dilation_rate": 2}, "dilation_rate"),
        ("Conv2DTranspose", {"filters": 3, "kernel_size": 2, "output_padding": 1}, "output_padding"),
        (
            "SeparableConv2D",
            {"filters": 3, "kernel_size": 2, "pointwise_initializer": "zeros"},
            "pointwise_initializer",
        ),
        ("GlobalMaxPooling1D", {"keepdims": True}, "keepdims"),
        ("MaxPooling1D", {"data_format": "channels_first"}, "data_format"),
        ("UpSampling2D", {"interpolation": "bilinear"}, "interpolation"),
        ("ZeroPadding3D", {"padding": [[1, 2], [1, 1], [1, 1]]}, "padding/0"),
        ("Dense", {}, "units"),
        ("Conv2D", {"filters": 3}, "kernel_size"),
    ],
)
def test_an_argument_that_cannot_be_kept_is_refused_at_its_key(name, config, key):
    with pytest.raises(BadArgument) as refusal:
        read_model(model(layer(name, **config)))
    assert refusal.value.where == f"{FIRST}/config/{key}"


def test_a_part_is_pointed_at_inside():
    part = {"class_name": "MaxNorm", "config": {"max_value": -1, "axis": 0}}
    with pytest.raises(BadArgument) as refusal:
        read_model(dense(kernel_constraint=part))
    assert refusal.value.where == f"{FIRST}/config/kernel_constraint/config/max_value"


def test_a_bidirectional_takes_a_twin_alone():
    forward = layer("LSTM", units=2, name="forward_lstm")
    backward = layer("LSTM", units=2, name="backward_lstm", go_backwards=True)
    shape = layer("Reshape", target_shape=[2, 2])

    assert read_model(model(shape, layer("Bidirectional", layer=forward, backward_layer=backward)))
    backward["config"]["units"] = 3
    with pytest.raises(BadArgument, match="twin") as refusal:
        read_model(model(shape, layer("Bidirectional", layer=forward, backward_layer=backward)))
    assert refusal.value.where == "/config/layers/2/config/backward_layer"


BRANCHES = [
    ENTRY,
    ("a", plain("a", units=4), ["x"]),
    ("b", plain("b", units=4), ["a"]),
    ("sum", plain("sum", "Add"), ["a", "b"]),
    ("out", plain("out", units=2), ["sum"]),
]


def test_a_shortcut_is_a_merge_of_branches_that_share_what_they_begin_with():
    settled, notes = read_model(functional(BRANCHES, "out"))

    assert [each.name for each in settled.inputs()] == ["a_input"]
    assert settled.summary()["parameters"]["total"] == (4 * 4 + 4) * 2 + 4 * 2 + 2
    assert any("x, x" not in note["detail"] and "in this order: x." in note["detail"] for note in notes)


@pytest.mark.parametrize(
    ("layers", "output", "where"),
    [
        ([*BRANCHES, ("lost", plain("lost", units=1), ["a"])], "out", "/config/layers/5"),
        ([*BRANCHES[:3], ("both", plain("both", units=1), ["a", "b"])], "both", "/config/layers/3/inbound_nodes"),
        ([ENTRY, ("a", plain("a", "Dropout", rate=0.5), ["x"]), *BRANCHES[2:]], "out", "/config/layers/1"),
        ([ENTRY, ("a", plain("a", units=4), ["y"])], "a", "/config/layers"),
        ([ENTRY, ENTRY, ("a", plain("a", units=4), ["x"])], "a", "/config/layers/1/config/name"),
        ([ENTRY, ("a", plain("a", units=0), ["x"])], "a", "/config/layers/1/config/units"),
        ([*BRANCHES[:3], ("s", {"class_name": "Add", "config": [1]}, ["a", "b"])], "s", "/config/layers/3/config"),
        ([*BRANCHES[:3], ("s", plain("s", "Add", axis=1), ["a", "b"])], "s", "/config/layers/3/config/axis"),
        ([*BRANCHES[:3], ("s", plain("s", "Concatenate", axis=9), ["a", "b"])], "s", "/config/layers/3/config/axis"),
    ],
)
def test_a_graph_that_is_no_row_is_refused_where_it_is_none(layers, output, where):
    with pytest.raises(DefinitionError) as refusal:
        read_model(functional(layers, output))
    assert refusal.value.where == where


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"inbound_nodes": [[["x", 0, 0, {}]], [["x", 0, 0, {}]]]}, "/config/layers/1/inbound_nodes"),
        ({"inbound_nodes": [[["x", 0, 1, {}]]]}, "/config/layers/1/inbound_nodes"),
        ({"inbound_nodes": [[["x", 0, 0, {"mask": 1}]]]}, "/config/layers/1/inbound_nodes"),
        ({"inbound_nodes": [{"args": [], "kwargs": {}}]}, "/config/layers/1/inbound_nodes"),
        ({"inbound_nodes": [[7]]}, "/config/layers/1/inbound_nodes"),
        ({"name": 7}, "/config/layers/1"),
    ],
)
def test_a_call_that_is_more_than_a_row_is_refused(change, where):
    definition = functional([ENTRY, ("a", plain("a", units=4), ["x"])], "a")
    definition["config"]["layers"][1] |= change
    with pytest.raises(BadModel) as refusal:
        read_model(definition)
    assert refusal.value.where == where


def test_two_outputs_are_refused():
    definition = functional(BRANCHES, "out")
    definition["config"]["output_layers"] = [["out", 0, 0], ["b", 0, 0]]
    with pytest.raises(BadModel, match="one output") as refusal:
        read_model(definition)
    assert refusal.value.where == "/config/output_layers"
