"""Steps of a session: Keras 1's train_on_batch and its like, and what fit does over the same batches, bit for bit."""

import json

import numpy as np
import pytest
import torch

from engine.errors import BadData
from engine.limits import Limits
from engine.sources import Packed
from engine.steps import read_step
from engine.training import exporting
from engine.training.session import Stepping
from tests.engine.yard import GOLDEN, Golden, Notebook, describing, sequential, training

RNG = np.random.default_rng(5)
DATA = {
    "x": RNG.random((32, 6, 4), dtype=np.float32),
    "y": np.eye(3, dtype=np.float32)[RNG.integers(0, 3, 32)],
    "labels": RNG.integers(0, 3, 32),
}
#: What makes a step depend on all those before it: a memory, random draws, running means, an optimizer's moments.
MODEL = sequential(
    ("LSTM", {"output_dim": 5, "stateful": True, "batch_input_shape": [8, 6, 4], "dropout_U": 0.2}),
    ("BatchNormalization", {}),
    ("Dropout", {"p": 0.4}),
    ("Dense", {"output_dim": 3, "activation": "softmax"}),
)
COMPILE = {"loss": "categorical_crossentropy", "optimizer": "adam", "metrics": ["accuracy"]}
FREE = sequential(("Dropout", {"p": 0.5, "input_shape": [6, 4]}), ("Flatten", {}), ("Dense", {"output_dim": 3}))


class Session:
    """A session in a test: its data in memory, its watcher a notebook."""

    def __init__(self, data=DATA, limits=None, **body):
        self.data = data
        self.training = training(data, **({"model": MODEL, "compile": COMPILE, "session": {}} | body))
        self.watcher = Notebook()
        self.stepping = Stepping(self.training, self.watcher, limits or Limits())

    def read(self, **step):
        plan = self.training.plan
        return read_step(step, plan.model, plan.compile, describing(self.data))

    def do(self, **step):
        return self.stepping.do(self.read(**step))

    def bits(self):
        return {key: each.clone() for key, each in self.training.state.items()}


def inline(rows):
    return {"x": DATA["x"][rows].tolist(), "y": DATA["y"][rows].tolist()}


BATCHES = [inline(slice(at, at + 8)) for at in range(0, 32, 8)]


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_updates_end_in_the_bits_of_a_fit_over_the_same_batches():
    session = Session()
    losses = [session.do(train=batch) for batch in BATCHES]
    fit = training(
        DATA,
        model=MODEL,
        compile=COMPILE,
        fit={"x": "d/x", "y": "d/y", "batch_size": 8, "nb_epoch": 1, "shuffle": False},
    )
    fit.fit(Notebook())

    assert same(session.training.state, fit.state)
    for name in ("loss", "acc"):
        assert np.mean([each[name] for each in losses]) == pytest.approx(fit.history["series"][name][0], rel=1e-12)
    assert session.training.progress.step == 4
    assert session.training.progress.metrics == losses[-1]


def test_updates_are_keras_1s_as_its_generators_recorded_them():
    golden = Golden("api_generators")
    x, y = golden.data["x"], golden.data["y"]
    optimizer = {"class_name": "SGD", "config": {"lr": 0.1, "momentum": 0.9}}
    compiled = {"optimizer": optimizer, "loss": "categorical_crossentropy", "metrics": ["accuracy"]}
    session = Session(golden.data, model=golden.model, compile=compiled)
    keys = [each.name for each in session.training.plan.model.all_weights]
    session.training.take({key: golden.data[f"w_init_{index}"] for index, key in enumerate(keys)})

    for epoch, loss in enumerate(golden.facts["history"]["loss"]):
        parts = [slice(at, at + 16) for at in range(0, 50, 16)]
        told = [session.do(train={"x": x[part].tolist(), "y": y[part].tolist()})["loss"] for part in parts]
        assert np.average(told, weights=[16, 16, 16, 2]) == pytest.approx(loss, rel=1e-6)
        judged = session.do(evaluate={"x": x[:20].tolist(), "y": y[:20].tolist(), "batch_size": 20})
        wanted = {name: golden.facts["history"][f"val_{name}"][epoch] for name in ("loss", "acc")}
        assert judged == pytest.approx(wanted, rel=1e-6)


def test_states_and_losses_of_each_kind_of_step_are_keras_1s():
    folder = GOLDEN / "stateful_trace"
    facts, model = (json.loads((folder / f"{name}.json").read_text()) for name in ("history", "model"))
    data = Golden.table("stateful_trace")
    session = Session(data, model=model, compile={"optimizer": "sgd", "loss": "mse"})
    keys = [name.decode().replace("lstm_1_", "lstm_1/") for name in data["w_names"]]
    given = {key: data[f"w_{index}"] for index, key in enumerate(keys)}
    losses = dict(each for each in facts["log"] if isinstance(each, list))

    def remembers(moment):
        for name in "hc":
            ours = session.training.state[f"weight:lstm_1/{name}"].numpy()
            np.testing.assert_allclose(ours, data[f"{name}_after_{moment}"], atol=1e-6)

    def rows(start):
        return {name: data[name][start : start + 2].tolist() for name in ("x", "y")}

    session.training.take(given)
    assert session.do(train=rows(0)) == pytest.approx({"loss": losses["train_on_batch"]}, rel=1e-4)
    remembers("train_on_batch")
    assert session.do(evaluate=rows(2) | {"batch_size": 2}) == pytest.approx(
        {"loss": losses["test_on_batch"]}, rel=1e-4
    )
    remembers("test_on_batch")
    session.training.take(given)
    session.do(reset_states={})
    remembers("reset")
    for time in ("1", "2"):
        y = session.do(predict={"x": "d/x", "batch_size": 2})["y"]
        np.testing.assert_allclose(y, data[f"p{time}"], atol=1e-6)
        remembers(f"predict{time}")


def test_dropout_of_batches_of_several_lengths_has_the_shape_of_each():
    lengths = sequential(
        ("LSTM", {"output_dim": 4, "input_dim": 4, "return_sequences": True}),
        ("Dropout", {"p": 0.5}),
        ("LSTM", {"output_dim": 3}),
    )
    session = Session(model=lengths)
    for length in (6, 2, 4, 6):
        told = session.do(train={"x": DATA["x"][:4, :length].tolist(), "y": DATA["y"][:4].tolist()})
        assert np.isfinite(told["loss"])


def test_weights_of_classes_and_of_samples_count_as_in_a_fit():
    weights = {"class_weight": {"0": 1.0, "1": 5.0, "2": 0.0}}
    session, plain = Session(), Session()
    told = session.do(train=BATCHES[0] | weights)
    of_samples = [weights["class_weight"][str(int(label))] for label in DATA["y"][:8].argmax(1)]
    assert told == plain.do(train=BATCHES[0] | {"sample_weight": of_samples})
    assert told["loss"] != Session().do(train=BATCHES[0])["loss"]


def test_a_prediction_is_a_list_or_the_bytes_of_the_same_numbers():
    session = Session(model=FREE)
    listed = session.do(predict={"x": "d/x"})["y"]
    packed = session.do(predict={"x": "d/x", "encoding": "base64"})["y"]
    assert (packed["dtype"], packed["shape"]) == ("float32", [32, 3])
    assert Packed(packed["base64"], (32, 3), "float32").load(None).tolist() == listed
    classes = session.do(predict={"x": "d/x", "method": "predict_classes", "encoding": "base64"})["y"]
    assert (classes["dtype"], classes["shape"]) == ("int64", [32])
    assert Packed(classes["base64"], (32,), "int64").load(None).tolist() == np.argmax(listed, 1).tolist()


def test_the_learning_rate_is_set_and_counts_from_the_next_step_on():
    session = Session()
    assert session.do(set={"lr": 0.0}) == {"lr": 0.0}
    before = session.training.weights_sha256()
    trained = [each.name for each in session.training.step.trained]
    weights = session.training.weights()
    session.do(train=BATCHES[0])
    assert all((session.training.weights()[name] == weights[name]).all() for name in trained)
    session.do(set={"lr": 0.5})
    session.do(train=BATCHES[0])
    assert session.training.weights_sha256() != before


def test_one_layer_forgets_or_all_of_them():
    two = sequential(
        ("LSTM", {"output_dim": 5, "stateful": True, "batch_input_shape": [8, 6, 4], "return_sequences": True}),
        ("GRU", {"output_dim": 3, "stateful": True}),
    )
    session = Session(model=two)
    session.do(predict={"x": DATA["x"][:8].tolist(), "batch_size": 8})

    def remembering():
        return [
            key for key, each in session.training.state.items() if "_1/" in key and key[:6] == "weight" and each.any()
        ]

    assert remembering() == ["weight:lstm_1/h", "weight:lstm_1/c", "weight:gru_1/h"]
    assert session.do(reset_states={"layer": "lstm_1"}) == {}
    assert remembering() == ["weight:gru_1/h"]
    session.do(reset_states={})
    assert remembering() == []


@pytest.mark.parametrize("name", ["now.h5", "now.safetensors"])
def test_weights_are_saved_as_they_are_at_that_step(name, tmp_path):
    session = Session()
    session.do(train=BATCHES[0])
    then = session.training.weights()
    assert session.do(save={"name": name}) == {"artifact": name}
    session.watcher.artifacts[name](tmp_path / name)

    other = Session()
    other.training.load_weights(tmp_path / name)
    assert all((array == then[key]).all() for key, array in other.training.weights().items())


LABELS = {"to_categorical": [9] * 32, "nb_classes": 3}
FAILING = {
    "a label out of range": {"train": BATCHES[0] | {"y": LABELS | {"to_categorical": [9] * 8}}},
    "a class without a weight": {"train": BATCHES[0] | {"class_weight": {"7": 1.0}}},
    "an evaluation that has forgotten first": {
        "evaluate": {"x": "d/x", "y": LABELS, "batch_size": 8, "reset_states": True},
    },
}


@pytest.mark.parametrize("failing", FAILING)
def test_a_step_that_fails_changes_nothing_but_the_count(failing):
    session, other = Session(), Session()
    for each in (session, other):
        each.do(train=BATCHES[0])
    before = session.bits()

    with pytest.raises(BadData) as refusal:
        session.do(**FAILING[failing])

    assert refusal.value.where.startswith(f"/{next(iter(FAILING[failing]))}")
    assert same(session.bits(), before)
    assert (session.training.number, session.training.steps) == (2, 1)
    assert session.do(train=BATCHES[1]) == other.do(train=BATCHES[1])


def test_a_loss_that_is_no_number_is_told_and_ends_nothing():
    session = Session(model=FREE, compile=COMPILE | {"optimizer": "sgd", "loss": "mse"})
    session.do(set={"lr": 1e30})
    losses = [session.do(train=BATCHES[0])["loss"] for _ in range(4)]
    assert not np.isfinite(losses[-1])
    assert session.training.progress.step == 5


def test_a_checkpoint_between_any_two_steps_goes_on_in_the_same_bits(tmp_path):
    steps = [{"train": batch} for batch in BATCHES]
    steps[1:1] = [{"set": {"lr": 0.05}}, {"predict": {"x": BATCHES[2]["x"], "batch_size": 8}}]
    calm = Session()
    told = [calm.do(**step) for step in steps]
    for cut in range(len(steps)):
        first, second = Session(), Session()
        for step in steps[:cut]:
            first.do(**step)
        first.training.save(tmp_path / "checkpoint")
        second.training.restore(tmp_path / "checkpoint")
        assert second.training.number == cut
        assert [second.do(**step) for step in steps[cut:]] == told[cut:]
        assert same(second.training.state, calm.training.state)


def test_what_is_done_again_makes_the_same_state_and_saves_nothing():
    steps = [{"train": BATCHES[0]}, {"save": {"name": "a.h5"}}, {"evaluate": BATCHES[1] | {"batch_size": 8}}]
    first, again = Session(), Session()
    for step in steps:
        first.do(**step)
        again.stepping.redo(again.read(**step))
    assert same(first.training.state, again.training.state)
    assert again.training.number == 3
    assert (list(first.watcher.artifacts), list(again.watcher.artifacts)) == (["a.h5"], [])


def test_the_states_of_a_session_are_taken_along(tmp_path):
    first, second = Session(), Session()
    first.do(train=BATCHES[0])
    first.training.save_states(tmp_path / "states")
    first.training.save_weights(tmp_path / "weights.safetensors", "safetensors")
    second.training.load_weights(tmp_path / "weights.safetensors")
    second.training.load_states(tmp_path / "states")
    asked = {"x": BATCHES[1]["x"], "batch_size": 8}
    assert second.do(predict=asked) == first.do(predict=asked)


def test_states_of_other_layers_are_refused(tmp_path):
    first = Session(model=sequential(("GRU", {"output_dim": 3, "stateful": True, "batch_input_shape": [8, 6, 4]})))
    first.training.save_states(tmp_path / "states")
    with pytest.raises(Exception, match="states are of other layers") as refusal:
        Session().training.load_states(tmp_path / "states")
    assert refusal.value.where == "/weights/states"


def test_an_answer_that_turns_out_too_large_is_a_failed_step():
    long = sequential(("LSTM", {"output_dim": 3, "input_dim": 4, "return_sequences": True}))
    session = Session(model=long, limits=Limits(max_answer_values=100))
    with pytest.raises(BadData, match="100 numbers") as refusal:
        session.do(predict={"x": "d/x"})
    assert refusal.value.where == "/predict/x"


@pytest.mark.parametrize(
    "model",
    [FREE, sequential(("Embedding", {"input_dim": 9, "output_dim": 3}), ("LSTM", {"output_dim": 2}))],
    ids=["numbers", "indices"],
)
def test_a_session_is_exported_without_data_at_hand(model, tmp_path):
    session = Session(model=model)
    difference = exporting.export(session.training, "keras1", tmp_path / "model.h5")
    assert difference == 0.0
