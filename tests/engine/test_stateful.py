"""Stateful layers go on where the batch before ended, until they are told to forget."""

import json

import numpy as np
import pytest
import torch

from engine.definition import read_model
from engine.errors import BadArgument, BadModel, ShapeMismatch
from engine.training.data import Batch
from tests.engine.test_training import Killed, killer
from tests.engine.yard import GOLDEN, Golden, Notebook, plan_of, sequential, training

RNG = np.random.default_rng(11)
DATA = {
    "x": RNG.random((320, 8, 16), dtype=np.float32),
    "y": np.eye(10, dtype=np.float32)[RNG.integers(0, 10, 320)],
    "x_val": RNG.random((96, 8, 16), dtype=np.float32),
    "y_val": np.eye(10, dtype=np.float32)[RNG.integers(0, 10, 96)],
    "odd": RNG.random((100, 8, 16), dtype=np.float32),
    "few": RNG.random((32, 8, 16), dtype=np.float32),
}
DATA |= {"y_odd": DATA["y"][:100], "y_few": DATA["y"][:32]}
#: The seed document's stack of three stateful layers.
STACK = sequential(
    ("LSTM", {"output_dim": 32, "return_sequences": True, "stateful": True, "batch_input_shape": [32, 8, 16]}),
    ("LSTM", {"output_dim": 32, "return_sequences": True, "stateful": True}),
    ("LSTM", {"output_dim": 32, "stateful": True}),
    ("Dense", {"output_dim": 10, "activation": "softmax"}),
)
COMPILE = {"loss": "categorical_crossentropy", "optimizer": "rmsprop", "metrics": ["accuracy"]}
FIT = {"x": "d/x", "y": "d/y", "batch_size": 32, "nb_epoch": 2, "shuffle": False}
VALIDATED = FIT | {"validation_data": {"x": "d/x_val", "y": "d/y_val"}}


def stacked(fit=None, **parts):
    return training(DATA, model=STACK, compile=COMPILE, **({"fit": FIT | fit} if fit is not None else {}), **parts)


def memory(run):
    return {key: each for key, each in run.state.items() if key.startswith("weight:")}


def forgotten(run):
    return not any(each.any() for each in memory(run).values())


def refused(error, where, says, **body):
    with pytest.raises(error, match=says) as refusal:
        plan_of(DATA, **({"model": STACK, "compile": COMPILE} | body))
    assert refusal.value.where == where


# -- what is declared ---------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [{"input_shape": [8, 16]}, {"batch_input_shape": [None, 8, 16]}, {"input_dim": 16}])
@pytest.mark.parametrize("name", ["SimpleRNN", "GRU", "LSTM"])
def test_s11_s112_a_stateful_layer_must_know_the_batch_size(name, shape):
    with pytest.raises(BadModel, match=r"stateful.*batch_input_shape") as refusal:
        read_model(sequential((name, {"output_dim": 3, "stateful": True} | shape)))
    assert refusal.value.where == "/config/0/config/batch_input_shape"


def test_a_stateful_convlstm2d_must_know_its_images_too():
    layer = {"nb_filter": 2, "nb_row": 2, "nb_col": 2, "stateful": True}
    with pytest.raises(BadModel, match="stateful"):
        read_model(sequential(("ConvLSTM2D", layer | {"batch_input_shape": [4, 3, None, 5, 1]})))
    model, _ = read_model(sequential(("ConvLSTM2D", layer | {"batch_input_shape": [4, 3, 5, 5, 1]})))
    assert [(each.name, each.shape) for each in model.all_memories] == [
        ("convlstm2d_1/h", (4, 4, 4, 2)),
        ("convlstm2d_1/c", (4, 4, 4, 2)),
    ]


def test_every_stateful_layer_is_written_with_its_whole_input_shape_and_reads_back():
    model, _ = read_model(STACK)
    configs = [each["config"] for each in model.definition()["config"]]
    assert [each.get("batch_input_shape") for each in configs] == [[32, 8, 16], [32, 8, 32], [32, 8, 32], None]
    assert not any("input_dim" in each or "input_length" in each for each in configs[:3])
    again, notes = read_model(model.definition())
    assert (again, notes) == (model, [])


# -- how states go on ---------------------------------------------------------------------------


def test_s110_the_same_batch_twice_gives_other_answers_until_states_are_reset():
    run = stacked(predict={"x": "d/few"})
    assert forgotten(run)
    first, second = run.predict(Notebook()), run.predict(Notebook())
    assert not np.allclose(first, second, atol=1e-6)
    assert not forgotten(run)
    run.reset_states()
    assert (run.predict(Notebook()) == first).all()


@pytest.mark.parametrize("name", ["SimpleRNN", "GRU", "LSTM"])
@pytest.mark.parametrize("backwards", [False, True])
def test_s111_a_long_sequence_may_be_cut_in_two(name, backwards):
    def run(x):
        layer = {"output_dim": 5, "stateful": True, "return_sequences": True, "go_backwards": backwards, "name": "r"}
        shape = {"batch_input_shape": [4, *x.shape[1:]]}
        return training({"x": x}, model=sequential((name, layer | shape)), predict={"x": "d/x", "batch_size": 4})

    x = DATA["x"][:4].reshape(4, 16, 8)
    parts = (x[:, 8:], x[:, :8]) if backwards else (x[:, :8], x[:, 8:])
    whole, halves = run(x), run(np.concatenate(parts))
    halves.take(whole.weights())
    ys = halves.predict(Notebook())
    np.testing.assert_allclose(np.concatenate([ys[:4], ys[4:]], 1), whole.predict(Notebook()), rtol=1e-5, atol=1e-6)


def test_s111_images_may_be_cut_in_two():
    def run(x):
        config = {"nb_filter": 2, "nb_row": 3, "nb_col": 2, "stateful": True, "name": "c", "return_sequences": True}
        layer = ("ConvLSTM2D", config | {"batch_input_shape": [2, *x.shape[1:]]})
        return training({"x": x}, model=sequential(layer), predict={"x": "d/x", "batch_size": 2})

    x = RNG.normal(size=(2, 4, 5, 4, 1)).astype(np.float32)
    whole, halves = run(x), run(np.concatenate([x[:, :2], x[:, 2:]]))
    halves.take(whole.weights())
    ys = halves.predict(Notebook())
    np.testing.assert_allclose(np.concatenate([ys[:2], ys[2:]], 1), whole.predict(Notebook()), rtol=1e-5, atol=1e-6)


def test_s113_sample_i_goes_on_from_sample_i_of_the_batch_before():
    run = stacked(predict={"x": "d/x"})
    before = run.predict(Notebook())
    order = np.arange(320)
    order[32:64] = order[32:64][::-1]  # the second batch upside down
    turned = training(DATA | {"x": DATA["x"][order]}, model=STACK, predict={"x": "d/x"})
    turned.take(run.weights())
    after = turned.predict(Notebook())
    assert (after[:32] == before[:32]).all()
    assert not np.allclose(after[32:64][::-1], before[32:64], atol=1e-6)


def test_before_its_first_step_that_counts_a_masked_layer_gives_zeros_but_remembers():
    layer = {"output_dim": 2, "stateful": True, "return_sequences": True}
    x = np.ones((2, 3, 1), dtype=np.float32)
    x[1, 0] = 0
    run = training(
        {"x": x},
        model=sequential(("Masking", {"batch_input_shape": [1, 3, 1]}), ("GRU", layer)),
        predict={"x": "d/x", "batch_size": 1},
    )
    ys = run.predict(Notebook())
    assert (ys[1, 0] == 0).all()
    assert not np.allclose(ys[1, 1], ys[0, 0], atol=1e-4)


def test_s114_s116_all_layers_remember_and_validation_moves_them_too():
    run = stacked(VALIDATED)
    run.fit(Notebook())
    assert [key.removeprefix("weight:") for key in memory(run)] == [f"lstm_{i}/{s}" for i in (1, 2, 3) for s in "hc"]
    assert all(each.any() for each in memory(run).values())
    alone = stacked({})
    alone.fit(Notebook())
    assert alone.history["series"]["loss"][0] == run.history["series"]["loss"][0]
    assert alone.history["series"]["loss"][1] != run.history["series"]["loss"][1]


def test_states_of_every_kind_of_pass_are_keras_1s():
    facts, model = (
        json.loads((GOLDEN / "stateful_trace" / f"{name}.json").read_text()) for name in ("history", "model")
    )
    data = Golden.table("stateful_trace")
    data |= {"x_one": data["x"][:2], "y_one": data["y"][:2]}
    run = training(
        data,
        model=model,
        compile={"optimizer": "sgd", "loss": "mse"},
        fit={"x": "d/x_one", "y": "d/y_one", "batch_size": 2, "nb_epoch": 1, "shuffle": False},
        predict={"x": "d/x", "batch_size": 2},
    )
    keys = [name.decode().replace("lstm_1_", "lstm_1/") for name in data["w_names"]]
    run.take({key: data[f"w_{index}"] for index, key in enumerate(keys)})

    def remembers(moment):
        for name in "hc":
            ours = run.state[f"weight:lstm_1/{name}"].numpy()
            np.testing.assert_allclose(ours, data[f"{name}_after_{moment}"], atol=1e-6)

    run.fit(Notebook())
    losses = dict(each for each in facts["log"] if isinstance(each, list))
    assert run.history["series"]["loss"] == pytest.approx([losses["train_on_batch"]])
    remembers("train_on_batch")
    batch = Batch((torch.from_numpy(data["x"][2:4]),), torch.from_numpy(data["y"][2:4]), None)
    values, run.state = run.step.test(run.state, batch)
    assert values.item() == pytest.approx(losses["test_on_batch"], rel=1e-4)
    remembers("test_on_batch")

    run.take({key: data[f"w_{index}"] for index, key in enumerate(keys)})
    remembers("reset")
    for time in ("1", "2"):
        np.testing.assert_allclose(run.predict(Notebook()), data[f"p{time}"], atol=1e-6)
        remembers(f"predict{time}")


# -- forgetting ---------------------------------------------------------------------------------


def test_states_are_forgotten_after_the_fit_or_after_every_epoch_if_that_is_asked():
    never, epoch, fit = (stacked(VALIDATED | {"reset_states": each}) for each in ("never", "epoch", "fit"))
    watched = []
    for run in (never, epoch, fit):
        run.fit(Notebook())
        watched.append(run.history["series"]["loss"])
    assert [forgotten(run) for run in (never, epoch, fit)] == [False, True, True]
    assert watched[0] == watched[2]
    assert watched[0][0] == watched[1][0]
    assert watched[0][1] != watched[1][1]


def test_evaluation_and_prediction_forget_first_if_that_is_asked():
    def results(forget):
        run = stacked(
            {"nb_epoch": 1},
            evaluate={"x": "d/x_val", "y": "d/y_val", "reset_states": forget},
            predict={"x": "d/few", "reset_states": forget},
        )
        run.fit(Notebook())
        evaluation, prediction = run.evaluate(Notebook()), run.predict(Notebook())
        anew = stacked(evaluate={"x": "d/x_val", "y": "d/y_val"}, predict={"x": "d/few"})
        anew.take(run.weights())
        prediction_anew = anew.predict(Notebook())
        anew.reset_states()
        return evaluation == anew.evaluate(Notebook()), (prediction == prediction_anew).all()

    assert results(True) == (True, True)
    assert results(False) == (False, False)


def test_when_to_forget_is_one_of_three_words():
    refused(BadArgument, "/fit/reset_states", "'never', 'epoch', 'fit'", fit=FIT | {"reset_states": "always"})


# -- batches ------------------------------------------------------------------------------------


def test_s115_a_number_of_samples_that_fills_no_whole_batches_is_refused():
    odd = {"x": "d/odd", "y": "d/y_odd"}
    refused(ShapeMismatch, "/fit/batch_size", "multiple of 32", fit=FIT | odd)
    refused(ShapeMismatch, "/evaluate/batch_size", "multiple of 32", evaluate=odd)
    refused(ShapeMismatch, "/predict/batch_size", "multiple of 32", predict={"x": "d/odd"})
    refused(ShapeMismatch, "/fit/validation_data/batch_size", "multiple of 32", fit=FIT | {"validation_data": odd})


def test_s116_another_batch_size_is_refused():
    refused(ShapeMismatch, "/fit/batch_size", "exactly 32 samples", fit=FIT | {"batch_size": 16})
    one = {"x": "d/few", "y": "d/y_few", "batch_size": 64}
    refused(ShapeMismatch, "/evaluate/batch_size", "Set it to 32", evaluate=one)


def test_one_batch_may_be_predicted_with_a_larger_batch_size():
    assert stacked(predict={"x": "d/few", "batch_size": 64}).predict(Notebook()).shape == (32, 10)


def test_both_sides_of_a_split_must_be_whole_batches():
    assert plan_of(DATA, model=STACK, compile=COMPILE, fit=FIT | {"validation_split": 0.2}).fed_fit.held_out == 64
    refused(
        ShapeMismatch, "/fit/validation_split", "one side of the split", fit=FIT | {"validation_split": 0.25 + 0.01}
    )


def test_s116_a_stateful_model_that_is_shuffled_is_warned_of():
    def warnings(**fit):
        plan = plan_of(DATA, model=STACK, compile=COMPILE, fit=FIT | fit)
        return [each["pointer"] for each in plan.warnings]

    assert warnings() == []
    assert warnings(shuffle=True) == warnings(shuffle="batch") == ["/fit/shuffle"]


# -- checkpoints --------------------------------------------------------------------------------


@pytest.mark.parametrize("batches", [3, 13, 21, 24])
def test_killed_in_any_phase_and_resumed_a_stateful_run_ends_in_the_same_bits(batches, tmp_path):
    def finish(run, watcher):
        run.fit(watcher)
        return run.evaluate(watcher), run.predict(watcher).tolist()

    whole, first, second = (
        stacked(VALIDATED, evaluate={"x": "d/x_val", "y": "d/y_val"}, predict={"x": "d/few"}) for _ in range(3)
    )
    results = finish(whole, Notebook())
    with pytest.raises(Killed):
        finish(first, Notebook(killer(batches)))
    first.save(tmp_path / "checkpoint")
    second.restore(tmp_path / "checkpoint")
    assert second.phase == {3: "fit", 13: "fit", 21: "evaluate", 24: "predict"}[batches]
    assert finish(second, Notebook()) == results
    assert second.weights_sha256() == whole.weights_sha256()
    assert all(torch.equal(each, second.state[key]) for key, each in memory(whole).items())
