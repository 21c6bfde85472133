"""SimpleRNN, GRU, LSTM and ConvLSTM2D: what they declare, what they refuse, and what a sequence does to them."""

import dataclasses

import numpy as np
import pytest
import torch

from engine.definition import read_model
from engine.errors import BadArgument, BadModel, ShapeMismatch
from engine.layer import LAYERS
from engine.layers.recurrent import GRU, LSTM
from engine.run import Recorder, Run
from tests.engine.yard import Notebook, plan_of, sequential, training

RNG = np.random.default_rng(4)
X = RNG.normal(size=(6, 5, 3)).astype(np.float32)
IMAGES = RNG.normal(size=(4, 3, 6, 5, 2)).astype(np.float32)
CLASSES = ("SimpleRNN", "GRU", "LSTM")


def model_of(*layers):
    return read_model(sequential(*layers))[0]


def refused(error, where, says, *layers):
    with pytest.raises(error, match=says) as refusal:
        model_of(*layers)
    assert refusal.value.where == where


def predictor(x, *layers, weights=None):
    run = training({"x": x}, model=sequential(*layers), predict={"x": "d/x"})
    run.take({key: np.asarray(each, dtype=np.float32) for key, each in (weights or {}).items()})
    return run


def predictions(x, *layers, weights=None):
    return predictor(x, *layers, weights=weights).predict(Notebook())


# -- shapes and arguments -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "shape",
    [{"input_shape": [10, 64]}, {"batch_input_shape": [None, 10, 64]}, {"input_length": 10, "input_dim": 64}],
)
def test_s14_s17_three_ways_to_declare_a_sequence_are_one(shape):
    model = model_of(("LSTM", {"output_dim": 32} | shape))
    assert model.inputs()[0].shape == (None, 10, 64)
    assert model.placed[0].output_shape == (None, 32)
    assert model.summary()["parameters"]["total"] == 12_416
    assert model.definition()["config"][0]["config"]["input_dim"] == 64


def test_s14_a_width_alone_takes_any_length_and_a_length_alone_is_refused():
    assert model_of(("LSTM", {"output_dim": 32, "input_dim": 64})).inputs()[0].shape == (None, None, 64)
    refused(BadModel, "/config/0/config", "must declare the shape", ("LSTM", {"output_dim": 32, "input_length": 10}))


@pytest.mark.parametrize("name", CLASSES)
def test_s09_sequences_may_have_any_length_if_the_width_is_known(name):
    layer = (name, {"output_dim": 2, "input_shape": [None, 3]})
    for length in (5, 9):
        assert predictions(np.ones((2, length, 3), dtype=np.float32), layer).shape == (2, 2)
    refused(ShapeMismatch, "/config/0", "axis -1", (name, {"output_dim": 2, "input_shape": [5, None]}))


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_s16_any_number_of_sequences_is_taken(rows):
    x = np.ones((rows, 2, 3), dtype=np.float32)
    assert predictions(x, ("LSTM", {"output_dim": 2, "input_shape": [2, 3]})).shape == (rows, 2)


def test_s88_s104_stacked_layers_give_sequences_to_each_other():
    stack = [
        ("LSTM", {"output_dim": 32, "return_sequences": True, "input_shape": [8, 16]}),
        ("LSTM", {"output_dim": 32, "return_sequences": True}),
        ("LSTM", {"output_dim": 32}),
        ("Dense", {"output_dim": 10, "activation": "softmax"}),
    ]
    model = model_of(*stack)
    assert [each.output_shape for each in model.placed] == [(None, 8, 32), (None, 8, 32), (None, 32), (None, 10)]
    assert model.summary()["parameters"]["total"] == 23_242


@pytest.mark.parametrize("name", CLASSES)
def test_s105_a_layer_after_one_that_gives_its_last_step_alone_is_refused(name):
    first = ("LSTM", {"output_dim": 32, "input_shape": [8, 16], "name": "a"})
    refused(
        ShapeMismatch, "/config/1", r"Layer b .* 3 axes.*\(None, 32\).*return_sequences", first,
        (name, {"output_dim": 3, "name": "b"}),
    )  # fmt: skip


@pytest.mark.parametrize("shape", [(4, 7, 16), (4, 8, 15), (4, 16)])
def test_s106_data_of_another_length_or_width_is_refused(shape):
    layer = ("LSTM", {"output_dim": 3, "input_shape": [8, 16]})
    with pytest.raises(ShapeMismatch, match=r"\(None, 8, 16\)"):
        plan_of({"x": np.ones(shape)}, model=sequential(layer), predict={"x": "d/x"})


def test_a_sequence_without_steps_is_refused():
    layer = ("LSTM", {"output_dim": 3, "input_shape": [None, 16]})
    with pytest.raises(ShapeMismatch, match=r"\(4, 0, 16\)"):
        plan_of({"x": np.ones((4, 0, 16))}, model=sequential(layer), predict={"x": "d/x"})


def test_own_arguments_come_first_and_keep_their_order():
    layer = LSTM(4, "uniform", "glorot_uniform", "zero", "sigmoid", "tanh", return_sequences=True)
    assert (layer.init, layer.inner_init, layer.forget_bias_init) == ("uniform", "glorot_uniform", "zero")
    assert (layer.activation, layer.inner_activation, layer.return_sequences) == ("sigmoid", "tanh", True)
    flipped = dataclasses.replace(GRU(4, name="a"), go_backwards=True, name="b")
    assert (flipped.go_backwards, flipped.name, flipped.output_dim) == (True, "b", 4)


BASE = {"output_dim": 3, "input_shape": [5, 4]}


@pytest.mark.parametrize(
    ("error", "where", "says", "layer"),
    [
        (ShapeMismatch, "/config/0/config/input_length", "`input_length` of 9", BASE | {"input_length": 9}),
        (BadModel, "/config/0/config/unroll", "known number", BASE | {"input_shape": [None, 4], "unroll": True}),
        (BadArgument, "/config/0/config/consume_less", "one of 'cpu', 'mem', 'gpu'", BASE | {"consume_less": "less"}),
        (BadArgument, "/config/0/config/dropout_U", "0 to 1", BASE | {"dropout_U": 2}),
        (BadArgument, "/config/0/config/init", "square", BASE | {"init": "identity"}),
        (
            BadArgument, "/config/0/config/inner_init", "square",
            BASE | {"inner_init": "identity", "consume_less": "gpu"},
        ),
        (BadArgument, "/config/0/config/forget_bias_init", "matrices", BASE | {"forget_bias_init": "orthogonal"}),
        (
            BadArgument, "/config/0/config/b_regularizer", "matrices only",
            BASE | {"b_regularizer": {"name": "EigenvalueRegularizer", "k": 1.0}},
        ),
    ],
)  # fmt: skip
def test_a_misuse_is_refused_where_it_stands(error, where, says, layer):
    refused(error, where, says, ("LSTM", layer))


def test_unrolled_is_the_same():
    plain = predictor(X, ("GRU", {"output_dim": 4, "input_shape": [5, 3]}))
    unrolled = predictor(X, ("GRU", {"output_dim": 4, "input_shape": [5, 3], "unroll": True}))
    assert (plain.predict(Notebook()) == unrolled.predict(Notebook())).all()


def test_what_training_keeps_of_every_step_is_estimated():
    def estimate(length):
        layer = ("LSTM", {"output_dim": 100, "input_shape": [length, 3]})
        return plan_of({"x": np.ones((1, length, 3))}, model=sequential(layer), predict={"x": "d/x"}).estimate

    assert estimate(50)["activations"] == 100 + 50 * 1000


# -- how weights lie and start ------------------------------------------------------------------


def test_s87_the_forget_bias_starts_at_one_wherever_it_lies():
    apart = predictor(X, ("LSTM", {"output_dim": 2, "input_shape": [5, 3]})).weights()
    assert list(apart) == [f"lstm_1/{name}_{gate}" for gate in "icfo" for name in "WUb"]
    assert apart["lstm_1/b_f"].tolist() == [1, 1]
    assert not any(apart[f"lstm_1/b_{gate}"].any() for gate in "ico")
    joined = predictor(X, ("LSTM", {"output_dim": 2, "input_shape": [5, 3], "consume_less": "gpu"})).weights()
    assert joined["lstm_1/b"].tolist() == [0, 0, 1, 1, 0, 0, 0, 0]


def joined(apart, gates):
    """Put the weights of the gates side by side, as `consume_less` "gpu" has them."""
    return {name: np.concatenate([apart[f"r/{name}_{gate}"] for gate in gates], -1) for name in ("W", "U", "b")}


@pytest.mark.parametrize(("name", "gates"), [("GRU", "zrh"), ("LSTM", "ifco")])
def test_the_ways_to_lay_out_weights_train_alike(name, gates):
    def run(consume_less):
        layer = {"output_dim": 4, "input_shape": [5, 3], "name": "r", "consume_less": consume_less}
        return training(
            {"x": X, "y": np.ones((6, 4), dtype=np.float32)},
            model=sequential((name, layer)),
            compile={"optimizer": "sgd", "loss": "mse"},
            fit={"x": "d/x", "y": "d/y", "batch_size": 3, "nb_epoch": 3, "shuffle": False},
        )

    cpu, mem, gpu = run("cpu"), run("mem"), run("gpu")
    start = {key: each + RNG.normal(size=each.shape).astype(np.float32) * 0.1 for key, each in cpu.weights().items()}
    cpu.take(start)
    mem.take(start)
    gpu.take({f"r/{key}": each for key, each in joined(start, gates).items()})
    for each in (cpu, mem, gpu):
        each.fit(Notebook())
    assert cpu.weights_sha256() == mem.weights_sha256()
    ours = joined(cpu.weights(), gates)
    for key, each in gpu.weights().items():
        np.testing.assert_allclose(each, ours[key.removeprefix("r/")], rtol=1e-5, atol=1e-6)


# -- masks and directions -----------------------------------------------------------------------

KEPT = np.array([[0, 1, 0, 1, 0], [1, 1, 0, 0, 1]] * 3, dtype=bool)
MASKED = np.where(KEPT[..., None], X, 0.0).astype(np.float32)
MASKING = ("Masking", {"input_shape": [5, 3]})


@pytest.mark.parametrize("name", CLASSES)
def test_a_masked_step_repeats_the_output_before_it_and_keeps_the_states(name):
    ys = predictions(MASKED, MASKING, (name, {"output_dim": 2, "return_sequences": True}))
    assert (ys[0, 0] == 0).all()
    assert (ys[0, 2] == ys[0, 1]).all()
    assert (ys[0, 4] == ys[0, 3]).all()
    assert (ys[1, 3] == ys[1, 1]).all()
    short = predictions(X[:1, [1, 3]], (name, {"output_dim": 2, "input_shape": [2, 3]}))
    np.testing.assert_allclose(ys[0, 4], short[0], rtol=1e-5, atol=1e-6)


def test_a_mask_goes_on_with_sequences_and_ends_with_the_last_step():
    assert not model_of(MASKING, ("LSTM", {"output_dim": 2}), ("Dense", {"output_dim": 1})).masked(False)
    sequences = ("LSTM", {"output_dim": 2, "return_sequences": True})
    assert model_of(MASKING, sequences).masked(False)
    refused(BadModel, "/config/2", "does not support masking", MASKING, sequences, ("Dense", {"output_dim": 1}))


@pytest.mark.parametrize("name", CLASSES)
def test_backwards_is_forwards_over_the_reversed_sequence_mask_included(name):
    layer = {"output_dim": 2, "return_sequences": True}
    backwards = predictions(MASKED, MASKING, (name, layer | {"go_backwards": True}))
    forwards = predictions(MASKED[:, ::-1].copy(), MASKING, (name, layer))
    assert (backwards == forwards).all()


# -- dropout ------------------------------------------------------------------------------------


def drawn(name, **config):
    """List the shapes of the noise that a training pass asks for."""
    layer = read_model(sequential((name, {"output_dim": 4, "input_shape": [5, 3]} | config)))[0].layers[0]
    w = {each.name: torch.zeros(each.shape) for each in layer.weights((None, 5, 3))}
    noise = Recorder("cpu")
    layer.call(torch.ones(6, 5, 3), w, Run(noise))
    return [shape for _, shape in noise.asked]


@pytest.mark.parametrize(("name", "gates"), [("GRU", 3), ("LSTM", 4)])
def test_each_gate_drops_for_itself_unless_all_are_joined(name, gates):
    both = {"dropout_W": 0.5, "dropout_U": 0.5}
    for consume_less in ("cpu", "mem"):
        assert sorted(drawn(name, consume_less=consume_less, **both)) == [(6, 3)] * gates + [(6, 4)] * gates
    assert sorted(drawn(name, consume_less="gpu", **both)) == [(6, 3), (6, 4)]
    assert drawn(name) == drawn(name, dropout_W=1.0, dropout_U=1.0) == []


def test_simplernn_heeds_dropout_of_its_input_with_cpu_only():
    assert drawn("SimpleRNN", dropout_W=0.5) == [(6, 3)]
    assert (
        drawn("SimpleRNN", dropout_W=0.5, consume_less="mem")
        == drawn("SimpleRNN", dropout_W=0.5, consume_less="gpu")
        == []
    )
    assert drawn("SimpleRNN", dropout_U=0.5, consume_less="gpu") == [(6, 4)]


def rnn_outputs(**config):
    """Run a linear SimpleRNN in training, whose weights are identities, over ones."""
    torch.manual_seed(1)
    layer = LAYERS["SimpleRNN"](50, activation="linear", return_sequences=True, **config)
    w = {"W": torch.eye(50), "U": torch.eye(50), "b": torch.zeros(50)}
    return layer.call(torch.ones(40, 3, 50), w, Run(Recorder("cpu")))


def test_dropout_of_the_input_is_the_same_at_every_step_of_a_sequence():
    ys = rnn_outputs(dropout_W=0.2)
    steps = ys.diff(dim=1, prepend=torch.zeros(40, 1, 50))
    assert torch.allclose(steps[:, 0], steps[:, 2], atol=1e-5)
    assert not torch.equal(ys[0], ys[1])
    np.testing.assert_allclose(sorted(ys[:, 0].unique().tolist()), [0.0, 1.25])
    assert (ys[:, 0] == 0).float().mean().item() == pytest.approx(0.2, abs=0.04)


def test_dropout_of_the_state_is_the_same_at_every_step_of_a_sequence():
    ys = rnn_outputs(dropout_U=0.2)
    assert (ys[:, 0] == 1).all()
    kept = ys[:, 1] > 1.5
    np.testing.assert_allclose(ys[:, 1], torch.where(kept, 2.25, 1.0))
    np.testing.assert_allclose(ys[:, 2], torch.where(kept, 1 + 2.25 * 1.25, 1.0), rtol=1e-6)
    assert kept.float().mean().item() == pytest.approx(0.8, abs=0.04)


@pytest.mark.parametrize("name", CLASSES)
def test_without_training_nothing_is_dropped(name):
    layer = {"output_dim": 4, "input_shape": [5, 3]}
    dropping = predictions(X, (name, layer | {"dropout_W": 0.5, "dropout_U": 0.5}))
    assert (dropping == predictions(X, (name, layer))).all()


# -- images -------------------------------------------------------------------------------------

CONV = {"nb_filter": 2, "nb_row": 2, "nb_col": 3, "name": "c"}


@pytest.mark.parametrize(("border_mode", "size"), [("valid", (3, 2)), ("same", (3, 3))])
def test_convlstm2d_gives_images_channels_first_or_last(border_mode, size):
    config = CONV | {"border_mode": border_mode, "subsample": [2, 2], "return_sequences": True}
    last = predictor(IMAGES, ("ConvLSTM2D", config | {"dim_ordering": "tf", "input_shape": [3, 6, 5, 2]}))
    first = predictor(
        IMAGES.transpose(0, 1, 4, 2, 3).copy(),
        ("ConvLSTM2D", config | {"dim_ordering": "th", "input_shape": [3, 2, 6, 5]}),
        weights={k: v.transpose(3, 2, 0, 1).copy() if v.ndim == 4 else v for k, v in last.weights().items()},
    )
    assert last.plan.model.placed[0].output_shape == (None, 3, *size, 2)
    assert first.plan.model.placed[0].output_shape == (None, 3, 2, *size)
    assert [key for key in last.weights() if "_f" in key] == ["c/W_f", "c/U_f", "c/b_f"]
    assert last.weights()["c/b_f"].tolist() == [1, 1]
    ys = last.predict(Notebook())
    np.testing.assert_allclose(ys, first.predict(Notebook()).transpose(0, 1, 3, 4, 2), rtol=1e-5, atol=1e-6)
    alone = predictions(
        IMAGES, ("ConvLSTM2D", config | {"dim_ordering": "tf", "input_shape": [3, 6, 5, 2], "return_sequences": False}),
        weights=last.weights(),
    )  # fmt: skip
    assert (alone == ys[:, -1]).all()


def test_an_image_that_is_masked_out_repeats_the_output_before_it_and_does_not_count():
    x = IMAGES.copy()
    x[:, 1] = 0
    layer = CONV | {"return_sequences": True, "dim_ordering": "tf"}
    run = training(
        {"x": x, "y": np.ones((4, 3, 5, 3, 2), dtype=np.float32)},
        model=sequential(("Masking", {"input_shape": [3, 6, 5, 2]}), ("ConvLSTM2D", layer)),
        compile={"optimizer": "sgd", "loss": "mse"},
        evaluate={"x": "d/x", "y": "d/y"},
        predict={"x": "d/x"},
    )
    ys = run.predict(Notebook())
    assert (ys[:, 1] == ys[:, 0]).all()
    assert run.evaluate(Notebook())["loss"] == pytest.approx(np.square(1 - ys[:, [0, 2]]).mean(), rel=1e-5)


def test_convlstm2d_drops_for_each_gate_and_sequence():
    torch.manual_seed(0)
    layer = LAYERS["ConvLSTM2D"](2, 2, 2, dim_ordering="th", dropout_W=0.5, dropout_U=0.5, border_mode="same")
    w = {each.name: torch.randn(each.shape) for each in layer.weights((None, 3, 2, 6, 5))}
    noise = Recorder("cpu")
    assert layer.call(torch.ones(4, 3, 2, 6, 5), w, Run(noise)).shape == (4, 2, 6, 5)
    assert noise.asked == [("uniform", (4, 4, 2, 6, 5))] * 2
    one_gate = dataclasses.replace(layer, dropout_U=0.0)
    always = one_gate.call(torch.ones(4, 3, 2, 6, 5), w, Run())
    dropped = one_gate.call(torch.ones(4, 3, 2, 6, 5), w, Run(Recorder("cpu")))
    assert not torch.allclose(always, dropped)


@pytest.mark.parametrize(
    ("error", "says", "config"),
    [
        (ShapeMismatch, "5 axes", {"input_shape": [3, 6, 5]}),
        (ShapeMismatch, "axis -1", {"input_shape": [3, 6, 5, None]}),
        (ShapeMismatch, "does not fit", {"input_shape": [3, 6, 5, 2], "nb_row": 7}),
        (ShapeMismatch, "softmax", {"input_shape": [3, 6, 5, 2], "activation": "softmax"}),
        (ShapeMismatch, "softmax", {"input_shape": [3, 6, 5, 2], "inner_activation": "softmax"}),
    ],
)
def test_images_that_do_not_fit_are_refused(error, says, config):
    refused(error, "/config/0", says, ("ConvLSTM2D", CONV | config))
