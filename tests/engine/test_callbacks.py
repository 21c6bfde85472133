"""Keras 1's callbacks: when they stop, reduce, keep and warn."""

import json
import time
from dataclasses import dataclass, field

import numpy as np
import pytest

from engine.callbacks import CALLBACKS, EarlyStopping, LearningRateScheduler, ModelCheckpoint, ReduceLROnPlateau
from engine.errors import BadArgument
from tests.engine.event_files import events_in
from tests.engine.yard import GOLDEN, Golden, Notebook, training


@dataclass
class Fake:
    """A fitting that only remembers."""

    lr: float = 1.0
    stop_training: bool = False
    kept: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def keep(self, name: str, full: bool) -> None:
        self.kept.append(name)

    def leave(self, name: str, content: bytes) -> None:
        self.kept.append(name)


def run(callback, values, monitor="val_loss", fitting=None):
    """Feed a callback one value an epoch; return the fitting, the epochs run and the logs."""
    fitting = fitting or Fake()
    state, seen = callback.begin(), []
    for epoch, value in enumerate(values):
        callback.epoch_begin(state, epoch, fitting)
        logs = {monitor: value}
        callback.epoch_end(state, epoch, logs, fitting)
        state = json.loads(json.dumps(state))  # a checkpoint holds it
        seen.append(logs)
        if fitting.stop_training:
            break
    return fitting, len(seen), seen


@pytest.mark.parametrize(("patience", "epochs"), [(0, 2), (1, 3), (2, 4)])
def test_early_stopping_stops_at_the_bad_epoch_after_its_patience(patience, epochs):
    _, seen, _ = run(EarlyStopping(patience=patience), [1.0] * 10)
    assert seen == epochs


def test_early_stopping_watches_accuracy_upwards_and_loss_downwards():
    assert run(EarlyStopping(monitor="acc"), [0.1, 0.2, 0.3], "acc")[1] == 3
    assert run(EarlyStopping(monitor="loss"), [0.1, 0.2, 0.3], "loss")[1] == 2
    assert run(EarlyStopping(monitor="acc", mode="min"), [0.1, 0.2, 0.3], "acc")[1] == 2


def test_early_stopping_does_not_count_what_is_within_min_delta():
    assert run(EarlyStopping(min_delta=0.5), [2.0, 1.6, 1.5])[1] == 2


def test_early_stopping_warns_where_keras_1_crashed_because_nothing_is_watched():
    fitting, seen, _ = run(EarlyStopping(), [1.0, 1.0], "loss")
    assert seen == 2
    assert "val_loss" in fitting.warnings[0]


def test_early_stopping_ends_a_real_run_where_keras_1_ended_it():
    facts = json.loads((GOLDEN / "callback_earlystop" / "history.json").read_text())
    data = Golden.table("callback_earlystop")
    golden_model = json.loads((GOLDEN / "callback_earlystop" / "model.json").read_text())
    fitted = training(
        data,
        model=golden_model,
        compile={
            "optimizer": {"class_name": "SGD", "config": {"lr": 0.2}},
            "loss": "categorical_crossentropy",
            "metrics": ["accuracy"],
        },
        fit={
            "x": "d/x",
            "y": "d/y",
            "batch_size": 16,
            "nb_epoch": 12,
            "validation_split": 0.3,
            "shuffle": False,
            "callbacks": [{"class_name": "EarlyStopping", "config": {"patience": 2, "min_delta": 0.01}}],
        },
    )
    weights = {key: data[f"w_init_{index}"] for index, key in enumerate(fitted.weights())}
    fitted.take(weights)

    fitted.fit(Notebook())

    assert fitted.history["epoch"] == facts["epoch"]
    for name, values in facts["history"].items():
        np.testing.assert_allclose(fitted.history["series"][name], values, rtol=1e-4)
    for index, array in enumerate(fitted.weights().values()):
        np.testing.assert_allclose(array, data[f"w_final_{index}"], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("patience", "reduced"), [(2, [3, 5, 7]), (1, [2, 3, 4, 5, 6, 7]), (0, [1, 2, 3, 4, 5, 6, 7])])
def test_reduce_lr_reduces_at_keras_1s_epochs(patience, reduced):
    _, _, logs = run(ReduceLROnPlateau(patience=patience, factor=0.5), [1.0] * 9)
    rates = [each["lr"] for each in logs]
    assert [epoch for epoch in range(8) if rates[epoch + 1] < rates[epoch]] == reduced


def test_reduce_lr_rests_while_it_cools_down_and_stops_at_its_minimum():
    cooled = run(ReduceLROnPlateau(patience=0, factor=0.5, cooldown=3), [1.0] * 6)[0]
    assert cooled.lr == 0.25
    floored = run(ReduceLROnPlateau(patience=0, factor=0.5, min_lr=0.3), [1.0] * 9)[0]
    assert floored.lr == 0.3


def test_reduce_lr_refuses_a_factor_that_does_not_reduce():
    with pytest.raises(BadArgument, match="below 1"):
        ReduceLROnPlateau(factor=1.0)


def test_a_schedule_sets_each_epochs_rate_and_holds_the_last():
    fitting, rates = Fake(), []
    for epoch in range(4):
        LearningRateScheduler((0.3, 0.2)).epoch_begin({}, epoch, fitting)
        rates.append(fitting.lr)
    assert rates == [0.3, 0.2, 0.2, 0.2]


def test_a_schedule_may_be_a_table_of_the_epochs_where_it_changes():
    fitting, rates = Fake(lr=9.0), []
    callback = CALLBACKS["LearningRateScheduler"].from_config({"schedule": {"1": 0.1, "3": 0.01}})
    for epoch in range(5):
        callback.epoch_begin({}, epoch, fitting)
        rates.append(fitting.lr)
    assert rates == [9.0, 0.1, 0.1, 0.01, 0.01]
    assert callback.get_config() == {"schedule": {"1": 0.1, "3": 0.01}}


def test_model_checkpoint_names_its_files_by_epoch_and_log():
    callback = ModelCheckpoint("w.{epoch:02d}-{val_loss:.2f}.h5", period=2)
    assert run(callback, [1.0, 0.5, 0.25, 0.125])[0].kept == ["w.01-0.50.h5", "w.03-0.12.h5"]


def test_model_checkpoint_keeps_only_better_epochs_when_asked():
    callback = ModelCheckpoint("best{epoch}.h5", save_best_only=True)
    assert run(callback, [1.0, 1.0, 0.5, 0.7])[0].kept == ["best0.h5", "best2.h5"]


@pytest.mark.parametrize(
    "name",
    ["../w.h5", "/etc/passwd", "a/b", "{epoch.__class__}", "{epoch:99999d}", "", ".hidden", "a b", "{0}{", "a..b"],
)
def test_model_checkpoint_refuses_a_name_that_is_no_plain_file(name):
    with pytest.raises(BadArgument, match="plain file name"):
        ModelCheckpoint(name)


LOGGED = np.arange(40, dtype=np.float32).reshape(20, 2) / 40


def logged(*callbacks, **fit):
    return training(
        {"x": LOGGED, "y": LOGGED[:, :1]},
        model={
            "class_name": "Sequential",
            "config": [{"class_name": "Dense", "config": {"output_dim": 1, "input_dim": 2}}],
        },
        compile={"optimizer": "sgd", "loss": "mse"},
        fit={"x": "d/x", "y": "d/y", "nb_epoch": 3, "validation_split": 0.2, "callbacks": list(callbacks)} | fit,
    )


def table_of(book, path):
    book.artifacts["log.csv"](path)
    return [line.split(";") for line in path.read_text().splitlines()]


def test_the_csv_logger_leaves_a_table_of_every_epoch_when_the_fit_ends(tmp_path):
    run, book = logged({"class_name": "CSVLogger", "config": {"filename": "log.csv", "separator": ";"}}), Notebook()
    book.on_batch = lambda: None if not book.artifacts else pytest.fail("left before the end")
    run.fit(book)

    head, *rows = table_of(book, tmp_path / "log.csv")

    assert head == ["epoch", "loss", "val_loss"]
    assert [row[0] for row in rows] == ["0", "1", "2"]
    assert [float(row[1]) for row in rows] == run.history["series"]["loss"]


def test_a_resumed_fit_leaves_the_whole_table(tmp_path):
    logger = {"class_name": "CSVLogger", "config": {"filename": "log.csv", "separator": ";"}}
    first, book = logged(logger, nb_epoch=2), Notebook()
    first.fit(book)
    first.phase = "fit"
    first.save(tmp_path / "checkpoint")
    run = logged(logger)
    run.restore(tmp_path / "checkpoint")
    run.fit(book)

    assert len(table_of(book, tmp_path / "log.csv")) == 4


def test_the_csv_logger_holds_what_the_callbacks_before_it_have_logged(tmp_path):
    book = Notebook()
    logged("ReduceLROnPlateau", {"class_name": "CSVLogger", "config": {"filename": "log.csv", "separator": ";"}}).fit(
        book
    )

    assert table_of(book, tmp_path / "log.csv")[0] == ["epoch", "loss", "lr", "val_loss"]


def board(**config):
    return {"class_name": "TensorBoard", "config": config}


def epochs_of(book, path):
    (name,) = [each for each in book.artifacts if each.startswith("events.out.tfevents.")]
    book.artifacts[name](path / name)
    return events_in((path / name).read_bytes())


def test_tensorboard_s_file_holds_the_logs_of_every_epoch(tmp_path):
    run, book = logged("ReduceLROnPlateau", board(log_dir="./logs", write_graph=False)), Notebook()
    before = time.time()
    run.fit(book)

    head, *epochs = epochs_of(book, tmp_path)

    assert head.version == "brain.Event:2"
    assert [each.step for each in epochs] == [0, 1, 2]
    assert set(epochs[0].scalars) == {"loss", "val_loss", "lr"}
    for name, series in run.history["series"].items():
        assert [each.scalars[name] for each in epochs] == [float(np.float32(value)) for value in series]
    times = [head.time, *(each.time for each in epochs)]
    assert times == sorted(times)
    assert before - 60 < times[0] <= times[-1] <= time.time()


def test_a_resumed_fit_leaves_the_whole_of_tensorboard_s_file_with_the_times_of_its_first_epochs(tmp_path):
    first, book = logged(board(), nb_epoch=2), Notebook()
    first.fit(book)
    _, *begun = epochs_of(book, tmp_path)
    first.phase = "fit"
    first.save(tmp_path / "checkpoint")
    run, book = logged(board()), Notebook()
    run.restore(tmp_path / "checkpoint")
    run.fit(book)

    _, *epochs = epochs_of(book, tmp_path)

    assert [each.step for each in epochs] == [0, 1, 2]
    assert epochs[:2] == begun


def test_a_fit_without_epochs_leaves_tensorboard_no_file():
    run, book = logged(board(), nb_epoch=0), Notebook()
    run.fit(book)
    assert not book.artifacts


@pytest.mark.parametrize(("name", "value"), [("histogram_freq", 1), ("write_images", True)])
def test_tensorboard_refuses_what_is_more_than_scalars(name, value):
    with pytest.raises(BadArgument, match=f"`{name}` must be .* but got {str(value).lower()}") as refusal:
        logged(board(**{name: value}))
    assert refusal.value.where == f"/fit/callbacks/0/config/{name}"


@pytest.mark.parametrize("name", ["BaseLogger", "History", "ProgbarLogger"])
def test_what_the_service_does_always_may_be_asked_for_and_changes_nothing(name):
    plain, asked = logged(), logged({"class_name": name, "config": {}})
    plain.fit(Notebook())
    asked.fit(Notebook())

    assert plain.weights_sha256() == asked.weights_sha256()
    assert asked.plan.definition["fit"]["callbacks"][0]["class_name"] == name


@pytest.mark.parametrize(("name", "says"), [("LambdaCallback", "runs code"), ("RemoteMonitor", "calls no address")])
def test_what_a_server_cannot_take_is_refused_with_what_there_is_instead(name, says):
    with pytest.raises(BadArgument, match=says) as refusal:
        logged({"class_name": name, "config": {}})
    assert "/events" in refusal.value.message
    assert refusal.value.where == "/fit/callbacks/0/class_name"


@pytest.mark.parametrize(
    ("config", "where"),
    [
        ({"filename": "../log.csv"}, "filename"),
        ({"filename": "{epoch}.csv"}, "filename"),
        ({"filename": "log.csv", "separator": ""}, "separator"),
        ({"filename": "log.csv", "separator": "\n"}, "separator"),
    ],
)
def test_the_csv_logger_refuses_names_and_separators_that_are_none(config, where):
    with pytest.raises(BadArgument) as refusal:
        CALLBACKS["CSVLogger"].from_config(config)
    assert refusal.value.where == f"/{where}"
