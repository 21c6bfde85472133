"""Training as a whole: repeatable, resumable to the last bit, fed as Keras 1 feeds it."""

import math

import numpy as np
import pytest
import torch

from engine.errors import BadData, BadFile, Diverged
from engine.methods import Fit
from engine.run import Replay, Run
from engine.training.data import BLOCK_BYTES, Column, Feed, order_of
from tests.engine.yard import Notebook, plan_of, sequential, training

RNG = np.random.default_rng(5)
DATA = {
    "x": RNG.random((100, 20), dtype=np.float32),
    "labels": RNG.integers(0, 10, 100),
    "y": np.eye(10, dtype=np.float32)[RNG.integers(0, 10, 100)],
    "x_val": RNG.random((30, 20), dtype=np.float32),
    "y_val": np.eye(10, dtype=np.float32)[RNG.integers(0, 10, 30)],
}
#: The seed document's softmax MLP.
MLP = sequential(
    ("Dense", {"output_dim": 64, "input_dim": 20, "init": "uniform"}),
    ("Activation", {"activation": "tanh"}),
    ("Dropout", {"p": 0.5}),
    ("Dense", {"output_dim": 64, "init": "uniform"}),
    ("Activation", {"activation": "tanh"}),
    ("Dropout", {"p": 0.5}),
    ("Dense", {"output_dim": 10, "init": "uniform"}),
    ("Activation", {"activation": "softmax"}),
)
SGD = {"class_name": "SGD", "config": {"lr": 0.1, "decay": 1e-6, "momentum": 0.9, "nesterov": True}}
CALLBACKS = [
    {"class_name": "EarlyStopping", "config": {"patience": 50}},
    {"class_name": "ReduceLROnPlateau", "config": {"patience": 0, "factor": 0.5}},
]


def mlp(optimizer="adam", seed=7, **fit):
    return training(
        DATA,
        seed=seed,
        model=MLP,
        compile={"optimizer": optimizer, "loss": "categorical_crossentropy", "metrics": ["accuracy"]},
        fit={"x": "d/x", "y": "d/y", "batch_size": 16, "nb_epoch": 4} | fit,
        evaluate={"x": "d/x_val", "y": "d/y_val", "batch_size": 16},
        predict={"x": "d/x"},
    )


class Killed(Exception):
    pass


def killer(batches):
    """Raise at the n-th batch."""
    left = [batches]

    def strike():
        left[0] -= 1
        if not left[0]:
            raise Killed

    return strike


def test_s64_the_seeds_mlp_has_its_parameters_and_starts_within_its_limits():
    run = mlp()
    assert sum(array.size for array in run.weights().values()) == 6154
    assert all(np.abs(array).max() <= 0.05 for array in run.weights().values())
    assert all((array == 0).all() for key, array in run.weights().items() if key.endswith("/b"))


def test_s53_s69_one_step_a_batch_and_one_entry_an_epoch():
    run = mlp(nb_epoch=20)
    run.fit(Notebook())
    assert run.steps == 20 * 7
    assert run.history["epoch"] == list(range(20))
    assert set(run.history["series"]) == {"loss", "acc"}


def test_s70_evaluation_over_batches_equals_that_over_one():
    run = mlp()
    small = run.evaluate(Notebook())
    run.plan = plan_of(
        DATA,
        model=MLP,
        compile={"optimizer": "sgd", "loss": "categorical_crossentropy", "metrics": ["accuracy"]},
        evaluate={"x": "d/x_val", "y": "d/y_val", "batch_size": 1000},
    )
    assert run.evaluate(Notebook()) == pytest.approx(small, rel=1e-5)


def test_s57_s129_the_same_seed_gives_the_same_bits_and_another_does_not():
    runs = [mlp(seed=seed) for seed in (7, 7, 8)]
    for run in runs:
        run.fit(Notebook())
    assert runs[0].history == runs[1].history
    assert runs[0].weights_sha256() == runs[1].weights_sha256()
    assert runs[0].weights_sha256() != runs[2].weights_sha256()


@pytest.mark.parametrize("optimizer", ["adam", "nadam", "adadelta", SGD])
@pytest.mark.parametrize("batches", [1, 7, 10, 14, 27])
def test_killed_at_any_batch_and_resumed_a_run_ends_in_the_same_bits(optimizer, batches, tmp_path):
    options = {"validation_data": {"x": "d/x_val", "y": "d/y_val"}, "callbacks": CALLBACKS}
    whole = mlp(optimizer, **options)
    whole.fit(Notebook())

    first = mlp(optimizer, **options)
    with pytest.raises(Killed):
        first.fit(Notebook(killer(batches)))
    first.save(tmp_path / "checkpoint")
    second = mlp(optimizer, seed=99, **options)
    second.restore(tmp_path / "checkpoint")
    second.fit(Notebook())

    assert second.weights_sha256() == whole.weights_sha256()
    assert second.history == whole.history
    assert second.lr == whole.lr


def test_a_checkpoint_of_another_model_or_a_damaged_one_is_refused(tmp_path):
    other = training(
        DATA,
        model=sequential(("Dense", {"output_dim": 10, "input_dim": 20})),
        compile={"optimizer": "sgd", "loss": "mse"},
        fit={"x": "d/x", "y": "d/y"},
    )
    other.save(tmp_path / "checkpoint")
    with pytest.raises(BadFile, match="another model"):
        mlp().restore(tmp_path / "checkpoint")
    (tmp_path / "checkpoint").write_bytes((tmp_path / "checkpoint").read_bytes()[:-10])
    with pytest.raises(BadFile, match="cannot be read"):
        mlp().restore(tmp_path / "checkpoint")


def test_a_run_goes_on_from_another_ones_weights_and_optimizer_as_one_run_would(tmp_path):
    whole = mlp(shuffle=False, nb_epoch=4)
    whole.fit(Notebook())
    first = mlp(shuffle=False, nb_epoch=2)
    first.fit(Notebook())
    first.save_optimizer(tmp_path / "state")
    first.save_weights(tmp_path / "weights", "hdf5")
    second = mlp(shuffle=False, initial_epoch=2, nb_epoch=4)
    second.load_weights(tmp_path / "weights")
    second.load_optimizer(tmp_path / "state")
    assert second.state["k"] == 14
    second.steps = first.steps  # the noise of a step goes by its number
    second.fit(Notebook())
    assert second.weights_sha256() == whole.weights_sha256()
    with pytest.raises(BadFile, match="another optimizer"):
        mlp("nadam").load_optimizer(tmp_path / "state")


def test_s66_training_drops_about_half_and_doubles_the_rest():
    run = training(
        {"x": np.ones((1, 10_000), dtype=np.float32)},
        model=sequential(("Dropout", {"p": 0.5, "input_shape": [10_000]})),
        predict={"x": "d/x"},
    )
    x = torch.ones(1, 10_000)
    run.noise.prepare("key", lambda noise: noise.uniform(x.shape))
    dropped = run.plan.model.call(x, {}, Run(Replay(iter(run.noise.draw("key", 0)))))
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert 0.47 < (dropped == 0).float().mean() < 0.53


def test_each_step_draws_its_own_noise():
    run = mlp()
    run.noise.prepare("key", lambda noise: (noise.uniform((4,)), noise.normal((3,)), noise.uniform((2,))))
    first, again, other = (run.noise.draw("key", step) for step in (0, 0, 1))
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert not (first[0] == other[0]).all()
    assert [tuple(each.shape) for each in first] == [(4,), (3,), (2,)]


def fit_of(**options):
    return Fit.from_config({"x": "d/x", "y": "d/y", "batch_size": 4} | options)


def test_shuffle_orders_each_epoch_anew_and_depends_on_seed_and_epoch_alone():
    assert order_of(fit_of(shuffle=False), 10, 1, 0) is None
    first, again, second = (order_of(fit_of(), 10, 1, epoch) for epoch in (0, 0, 1))
    assert sorted(first) == list(range(10))
    assert (first == again).all()
    assert (first != second).any()


def test_shuffle_batch_moves_whole_batches_and_leaves_the_rest_last():
    order = order_of(fit_of(shuffle="batch"), 10, 3, 0)
    assert order[8:].tolist() == [8, 9]
    assert sorted(order[:8:4].tolist()) == [0, 4]
    assert [order[start : start + 4].tolist() for start in (0, 4)] == [
        list(range(order[start], order[start] + 4)) for start in (0, 4)
    ]


def feed_of(array, y=None):
    device = torch.device("cpu")
    return Feed([Column(array, torch.float32, device)], None, None, range(len(array)))


def test_batches_are_the_same_however_many_fit_into_a_block(monkeypatch):
    array = RNG.random((50, 3), dtype=np.float32)
    order = RNG.permutation(50)
    whole = [batch.x[0] for batch in feed_of(array).batches(8, order)]
    monkeypatch.setattr("engine.training.data.BLOCK_BYTES", 8 * 12 * 2)
    cut = [batch.x[0] for batch in feed_of(array).batches(8, order)]
    assert BLOCK_BYTES > 8 * 12 * 2
    assert [len(batch) for batch in whole] == [8, 8, 8, 8, 8, 8, 2]
    assert all((a == b).all() for a, b in zip(whole, cut, strict=True))
    late = [batch.x[0] for batch in feed_of(array).batches(8, order, start=5)]
    assert all((a == b).all() for a, b in zip(whole[5:], late, strict=True))


def test_an_array_too_large_to_hold_is_read_as_it_is_needed(monkeypatch, tmp_path):
    array = RNG.random((50, 3), dtype=np.float32)
    np.save(tmp_path / "x.npy", array)
    order = RNG.permutation(50)
    held = [batch.x[0] for batch in feed_of(array).batches(8, order)]
    monkeypatch.setattr("engine.training.data.RESIDENT_BYTES", 0)
    mapped = feed_of(np.load(tmp_path / "x.npy", mmap_mode="r"))
    assert mapped.x[0].tensor is None
    assert all((a == b.x[0]).all() for a, b in zip(held, mapped.batches(8, order), strict=True))


@pytest.mark.parametrize("layer", ["Dense", "LSTM"])
def test_a_layer_that_computes_takes_whole_numbers_as_numbers(layer):
    x = np.arange(24).reshape(2, 3, 4)
    body = {
        "model": sequential((layer, {"output_dim": 2, "input_shape": [3, 4], "input_dtype": "int32"})),
        "predict": {"x": "d/x"},
    }
    told = training({"x": x}, **body).predict(Notebook())
    np.testing.assert_array_equal(told, training({"x": x.astype(np.float32)}, **body).predict(Notebook()))


def test_s54_one_hot_targets_may_come_from_labels():
    run = training(
        DATA,
        model=MLP,
        compile={"optimizer": "sgd", "loss": "categorical_crossentropy"},
        fit={"x": "d/x", "y": {"to_categorical": "d/labels", "nb_classes": 10}, "nb_epoch": 1},
    )
    run.fit(Notebook())
    assert run.history["series"]["loss"][0] == pytest.approx(math.log(10), abs=0.1)


@pytest.mark.parametrize("label", [10, -1, 0.5])
def test_a_label_out_of_range_is_the_users_error_and_names_its_row(label):
    labels = DATA["labels"].astype(np.float32)
    labels[17] = label
    for y, loss in (
        ({"to_categorical": "d/l", "nb_classes": 10}, "categorical_crossentropy"),
        ("d/l", "sparse_categorical_crossentropy"),
    ):
        run = training(
            DATA | {"l": labels},
            model=MLP,
            compile={"optimizer": "sgd", "loss": loss},
            fit={"x": "d/x", "y": y},
        )
        with pytest.raises(BadData, match="17") as refusal:
            run.fit(Notebook())
        assert (refusal.value.class_, refusal.value.who, refusal.value.retryable) == ("user_data", "user", False)


def test_a_class_without_a_weight_is_the_users_error():
    with pytest.raises(BadData, match="class_weight"):
        mlp(class_weight={"0": 1.0}).fit(Notebook())


def test_sample_weights_win_over_class_weights():
    data = DATA | {"w": np.ones(100, dtype=np.float32)}
    fit = {"x": "d/x", "y": "d/y", "nb_epoch": 1, "shuffle": False, "sample_weight": "d/w"}
    runs = [
        training(data, model=MLP, compile={"optimizer": "sgd", "loss": "mse"}, fit=fit | extra)
        for extra in ({}, {"class_weight": {"0": 5.0}})
    ]
    for run in runs:
        run.fit(Notebook())
    assert runs[0].weights_sha256() == runs[1].weights_sha256()


def diverging():
    return training(
        DATA,
        model=sequential(("Dense", {"output_dim": 10, "input_dim": 20})),
        compile={"optimizer": {"class_name": "SGD", "config": {"lr": 1e30}}, "loss": "mse"},
        fit={"x": "d/x", "y": "d/y", "batch_size": 1},
    )


def test_a_loss_that_is_no_number_ends_the_run_with_its_epoch():
    with pytest.raises(Diverged, match="epoch 0"):
        diverging().fit(Notebook())


def test_progress_notices_a_loss_that_is_no_number_within_the_epoch():
    run = diverging()
    with pytest.raises(Diverged):
        run.fit(Notebook(lambda: run.progress))
    assert run.done < 100


def test_progress_counts_steps_samples_and_means():
    run = mlp(nb_epoch=2)
    seen = []
    run.fit(Notebook(lambda: seen.append(run.progress)))
    assert [each.step for each in seen] == list(range(1, 15))
    assert (seen[0].samples, seen[6].samples, seen[-1].samples) == (16, 100, 200)
    assert (seen[-1].total_steps, seen[-1].nb_epoch, seen[-1].epoch) == (14, 2, 1)
    assert set(seen[0].metrics) == {"loss", "acc"}


def test_epochs_are_counted_from_the_initial_one():
    run = mlp(initial_epoch=2, nb_epoch=4)
    run.fit(Notebook())
    assert run.history["epoch"] == [2, 3]


def test_a_schedule_is_heeded_and_a_checkpoint_callback_keeps_weights(tmp_path):
    run = mlp(
        nb_epoch=2,
        callbacks=[
            {"class_name": "LearningRateScheduler", "config": {"schedule": [0.5, 0.25]}},
            {"class_name": "ModelCheckpoint", "config": {"filepath": "w{epoch}.h5"}},
        ],
    )
    notebook = Notebook()
    run.fit(notebook)
    assert run.lr == 0.25
    assert list(notebook.artifacts) == ["w0.h5", "w1.h5"]
    notebook.artifacts["w1.h5"](tmp_path / "w1.h5")
    other = mlp()
    other.load_weights(tmp_path / "w1.h5")
    assert other.weights_sha256() == run.weights_sha256()


def test_a_callback_that_watches_nothing_warns_once():
    notebook = Notebook()
    mlp(callbacks=["EarlyStopping"]).fit(notebook)
    assert len(notebook.warnings) == 1


def test_s47_without_metrics_an_evaluation_is_the_loss_alone():
    run = training(DATA, model=MLP, compile={"optimizer": "rmsprop", "loss": "mse"}, evaluate={"x": "d/x", "y": "d/y"})
    assert list(run.evaluate(Notebook())) == ["loss"]


def test_s76_binary_labels_may_have_one_axis_or_two():
    y = RNG.integers(0, 2, 100)
    histories = []
    for labels in (y, y.reshape(-1, 1)):
        run = training(
            DATA | {"b": labels},
            model=sequential(("Dense", {"output_dim": 1, "input_dim": 20, "activation": "sigmoid"})),
            compile={"optimizer": "rmsprop", "loss": "binary_crossentropy", "metrics": ["accuracy"]},
            fit={"x": "d/x", "y": "d/b", "nb_epoch": 2},
        )
        run.fit(Notebook())
        histories.append(run.history)
    assert histories[0] == histories[1]


def test_a_model_without_anything_to_train_is_still_judged():
    run = training(
        DATA,
        model=sequential(("Activation", {"activation": "linear", "input_shape": [20]})),
        compile={"optimizer": "sgd", "loss": "mse"},
        fit={"x": "d/x", "y": "d/x", "nb_epoch": 1},
    )
    run.fit(Notebook())
    assert run.history["series"]["loss"] == [0.0]
